from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.model.events import ActionFinished, Event, FileAnalysed, Observer, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.store.base import Store, StoreUnavailable
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.cluster import ClusterSite
from tests.servers.node import Node
from tests.store.contract_verdicts import featured, vocabulary
from tests.store.samples import entry_of, failed_entry, family, found_pairs
from tests.support.whole_runs import Side, make_library

pytestmark = [pytest.mark.elasticsearch, pytest.mark.slow]

LIBRARY = [
    *(entry_of(f"/{'ab'[place % 2]}/{place}.jpg", place % 150, values) for place, values in enumerate(family(1, 200))),
    failed_entry("/a/broken.jpg"),
]
LIBRARY = [*LIBRARY[:150], *(entry_of(e.stat.path, n, LIBRARY[n].signature) for n, e in enumerate(LIBRARY[150:200]))]


class GroupsAreSought:
    """The phase ``find`` begins."""


def killing(kind: type, node: Node) -> Observer:
    """Kill a server at the first event of a kind."""
    killed = threading.Lock()

    def observer(event: Event) -> None:
        if kind is GroupsAreSought:
            now = isinstance(event, PhaseStarted) and event.phase is Phase.FIND
        else:
            now = isinstance(event, kind)
        if now and killed.acquire(blocking=False):
            node.kill()

    return observer


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


def test_two_shards_give_the_candidates_of_one_file_also_after_more_was_written(
    cluster_site: ClusterSite, cluster_index: str, tmp_path: Path
) -> None:
    words = [vocabulary(seed) for seed in range(6)]
    # Every picture shares half of its words with the next one.
    photos = [
        featured(f"/a/{number}.jpg", np.unique(np.concatenate([words[number][::2], words[number + 1][1::2]])))
        for number in range(5)
    ]
    with (
        ElasticStore(cluster_site.options(cluster_index)) as many,
        ElasticStore(cluster_site.options(cluster_index)) as other,
        SqliteStore(tmp_path / "index.sqlite3") as one,
    ):
        for start, stop in ((0, 2), (2, 3), (3, 5)):
            other.put(photos[start:stop])
            assert other.count(None) == stop  # which makes what was written visible to searches
            one.put(photos[start:stop])
            assert by_path(many, photos[:stop]) == by_path(one, photos[:stop])


def by_path(store: Store, photos: Sequence[IndexEntry]) -> list[list[bytes]]:
    """The candidates of some photos, by name."""
    digests = [photo.digest for photo in photos if photo.digest is not None]
    numbers = store.content_ids(digests)
    names = {number: digest for digest, number in numbers.items()}
    return [[names[each] for each in some] for some in store.candidates([numbers[digest] for digest in digests])]


def test_a_new_index_has_its_replicas_before_anything_is_written(
    cluster_site: ClusterSite, cluster_index: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = replace(cluster_site.options(cluster_index), request_seconds=60)
    with ElasticStore(options), cluster_site.client() as client:
        assert client.cluster.health(index=cluster_index)["status"] == "green"
    assert caplog.messages == []


def test_an_index_without_nodes_for_its_replicas_is_created_with_a_warning(
    cluster_site: ClusterSite, cluster_index: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ElasticStore(replace(cluster_site.options(cluster_index), replicas=2, request_seconds=4)) as store:
        assert store.count(None) == 0
    (said,) = caplog.messages
    assert "not every shard has its 2 replicas after 2 seconds" in said
    assert "the cluster needs 3 data nodes" in said


def test_a_run_goes_on_or_stops_clean_when_a_node_is_killed(cluster_site: ClusterSite, cluster_index: str) -> None:
    library = [entry_of(f"/a/{number:05d}.jpg") for number in range(12_000)]
    with ElasticStore(cluster_site.options(cluster_index)) as store:
        store.put(library)
        cluster_site.wait_for_replicas(cluster_index)
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


def test_a_whole_run_with_servers_killed_in_every_phase_loses_nothing(
    cluster_site: ClusterSite, cluster_index: str, tmp_path: Path, photos: Path
) -> None:
    options = cluster_site.options(cluster_index)
    patience = options.patience_seconds
    side = Side(tmp_path, lambda: ElasticStore(replace(options, patience_seconds=patience)))
    make_library(photos, side.photos, 9)
    before = side.files()
    side.open_store().close()
    cluster_site.wait_for_replicas(cluster_index)

    # One of two servers, while files are read: the other one has all of it.
    read = side.run(dry_run=True, observer=killing(FileAnalysed, cluster_site.other))
    assert read.error is None
    assert len(read.outcomes) > 3
    with ElasticStore(replace(options, patience_seconds=240, request_seconds=60)) as patient:
        # The last one, before the search: nothing can be found, so nothing is removed.
        began = time.monotonic()
        patience = 3.0
        with pytest.raises(StoreUnavailable, match="no connection"):
            side.run(dry_run=False, observer=killing(GroupsAreSought, cluster_site.master))
        assert time.monotonic() - began < 60
        assert side.files() == before
        # It comes back, and who was patient did not even notice.
        coming_back = threading.Thread(target=cluster_site.master.start)
        coming_back.start()
        patient.put([entry_of("/elsewhere/new.jpg")])
        coming_back.join()
        assert patient.count(None) == len(before) + 1
    # While files are removed: every removal is told, and can be taken back.
    removed = side.run(dry_run=False, observer=killing(ActionFinished, cluster_site.master))
    assert {outcome.status for outcome in removed.outcomes} == {OutcomeStatus.DONE}
    assert len(removed.outcomes) == len(read.outcomes)
    assert set(side.undo(removed)) == {"done"}
    assert side.files() == before
    cluster_site.master.start()
    patience = options.patience_seconds
    assert side.told(side.run(dry_run=True))["groups"] == side.told(read)["groups"]
