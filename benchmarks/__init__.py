"""Benchmarks: what is compared, and how fast it is."""
