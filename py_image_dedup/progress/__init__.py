"""Events of a run become progress bars or log lines."""
