"""A server that is slow, full, closed, gone, or not what it seems: each gives an explained error in bounded time."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from py_image_dedup.model.photo import Signature
from py_image_dedup.store.base import Store, StoreError, StoreUnavailable
from py_image_dedup.store.elastic import ElasticOptions, ElasticStore, EntriesRejected
from py_image_dedup.store.elastic.index import concrete_name, definition
from tests.cli.program import Program
from tests.servers.node import free_port
from tests.servers.proxy import Proxy, Script, Trouble, always, first, in_part, proxy_to
from tests.servers.sites import Site
from tests.store.samples import entry_of, random_signatures

LIBRARY = [entry_of(f"/a/{place}.jpg", signature=values) for place, values in enumerate(random_signatures(1, 20))]
QUERY = [Signature(random_signatures(1, 1).tobytes())]
BUSY = Trouble(status=429)
UNAVAILABLE = Trouble(status=503, body='{"error": {"type": "no_shard_available_action_exception", "reason": "none"}}')

READS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get(Path("/a/1.jpg")),
    "count": lambda store: store.count(None),
    "stamps": lambda store: list(store.stamps(None)),
    "entries": lambda store: list(store.entries([Path("/a")])),
    "failed": lambda store: list(store.failed(None)),
    "identical": lambda store: list(store.identical(None)),
    "known": lambda store: store.known([b"d" * 32]),
    "similar": lambda store: store.similar(QUERY, 0.1, None),
    "pairs": lambda store: [block.left.tolist() for block in store.pairs(0.6, None)],
    "size": lambda store: (store.size() or 0) > 0,
}
WRITES: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put(LIBRARY[:1]),
    "remove": lambda store: store.remove([Path("/a/1.jpg")]),
}


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.elasticsearch
class TestBehindABadLine:
    @pytest.fixture
    def proxy(self, newest_site: Site) -> Iterator[Proxy]:
        with proxy_to(newest_site.options("").port) as proxy:
            yield proxy

    @pytest.fixture
    def options(self, newest_site: Site, newest_emptied_index: str, proxy: Proxy) -> ElasticOptions:
        # As patient as a busy machine may need; what shall fail is seen by ``impatient``.
        site = newest_site.options(newest_emptied_index)
        return replace(site, port=proxy.port, scheme="http", patience_seconds=30, request_seconds=30)

    @pytest.fixture
    def store(self, options: ElasticOptions) -> Iterator[Store]:
        with ElasticStore(options) as store:
            store.put(LIBRARY)
            assert store.count(None) == len(LIBRARY)
            yield store

    @pytest.fixture
    def impatient(self, options: ElasticOptions, store: Store) -> Iterator[Store]:
        with ElasticStore(replace(options, patience_seconds=2, request_seconds=2)) as impatient:
            yield impatient

    @pytest.mark.parametrize(
        "script",
        [
            first(3, "_bulk", BUSY),
            first(2, "_bulk", UNAVAILABLE),
            first(1, "_bulk", Trouble(cut=True)),
            first(1, "_bulk", Trouble(cut_after=True)),
            in_part(429, "es_rejected_execution_exception"),
            in_part(503, "unavailable_shards_exception"),
        ],
        ids=["rejects", "no-shard", "cut-before", "cut-after", "rejects-some", "some-without-shard"],
    )
    def test_what_a_busy_server_turns_down_is_written_by_trying_again(
        self, proxy: Proxy, store: Store, script: Script
    ) -> None:
        more = [entry_of(f"/more/{number}.jpg") for number in range(50)]
        proxy.script = script
        store.put(more)
        proxy.script = lambda request: None
        assert list(store.entries([Path("/more")])) == sorted(more, key=lambda entry: entry.stat.raw_path)

    def test_only_what_was_turned_down_is_sent_again(self, proxy: Proxy, store: Store) -> None:
        proxy.script = in_part(429, "es_rejected_execution_exception")
        proxy.seen.clear()
        store.put([entry_of(f"/more/{number}.jpg") for number in range(50)])
        sent = [request.body.count(b'{"index"') for request in proxy.seen if "_bulk" in request.path]
        assert sent == [50, 25]

    def test_operations_that_an_answer_leaves_out_are_sent_again(self, proxy: Proxy, store: Store) -> None:
        def shorten(answer: bytes) -> bytes:
            return json.dumps({"items": json.loads(answer)["items"][:20]}).encode()

        more = [entry_of(f"/more/{number}.jpg") for number in range(50)]
        proxy.script = first(1, "_bulk", Trouble(edit=shorten))
        proxy.seen.clear()
        store.put(more)
        sent = [request.body.count(b'{"index"') for request in proxy.seen if "_bulk" in request.path]
        assert sent == [50, 30]
        assert list(store.entries([Path("/more")])) == sorted(more, key=lambda entry: entry.stat.raw_path)

    def test_a_server_that_stays_busy_ends_in_words_and_in_bounded_time(self, proxy: Proxy, impatient: Store) -> None:
        proxy.script = always("_bulk", BUSY)
        with at_most(8), pytest.raises(StoreUnavailable, match=r"cannot write to .*429"):
            impatient.put([entry_of("/more/1.jpg")])
        assert 2 <= proxy.count("_bulk") <= 20

    @pytest.mark.parametrize("what", sorted(READS))
    def test_a_read_is_tried_again_when_the_line_is_cut(self, proxy: Proxy, store: Store, what: str) -> None:
        expected = READS[what](store)
        proxy.script = first(1, "", Trouble(cut=True))
        assert READS[what](store) == expected

    @pytest.mark.parametrize("part", ["_bulk", "_count"])
    def test_a_request_without_an_answer_is_sent_once_more_however_long_it_took(
        self, proxy: Proxy, options: ElasticOptions, store: Store, part: str
    ) -> None:
        with ElasticStore(replace(options, patience_seconds=0.1, request_seconds=2)) as busy:
            proxy.script = first(1, part, Trouble(delay=2.5, cut=True))
            busy.put([entry_of("/more/1.jpg")])
            assert busy.count(None) == len(LIBRARY) + 1

    @pytest.mark.parametrize("what", ["entries", "known", "pairs"])
    def test_no_answer_is_no_empty_answer(self, proxy: Proxy, impatient: Store, what: str) -> None:
        proxy.script = always("", Trouble(status=503, body="{}"))
        with at_most(10), pytest.raises(StoreUnavailable):
            READS[what](impatient)

    def test_a_slow_server_is_given_up_after_the_time_for_a_request(self, proxy: Proxy, impatient: Store) -> None:
        proxy.script = always("_count", Trouble(delay=2.5, cut=True))
        with at_most(10), pytest.raises(StoreUnavailable, match="no answer within 2 seconds"):
            impatient.count(None)

    def test_an_answer_of_some_shards_only_is_refused(self, proxy: Proxy, store: Store) -> None:
        shards = {"total": 2, "successful": 1, "failed": 1}
        proxy.script = always("_count", Trouble(status=200, body=json.dumps({"count": 7, "_shards": shards})))
        with pytest.raises(StoreUnavailable, match="1 of 2 shards failed"):
            store.count(None)

    def test_one_search_of_many_that_fails_fails_all(self, proxy: Proxy, impatient: Store) -> None:
        hits = {"hits": {"hits": []}, "_shards": {"failed": 0}, "status": 200}
        failed = {"error": {"type": "circuit_breaking_exception", "reason": "Data too large"}, "status": 429}
        proxy.script = always("_msearch", Trouble(status=200, body=json.dumps({"responses": [hits, failed]})))
        with pytest.raises(StoreUnavailable, match="Data too large"):
            impatient.similar(QUERY * 2, 0.1, None)

    def test_a_search_that_a_restarted_server_has_lost_is_an_explained_error(self, proxy: Proxy, store: Store) -> None:
        lost = {"root_cause": [{"type": "search_context_missing_exception", "reason": "No search context found"}]}
        body = json.dumps({"error": {"type": "search_phase_execution_exception", "reason": "all shards failed"} | lost})
        proxy.script = always("_search", Trouble(status=404, body=body))
        with pytest.raises(StoreUnavailable, match="lost the search, as after a restart"):
            list(store.stamps(None))


@pytest.mark.elasticsearch
class TestBlockedIndex:
    @pytest.fixture
    def client(self, newest_site: Site) -> Iterator[Elasticsearch]:
        with newest_site.client() as client:
            yield client

    @pytest.fixture
    def store(self, newest_site: Site, newest_index: str) -> Iterator[Store]:
        with ElasticStore(newest_site.options(newest_index)) as store:
            store.put(LIBRARY)
            yield store

    @pytest.mark.parametrize("block", ["read_only", "write"])
    def test_a_blocked_index_is_read_and_says_how_to_unblock_it_when_written(
        self, newest_index: str, client: Elasticsearch, store: Store, block: str
    ) -> None:
        client.indices.put_settings(index=newest_index, settings={f"index.blocks.{block}": True})
        assert store.count(None) == len(LIBRARY)
        for write in WRITES.values():
            with at_most(2), pytest.raises(StoreError, match=r"the index is blocked .*curl -X PUT") as caught:
                write(store)
            assert not isinstance(caught.value, StoreUnavailable)
        client.indices.put_settings(index=newest_index, settings={f"index.blocks.{block}": None})
        store.put([entry_of("/a/again.jpg")])

    def test_a_full_disk_says_so_at_once(self, newest_index: str, client: Elasticsearch, store: Store) -> None:
        client.indices.put_settings(index=newest_index, settings={"index.blocks.read_only_allow_delete": True})
        with at_most(2), pytest.raises(StoreUnavailable, match="disk of the server is full"):
            store.put([entry_of("/a/new.jpg")])
        assert store.get(Path("/a/new.jpg")) is None
        client.indices.put_settings(index=newest_index, settings={"index.blocks.read_only_allow_delete": None})
        store.put([entry_of("/a/new.jpg")])
        assert store.get(Path("/a/new.jpg")) is not None

    def test_a_closed_index_says_how_to_open_it(
        self, newest_site: Site, newest_index: str, client: Elasticsearch, store: Store
    ) -> None:
        client.indices.close(index=newest_index)
        for use in (*READS.values(), *WRITES.values()):
            with at_most(5), pytest.raises(StoreError, match="closed; open it with: curl -X POST"):
                use(store)
        with at_most(20), pytest.raises(StoreError, match=r"curl -X POST .*_open"):
            ElasticStore(newest_site.options(newest_index))

    def test_an_index_deleted_under_the_run_is_an_error_and_is_not_made_by_accident(
        self, newest_index: str, client: Elasticsearch, store: Store
    ) -> None:
        client.indices.delete(index=concrete_name(newest_index))
        for use in (*READS.values(), *WRITES.values()):
            with at_most(5), pytest.raises(StoreError, match="not there any more; it was deleted"):
                use(store)
        assert list(client.indices.get(index=f"{newest_index}*")) == []


@pytest.mark.elasticsearch
def test_entries_that_the_server_refuses_are_named_and_the_others_written(newest_site: Site, newest_index: str) -> None:
    made = definition()
    made["mappings"]["properties"]["size"] = {"type": "byte"}  # as if another hand had changed the mapping
    with newest_site.client() as client:
        client.indices.create(index=concrete_name(newest_index), mappings=made["mappings"], aliases={newest_index: {}})
    entries = [entry_of(f"/a/{number}.jpg") for number in range(8)]
    small = [replace(entry, stat=replace(entry.stat, size=number)) for number, entry in enumerate(entries[:2])]
    with ElasticStore(newest_site.options(newest_index)) as store:
        with pytest.raises(EntriesRejected, match=r"rejects 6 of the entries: /a/2.jpg: .*; and 1 more") as caught:
            store.put([*small, *entries[2:]])
        assert set(caught.value.reasons) == {entry.stat.raw_path for entry in entries[2:]}
        assert list(store.entries(None)) == small


class TestNoServer:
    def test_the_program_says_it_in_one_line(self, program: Program) -> None:
        port = str(free_port())
        ended = program.run(
            "status", PY_IMAGE_DEDUP_ELASTICSEARCH_HOST="127.0.0.1", PY_IMAGE_DEDUP_ELASTICSEARCH_PORT=port
        )
        assert ended.code == 1
        (line,) = ended.err.splitlines()
        assert line.startswith(
            f"Error: cannot open the Elasticsearch index 'images' at http://127.0.0.1:{port}: no connection"
        )

    def test_a_refused_connection_says_what_to_check(self) -> None:
        options = ElasticOptions(port=free_port(), patience_seconds=0.5)
        with at_most(5), pytest.raises(StoreUnavailable, match=r"refused.*elasticsearch\.host and elasticsearch\.port"):
            ElasticStore(options)

    def test_a_host_that_does_not_exist_says_what_to_check(self) -> None:
        options = ElasticOptions(hosts=("no-such-host.invalid",), patience_seconds=0.5)
        with at_most(30), pytest.raises(StoreUnavailable, match=r"no-such-host\.invalid:9200"):
            ElasticStore(options)

    def test_a_server_that_accepts_and_says_nothing_is_given_up(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            options = ElasticOptions(port=port, request_seconds=0.5, patience_seconds=0.5)
            with at_most(5), pytest.raises(StoreUnavailable, match=r"no answer within 0\.5 seconds"):
                ElasticStore(options)

    @pytest.mark.parametrize(
        ("body", "product", "words"),
        [
            ('{"nodes": {"n": {"version": "8.11.0"}}}', True, "it is version 8.11.0; Elasticsearch 8.19 or newer"),
            ('{"nodes": {"n": {"version": "7.17.1-SNAPSHOT"}}}', True, "it is version 7.17.1"),
            ("{}", False, "is not Elasticsearch"),
        ],
    )
    def test_a_server_of_another_kind_or_version_is_refused(self, body: str, product: bool, words: str) -> None:
        with proxy_to(free_port()) as proxy:
            proxy.product = product
            proxy.script = always("", Trouble(status=200, body=body))
            with pytest.raises(StoreError, match=words):
                ElasticStore(ElasticOptions(port=proxy.port, patience_seconds=0.5))

    def test_a_certificate_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        options = ElasticOptions(scheme="https", ca_certificate=tmp_path / "ca.pem")
        with pytest.raises(StoreError, match=r"elasticsearch\.ca_certificate: there is no file .*ca\.pem"):
            ElasticStore(options)
