"""What a method or a prior is worth beyond one figure: lesions, round trips, calibration, generated volumes."""
