"""Iterative solvers and data-consistency steps on linear operators."""
