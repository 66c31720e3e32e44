"""Data sets checked and packed."""
