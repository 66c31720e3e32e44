"""Weights files: their cards, where they lie, and how others' files become ours."""
