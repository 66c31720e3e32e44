"""NIfTI: what a header says, volumes read and written."""
