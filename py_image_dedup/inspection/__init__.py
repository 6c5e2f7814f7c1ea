"""The files of a removal compared in full, and which one explains the other."""
