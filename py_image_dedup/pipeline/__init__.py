"""The stages of a run, one module each, and the run itself: count, clean up, analyse, find, rank, remove."""
