"""The index: the store contract and its two implementations, SQLite and Elasticsearch."""

INDEX_NAME = "index.sqlite3"
"""Name of the embedded index in the state directory."""
