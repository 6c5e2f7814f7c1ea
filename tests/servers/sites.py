"""Where a test finds a server, and how it looks into it without the program under test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from urllib.parse import unquote, urlsplit

from elasticsearch import Elasticsearch

from py_image_dedup.store.elastic import ElasticOptions
from tests.servers.node import Node


class Site(ABC):
    """A server that answers."""

    @abstractmethod
    def options(self, index: str) -> ElasticOptions:
        """Options for an index there, with the short patience that tests have."""

    @abstractmethod
    def client(self) -> Elasticsearch:
        """A client with all rights; the caller closes it."""

    def delete(self, alias: str) -> None:
        """Delete an alias's indices and what lies beside them."""
        with self.client() as client:
            names = list(client.indices.get(index=f"{alias}*", expand_wildcards="all"))
            for name in names:
                client.indices.delete(index=name)


class NodeSite(Site):
    """A server that the session started."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def options(self, index: str) -> ElasticOptions:
        """See ``Site.options``."""
        return ElasticOptions(hosts=("127.0.0.1",), port=self.node.port, index=index, patience_seconds=2)

    def client(self) -> Elasticsearch:
        """See ``Site.client``."""
        return Elasticsearch(self.node.url, request_timeout=60)


class UrlSite(Site):
    """A server that was there before: ``ELASTICSEARCH_URL``, user and password included if it needs them."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def options(self, index: str) -> ElasticOptions:
        """See ``Site.options``."""
        parts = self._parts
        return ElasticOptions(
            hosts=(parts.hostname or "127.0.0.1",),
            port=parts.port or 9200,
            index=index,
            scheme=parts.scheme,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            patience_seconds=2,
        )

    def client(self) -> Elasticsearch:
        """See ``Site.client``."""
        options = self.options("")
        user = (options.username, options.password or "") if options.username else None
        return Elasticsearch(list(options.urls), basic_auth=user, request_timeout=60)
