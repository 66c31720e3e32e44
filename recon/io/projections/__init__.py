"""Measured CT projections of other programs: arrays, MATLAB files, TIFF stacks and Data Exchange, made sinograms."""
