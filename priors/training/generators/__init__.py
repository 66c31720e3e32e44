"""Learners of the methods that make volumes of no patient."""
