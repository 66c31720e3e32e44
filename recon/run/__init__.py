"""One run: reconstruct, score, save; the machine it runs on."""
