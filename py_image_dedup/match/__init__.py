"""Which files are the same photo, how surely, and the groups that they form."""
