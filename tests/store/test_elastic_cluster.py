from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.store.base import StoreUnavailable
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite import SqliteStore
from tests.servers.cluster import ClusterSite
from tests.store.samples import entry_of, failed_entry, family, found_pairs

pytestmark = [pytest.mark.elasticsearch, pytest.mark.slow]

LIBRARY = [
    *(entry_of(f"/{'ab'[place % 2]}/{place}.jpg", place % 150, values) for place, values in enumerate(family(1, 200))),
    failed_entry("/a/broken.jpg"),
]
LIBRARY = [*LIBRARY[:150], *(entry_of(e.stat.path, n, LIBRARY[n].signature) for n, e in enumerate(LIBRARY[150:200]))]


def test_two_shards_with_replicas_give_the_answers_of_one_file(
    cluster_site: ClusterSite, cluster_index: str, tmp_path: Path
) -> None:
    with ElasticStore(cluster_site.options(cluster_index)) as many, SqliteStore(tmp_path / "index.sqlite3") as one:
        for store in (many, one):
            store.put(LIBRARY)
        for under in (None, [Path("/b")]):
            assert list(many.entries(under)) == list(one.entries(under))
            assert many.count(under) == one.count(under)
            assert sorted(many.stamps(under), key=repr) == sorted(one.stamps(under), key=repr)
            copies, same = (sorted(store.identical(under), key=repr) for store in (many, one))
            assert copies == same
            found, expected = (found_pairs(store, 0.3, under) for store in (many, one))
            assert {frozenset(pair): row[0] for pair, row in found.items()} == {
                frozenset(pair): row[0] for pair, row in expected.items()
            }
        query = [entry.signature for entry in LIBRARY[:10] if entry.signature]
        near = [[n.distance for n in some] for some in many.similar(query, 0.3, None)]
        assert near == [[n.distance for n in some] for some in one.similar(query, 0.3, None)]


def test_a_run_goes_on_or_stops_clean_when_a_node_is_killed(cluster_site: ClusterSite, cluster_index: str) -> None:
    library = [entry_of(f"/a/{number:05d}.jpg") for number in range(12_000)]
    with ElasticStore(cluster_site.options(cluster_index)) as store:
        store.put(library)
        stamps = store.stamps(None)
        seen = [next(stamps)]
        cluster_site.other.kill()
        try:
            seen += stamps
        except StoreUnavailable:
            assert len(seen) < len(library)
        else:
            assert len(seen) == len(library)
        # The other node has a replica of everything; writing goes on.
        store.put([entry_of(f"/b/{number}.jpg") for number in range(100)])
        assert store.count(None) == len(library) + 100
        assert [entry.stat.path for entry in store.entries([Path("/a")])] == [entry.stat.path for entry in library]


def test_servers_that_were_killed_and_came_back_have_everything_and_a_write_waits_for_them(
    cluster_site: ClusterSite, cluster_index: str
) -> None:
    options = cluster_site.options(cluster_index)
    with ElasticStore(options) as store, ElasticStore(replace(options, patience_seconds=2)) as hasty:
        store.put(LIBRARY)
        cluster_site.other.kill()
        cluster_site.master.kill()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no connection"):
            list(hasty.identical(None))
        assert time.monotonic() - began < 30
        coming_back = threading.Thread(target=cluster_site.make_whole)
        coming_back.start()
        written = False
        while not written:
            try:
                store.put([entry_of("/c/new.jpg")])
                written = True
            except StoreUnavailable:
                assert time.monotonic() - began < 300
        coming_back.join()
        assert store.count(None) == len(LIBRARY) + 1
        assert len(list(store.entries(None))) == len(LIBRARY) + 1
