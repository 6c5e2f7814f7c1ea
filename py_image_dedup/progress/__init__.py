"""Progress of a run at a terminal and in a log."""
