"""The networks of WDM, which estimate the clean wavelet coefficients of a volume from noisy ones."""
