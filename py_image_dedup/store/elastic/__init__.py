"""The index on Elasticsearch, with the same contract and the same results as the SQLite index, at any size."""

from py_image_dedup.store.elastic.bulk import EntriesRejected
from py_image_dedup.store.elastic.client import ElasticOptions
from py_image_dedup.store.elastic.store import ElasticStore

__all__ = ["ElasticOptions", "ElasticStore", "EntriesRejected"]
