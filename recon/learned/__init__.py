"""Trained networks on measurements: which weights, whether they fit the scan, and how they are run."""
