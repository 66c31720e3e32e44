"""Diffusion: noise schedules, samplers, and the priors that are sampled."""
