"""Measures of generated volumes beside real ones: distances of their features, diversity, and memorisation."""
