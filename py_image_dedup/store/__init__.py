"""The index: what is known about files, and the search over it."""
