"""Keep rules and the ranker, which together decide which file of a group stays."""
