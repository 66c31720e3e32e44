"""What makes volumes of no patient: one protocol, and the methods that have its members."""
