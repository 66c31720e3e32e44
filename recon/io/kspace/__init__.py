"""k-space: fastMRI, ISMRMRD, arrays and our own files, and what was acquired of it."""
