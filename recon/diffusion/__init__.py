"""Sampling that turns diffusion priors into reconstructions."""
