"""Reconstruct CT and MR volumes from too few measurements."""
