"""Reader studies: blind ranking of volumes by people on a page of its own, and the statistics of their answers."""
