"""Networks and diffusion priors; knows nothing of operators."""
