"""Where the Elasticsearch index is, and how to get in."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_UNKNOWN = 8 << 30


def usable_memory() -> int:
    """The bytes of memory that this process may use: those of the machine, or of the container if it has a limit."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN
    try:
        limit = _CONTAINER_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


@dataclass(frozen=True, slots=True)
class ElasticOptions:
    """How to reach an index. Secrets are not in the ``repr``.

    Attributes:
        hosts: Names or addresses of nodes; any of them serves. A name may carry its own port (``es1:9201``).
        port: Of HTTP, where a host names none.
        index: Name of the alias that the index is known by.
        auto_create_index: Make the index if it is not there.
        username: For basic authentication, with ``password``.
        password: Secret.
        api_key: Secret; wins over user and password.
        ca_certificate: PEM file of the authority that signed the server's certificate; none: the system's.
        scheme: ``http`` or ``https``.
        shards: Of an index that is made here; an existing index keeps its number.
        replicas: Copies of each shard of an index that is made here.
        request_seconds: How long one request may take.
        patience_seconds: How long a request is tried again while the server is busy or away.
        memory_bytes: ``pairs`` holds all signatures in memory up to this, 1,500 bytes a content; above it asks the
            server, batch by batch. Half of the memory that this process may use, unless told.
        cache_directory: Where results of ``pairs`` are kept, so that a later run searches what is new; none: nowhere.
    """

    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9200
    index: str = "images"
    auto_create_index: bool = True
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca_certificate: Path | None = None
    scheme: str = "http"
    shards: int = 1
    replicas: int = 0
    request_seconds: float = 60.0
    patience_seconds: float = 60.0
    memory_bytes: int = field(default_factory=lambda: usable_memory() // 2)
    cache_directory: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The address of each node, without secrets."""
        return tuple(f"{self.scheme}://{self._with_port(host)}" for host in self.hosts)

    @property
    def place(self) -> str:
        """Index and addresses, for messages."""
        return f"the Elasticsearch index '{self.index}' at {', '.join(self.urls)}"

    def _with_port(self, host: str) -> str:
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            return host
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"
