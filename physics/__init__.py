"""Imaging operators: geometry, projection, filtered backprojection, MR encoding, masks and noise.

This package knows nothing of priors, files or the command line.
"""
