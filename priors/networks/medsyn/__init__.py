"""MedSyn (Xu et al. 2024): a diffusion model of small volumes that can be told a text, and one of their finer grids."""
