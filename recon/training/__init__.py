"""Where data sets, operators and learners meet: samples for every network, and ``recon train``."""
