"""The index: the store contract and its two implementations, SQLite and Elasticsearch."""
