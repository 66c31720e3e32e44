"""MR: Cartesian encoding, sampling masks, coil sensitivities and the phase of images."""
