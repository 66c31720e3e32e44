"""How a scan comes to be: simulated from a volume or read from a file."""
