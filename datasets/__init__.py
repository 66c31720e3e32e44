"""Data sets and the shipped sample cases."""
