"""Random anatomies in Hounsfield units, drawn from simple bodies; see :mod:`datasets.sets.phantom`."""
