"""What flows between the rooms: volumes, k-space, sinograms, measurements, and their units."""
