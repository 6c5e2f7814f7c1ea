"""Plan, verify, journal, act, undo."""
