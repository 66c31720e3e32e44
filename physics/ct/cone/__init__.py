"""Cone beams: geometries in three dimensions, their projector with its exact adjoint, FDK."""
