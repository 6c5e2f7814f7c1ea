"""The stages of a run, and the run itself: count, cleanup, analyse, find, rank, inspect, remove and prune."""
