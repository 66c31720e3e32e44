"""What fewer sampling steps cost: a prior at several numbers of steps, and the students that were distilled from it."""
