"""The ``task`` section of each network's recipe: what is learned, on which samples."""
