"""Removal: plans, checks, the journal, actions, recovery, undo and the quarantine."""
