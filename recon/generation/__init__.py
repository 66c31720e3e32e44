"""New volumes from a prior, of no patient."""
