"""DICOM: files found and described, series and frames read, results written."""
