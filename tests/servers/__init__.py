"""Real Elasticsearch servers for tests and benchmarks."""
