"""Two servers as one cluster on loopback; one of them can be master, both hold data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from elasticsearch import Elasticsearch

from py_image_dedup.store.elastic import ElasticOptions
from tests.servers.distribution import NEWEST
from tests.servers.node import Node, free_port, prepare
from tests.servers.sites import Site


def _settings(name: str, master_port: int, roles: str) -> dict[str, str]:
    return {
        "discovery.type": "",
        "cluster.name": f"two-nodes-{master_port}",
        "node.name": name,
        "node.roles": roles,
        "discovery.seed_hosts": f"127.0.0.1:{master_port}",
        "cluster.initial_master_nodes": "master" if name == "master" else "",
        # A lost node's shards are given up at once; a server in earnest waits a minute for it to come back.
        "cluster.fault_detection.follower_check.timeout": "2s",
    }


@dataclass(frozen=True, slots=True)
class ClusterSite(Site):
    """The cluster. Tests that stop a node hold the lock of the ``cluster_site`` fixture.

    Attributes:
        master: The node that keeps the cluster's state.
        other: A node with data only.
    """

    master: Node
    other: Node

    def options(self, index: str) -> ElasticOptions:
        """See ``Site.options``. Two shards, each with a replica, so that each node has the whole index.

        As patient as the program is by itself: the other node has to notice and take over, on a busy machine too.
        """
        return ElasticOptions(
            hosts=(f"127.0.0.1:{self.master.port}", f"127.0.0.1:{self.other.port}"),
            index=index,
            shards=2,
            replicas=1,
            patience_seconds=60,
            request_seconds=20,
        )

    def client(self) -> Elasticsearch:
        """See ``Site.client``."""
        return Elasticsearch(self.master.url, request_timeout=60)

    def make_whole(self) -> None:
        """Start what does not run, and wait until every shard has its replica."""
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(node.start) for node in (self.master, self.other) if node.pid is None]:
                done.result()
        with self.client() as client:
            patient = client.options(request_timeout=130)
            patient.cluster.health(wait_for_nodes="2", wait_for_status="green", timeout="120s")

    def wait_for_replicas(self, alias: str) -> None:
        """Wait until each node has the whole index, as a test must that kills one: before, a part is really lost."""
        with self.client() as client:
            client.options(request_timeout=130).cluster.health(index=alias, wait_for_status="green", timeout="120s")


def start_cluster(session: Path) -> ClusterSite:
    """Prepare and start both nodes."""
    transport = free_port()
    master = prepare(
        NEWEST,
        session,
        "cluster-master",
        _settings("master", transport, "master, data") | {"transport.port": str(transport)},
    )
    other = prepare(NEWEST, session, "cluster-other", _settings("other", transport, "data"))
    site = ClusterSite(master, other)
    site.make_whole()
    return site
