"""``python -m recon``: the command line without its console script."""

from recon.cli import main

main()
