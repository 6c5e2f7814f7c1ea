"""Events of a run become Prometheus metrics."""
