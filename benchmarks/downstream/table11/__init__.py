"""Table XI: classifiers trained on real volumes, with generated ones and without, and controls."""
