"""MR: Cartesian encoding and any trajectory, sampling masks, coil sensitivities and the phase of images."""
