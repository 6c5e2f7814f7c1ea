"""A run's result, for people and for programs."""
