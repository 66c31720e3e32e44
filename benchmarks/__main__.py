"""``python -m benchmarks`` is the command ``benchmarks``."""

from benchmarks.cli import main

main()
