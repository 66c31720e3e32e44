"""Sampling loops that turn a diffusion prior of images into a reconstruction."""
