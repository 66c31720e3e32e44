"""How fast the suite is beside well-known implementations, as ratios within one run."""
