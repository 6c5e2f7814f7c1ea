"""Prometheus metrics of runs and of the daemon."""
