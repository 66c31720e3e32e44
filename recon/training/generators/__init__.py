"""From data sets to learners of generators: the competitors learn from cubes of whole volumes."""
