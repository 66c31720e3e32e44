"""The data sets, one file each: ``ENTRY`` says what the suite must know of it, and its name is the file's."""
