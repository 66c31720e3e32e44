"""What generated volumes are worth as training data of other networks."""
