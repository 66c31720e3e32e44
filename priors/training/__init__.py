"""One training loop for every network: recipes, deterministic batches, checkpoints, logs."""
