"""Learners of the generators that the tables of generation compare."""
