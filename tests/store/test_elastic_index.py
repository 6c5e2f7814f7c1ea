from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from py_image_dedup.signature.compute import SIGNATURE_VERSION
from py_image_dedup.store.base import StoreError, StoreUnavailable
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.elastic import index as migration_module
from py_image_dedup.store.elastic.index import SCHEMA_VERSION, concrete_name, definition
from py_image_dedup.store.elastic.orientation_invariants import DIMENSIONS
from py_image_dedup.store.elastic.reader import Hit, Reading
from tests.servers.sites import Site
from tests.store.contract_verdicts import featured, vocabulary
from tests.store.samples import digest_of, entry_of, failed_entry, found_pairs, random_signatures

pytestmark = pytest.mark.elasticsearch


@pytest.fixture
def client(newest_site: Site) -> Iterator[Elasticsearch]:
    with newest_site.client() as client:
        yield client


def make(client: Elasticsearch, concrete: str, alias: str | None, **meta: Any) -> None:
    made = definition()
    made["mappings"]["_meta"] |= meta
    client.indices.create(
        index=concrete, mappings=made["mappings"], settings=made["settings"], aliases={alias: {}} if alias else None
    )


def test_the_index_is_made_with_a_strict_mapping_behind_an_alias(
    newest_site: Site, newest_index: str, client: Elasticsearch
) -> None:
    ElasticStore(replace(newest_site.options(newest_index), shards=2)).close()
    described = client.indices.get(index=newest_index)
    (concrete,) = described
    assert concrete == f"{newest_index}-v{SCHEMA_VERSION}"
    mappings = described[concrete]["mappings"]
    assert mappings["dynamic"] == "strict"
    assert mappings["_meta"] == {"program": "py-image-dedup", "schema": SCHEMA_VERSION, "signature": SIGNATURE_VERSION}
    assert mappings["properties"]["invariants"]["dims"] == DIMENSIONS
    assert mappings["properties"]["invariants"]["index_options"]["type"] == "flat"
    assert described[concrete]["settings"]["index"]["number_of_shards"] == "2"


def test_a_missing_index_is_not_made_when_it_may_not_be_and_the_message_is_a_recipe(
    newest_site: Site, newest_index: str
) -> None:
    options = replace(newest_site.options(newest_index), auto_create_index=False)
    with pytest.raises(StoreError, match="auto_create_index is false") as caught:
        ElasticStore(options)
    assert not isinstance(caught.value, StoreUnavailable)
    commands = re.search(r"(curl .*)", str(caught.value))
    assert commands is not None
    done = subprocess.run(["sh", "-ec", commands[1]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with ElasticStore(options) as store:
        store.put([entry_of("/a/x.jpg")])
        assert store.count(None) == 1


def test_an_index_of_another_program_is_refused_and_left_alone(
    newest_site: Site, newest_index: str, client: Elasticsearch
) -> None:
    client.index(index=newest_index, id="1", document={"path": "/a/x.jpg", "simple_word_0": 5})
    with pytest.raises(StoreError, match="not created by py-image-dedup 3"):
        ElasticStore(newest_site.options(newest_index))
    assert client.get(index=newest_index, id="1")["_source"]["simple_word_0"] == 5


@pytest.mark.parametrize("newer", [{"schema": SCHEMA_VERSION + 1}, {"signature": SIGNATURE_VERSION + 1}])
def test_an_index_of_a_newer_version_is_refused(
    newest_site: Site, newest_index: str, client: Elasticsearch, newer: dict[str, int]
) -> None:
    make(client, f"{newest_index}-v{SCHEMA_VERSION}", newest_index, **newer)
    with pytest.raises(StoreError, match="was created by a newer py-image-dedup"):
        ElasticStore(newest_site.options(newest_index))


def test_an_index_without_an_alias_is_refused(newest_site: Site, newest_index: str, client: Elasticsearch) -> None:
    make(client, newest_index, None)
    with pytest.raises(StoreError, match="must be an alias"):
        ElasticStore(newest_site.options(newest_index))


def test_an_alias_of_several_indices_is_refused(newest_site: Site, newest_index: str, client: Elasticsearch) -> None:
    make(client, f"{newest_index}-v{SCHEMA_VERSION}", newest_index)
    make(client, f"{newest_index}-other", newest_index)
    with pytest.raises(StoreError, match="refers to several indices"):
        ElasticStore(newest_site.options(newest_index))


def test_an_index_that_lost_its_alias_gets_it_back(newest_site: Site, newest_index: str, client: Elasticsearch) -> None:
    with ElasticStore(newest_site.options(newest_index)) as store:
        store.put([entry_of("/a/x.jpg")])
    client.indices.delete_alias(index=concrete_name(newest_index), name=newest_index)
    with ElasticStore(newest_site.options(newest_index)) as store:
        assert store.count(None) == 1


def test_the_recorded_signature_version_grows_with_the_program(
    newest_site: Site, newest_index: str, client: Elasticsearch
) -> None:
    make(client, f"{newest_index}-v{SCHEMA_VERSION}", newest_index, signature=SIGNATURE_VERSION - 1)
    ElasticStore(newest_site.options(newest_index)).close()
    (described,) = client.indices.get_mapping(index=newest_index).values()
    assert described["mappings"]["_meta"]["signature"] == SIGNATURE_VERSION


class TestMigration:
    LIBRARY = (
        *(entry_of(f"/a/{place}.jpg", signature=values) for place, values in enumerate(random_signatures(1, 30))),
        entry_of("/a/copy.jpg", content="/a/3.jpg", signature=random_signatures(1, 30)[3]),
        failed_entry("/a/b/broken.jpg"),
    )

    @pytest.fixture
    def old(self, newest_site: Site, newest_index: str, client: Elasticsearch) -> str:
        """An index of an older schema and with older signatures, in two shards, with entries."""
        concrete = f"{newest_index}-v{SCHEMA_VERSION - 1}"
        with ElasticStore(newest_site.options(newest_index)) as store:
            store.put(self.LIBRARY)
        client.indices.refresh(index=newest_index)
        documents = client.search(index=newest_index, size=100)["hits"]["hits"]
        client.indices.delete(index=concrete_name(newest_index))
        made = definition()
        made["mappings"]["_meta"] |= {"schema": SCHEMA_VERSION - 1, "signature": SIGNATURE_VERSION - 1}
        made["mappings"]["properties"]["rest"] = {"type": "binary"}
        settings = {"number_of_shards": 2, "number_of_replicas": 0}
        client.indices.create(index=concrete, mappings=made["mappings"], settings=settings, aliases={newest_index: {}})
        for document in documents:
            client.index(index=concrete, id=document["_id"], document=document["_source"])
        client.indices.refresh(index=concrete)
        return concrete

    def test_an_older_index_is_copied_and_switched(
        self, newest_site: Site, newest_index: str, client: Elasticsearch, old: str
    ) -> None:
        with ElasticStore(newest_site.options(newest_index)) as store:
            assert list(store.entries(None)) == sorted(self.LIBRARY, key=lambda entry: entry.stat.raw_path)
            found = store.similar([entry.signature for entry in self.LIBRARY[:1] if entry.signature], 0.1, None)
            assert [neighbour.distance for neighbour in found[0]] == [0.0]
        (described,) = client.indices.get(index=f"{newest_index}*").values()
        assert list(described["aliases"]) == [newest_index]
        assert described["mappings"]["_meta"]["schema"] == SCHEMA_VERSION
        assert described["settings"]["index"]["number_of_shards"] == "2"

    def test_an_interrupted_copy_leaves_the_old_index_and_is_done_again(
        self,
        newest_site: Site,
        newest_index: str,
        client: Elasticsearch,
        old: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        write: Callable[..., int] = migration_module.write

        def write_and_stop(*arguments: Any, **named: Any) -> int:
            write(*arguments, **named)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(migration_module, "write", write_and_stop)
            patch.setattr(migration_module, "DOCUMENTS_A_PAGE", 10)
            with pytest.raises(KeyboardInterrupt):
                ElasticStore(newest_site.options(newest_index))
        assert list(client.indices.get_alias(name=newest_index)) == [old]
        assert client.count(index=old)["count"] == len(self.LIBRARY)
        with ElasticStore(newest_site.options(newest_index)) as store:
            assert list(store.entries(None)) == sorted(self.LIBRARY, key=lambda entry: entry.stat.raw_path)


class TestPaths:
    def test_paths_longer_than_the_server_sorts_come_in_order(self, newest_site: Site, newest_index: str) -> None:
        start = "/a" + "/very-long-folder-name" * 1_000
        paths = [f"{start}/{name}" for name in ("c.jpg", "a.jpg", "b.jpg")] + [
            f"{start}.jpg",
            "/a/z.jpg",
            "/a/\udcff.jpg",
        ]
        with ElasticStore(newest_site.options(newest_index)) as store:
            store.put([entry_of(path) for path in paths])
            entries = list(store.entries(None))
            assert [entry.stat.raw_path for entry in entries] == sorted(entry.stat.raw_path for entry in entries)
            assert {str(entry.stat.path) for entry in entries} == set(paths)
            assert store.count([Path(start)]) == 3
            assert store.count([Path("/a")]) == 6
            assert store.remove([Path(path) for path in paths]) == 6

    def test_people_find_entries_by_plain_fields(
        self, newest_site: Site, newest_index: str, client: Elasticsearch
    ) -> None:
        with ElasticStore(newest_site.options(newest_index)) as store:
            store.put([entry_of("/a/Zoë.jpg"), failed_entry("/a/\udcff.jpg")])
            assert store.count(None) == 2
        by_path = client.search(index=newest_index, query={"prefix": {"path": "/a/Zo"}})["hits"]["hits"]
        assert [hit["_source"]["facts"]["width"] for hit in by_path] == [4000]
        failed = client.search(index=newest_index, query={"term": {"failure.reason": "no-permission"}})["hits"]["hits"]
        assert [hit["_source"]["path"] for hit in failed] == ["/a/?.jpg"]


class TestSeveralPrograms:
    def test_two_programs_on_different_roots_do_not_disturb_each_other(
        self, newest_site: Site, newest_index: str
    ) -> None:
        values = random_signatures(3, 2)
        options = newest_site.options(newest_index)
        with ElasticStore(options) as one, ElasticStore(options) as other:
            for number in range(10):
                one.put([entry_of(f"/one/{number}.jpg", signature=values[0])])
                other.put([entry_of(f"/other/{number}.jpg", signature=values[0])])
            assert one.count([Path("/one")]) == other.count([Path("/other")]) == 10
            assert one.count(None) == 20
            pairs = found_pairs(one, 0.1, [Path("/one")])
            assert len(pairs) == 45
            one.remove([Path(f"/one/{number}.jpg") for number in range(10)])
            assert other.count([Path("/one")]) == 0
            assert other.count([Path("/other")]) == 10

    def test_two_programs_may_make_the_index_at_the_same_time(self, newest_site: Site, newest_index: str) -> None:
        from concurrent.futures import ThreadPoolExecutor

        options = newest_site.options(newest_index)
        with ThreadPoolExecutor(4) as pool:
            stores = list(pool.map(lambda _: ElasticStore(options), range(4)))
        for number, store in enumerate(stores):
            store.put([entry_of(f"/a/{number}.jpg")])
        assert [store.count(None) for store in stores] == [4] * 4
        for store in stores:
            store.close()


class TestWords:
    """Visual words are read once."""

    def test_a_later_look_reads_what_was_written_since_by_whomever(self, newest_site: Site, newest_index: str) -> None:
        read = 0
        with (
            ElasticStore(newest_site.options(newest_index)) as store,
            ElasticStore(newest_site.options(newest_index)) as other,
        ):
            pages = store._reader.pages

            def counting(under: Sequence[Path] | None, reading: Reading) -> Iterator[Sequence[Hit]]:
                nonlocal read
                for hits in pages(under, reading):
                    read += len(hits)
                    yield hits

            store._reader.pages = counting  # type: ignore[method-assign]
            store.put([featured(f"/a/{number}.jpg", vocabulary(number)) for number in range(30)])
            list(store.candidates([]))
            assert read == 30
            other.put([featured("/a/new.jpg", vocabulary(7))])
            other.count(None)  # which makes what was written visible to searches
            digest = digest_of("/a/new.jpg")
            (new,) = store.content_ids([digest]).values()
            read = 0
            assert len(next(iter(store.candidates([new])))) == 1
            assert read == 2  # its words for the index, and its words to ask with

    def test_the_words_of_a_recreated_index_are_read_again(
        self, newest_site: Site, newest_index: str, client: Elasticsearch
    ) -> None:
        with ElasticStore(newest_site.options(newest_index)) as store:
            store.put([featured(f"/a/{number}.jpg", vocabulary(1)) for number in range(3)])
            list(store.candidates([]))
            for concrete in client.indices.get(index=newest_index):
                client.indices.delete(index=concrete)
            with ElasticStore(newest_site.options(newest_index)) as other:
                other.put([featured("/a/x.jpg", vocabulary(1)), featured("/a/y.jpg", vocabulary(1))])
                assert other.count(None) == 2  # which makes what was written visible to searches
            numbers = store.content_ids([digest_of("/a/x.jpg"), digest_of("/a/y.jpg")])
            (suspects,) = store.candidates([numbers[digest_of("/a/x.jpg")]])
            assert list(suspects) == [numbers[digest_of("/a/y.jpg")]]
