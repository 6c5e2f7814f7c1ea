"""The interactive review: a local page on which the user decides on the groups of a run, and its server."""
