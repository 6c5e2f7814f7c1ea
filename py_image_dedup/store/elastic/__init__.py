"""The index on Elasticsearch: the same contract and the same answers as the SQLite index, at any size."""

from py_image_dedup.store.elastic.bulk import EntriesRejected
from py_image_dedup.store.elastic.client import ElasticOptions
from py_image_dedup.store.elastic.store import ElasticStore

__all__ = ["ElasticOptions", "ElasticStore", "EntriesRejected"]
