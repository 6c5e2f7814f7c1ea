"""Which files are one photo."""
