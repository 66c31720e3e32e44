"""Networks whose features stand for a volume where generated and real volumes are compared."""
