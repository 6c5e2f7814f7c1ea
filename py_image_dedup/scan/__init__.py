"""The roots of a run, the selection of files, and the walk that finds them."""
