"""Ablations of the paper: networks that are trained alike but for one thing."""
