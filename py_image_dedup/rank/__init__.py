"""Which of several files is the best, and why: the prioritisation rules and the ranker."""
