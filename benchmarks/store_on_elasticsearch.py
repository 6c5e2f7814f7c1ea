"""What the Elasticsearch index costs beside the SQLite index, with a real server, in one run.

    python benchmarks/store_on_elasticsearch.py [ENTRIES] [--featured ENTRIES]

The library of ``benchmarks/store.py`` (100,000 entries unless told) goes into both; then, into new indices, as many
entries with local features and visual words as the option says (20,000). The server is the one of the tests
(``ELASTICSEARCH_URL`` uses a running one), with a heap of 1 GB. Each part is printed as wall time, CPU time of this
program, and CPU time of the server; on a busy machine the last two are the ones to compare. The goals:

- put: more than 10,000 entries a second;
- a whole pass of ``pairs``: at most twice that of SQLite, and the time to read the entries;
- reading what a pass reads: less than half of the 4.3 s that documents took;
- a query for one new photo, in eight orientations: 25 ms.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from store import MAX_DISTANCE, ROOT, digest_of, make_entry, make_library, put, random_signatures

from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.store.base import Store
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.elastic.contents import read_contents, with_signature
from py_image_dedup.store.elastic.document import entries_under
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.distribution import NEWEST
from tests.servers.node import prepare, stop_all
from tests.servers.sites import NodeSite, Site, UrlSite


@dataclass
class Clock:
    """Prints how long things take, here and in the server."""

    server: int | None

    def server_seconds(self) -> float:
        """CPU seconds of the server so far."""
        if self.server is None:
            return 0.0
        fields = Path(f"/proc/{self.server}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def time(self, name: str, work: Callable[[], object], parts: int = 1) -> float:
        """Do it, print, and return the wall seconds of a part."""
        began = time.perf_counter(), time.process_time(), self.server_seconds()
        result = work()
        wall, own, server = (
            (now - then) / parts
            for now, then in zip((time.perf_counter(), time.process_time(), self.server_seconds()), began, strict=True)
        )
        words = f"   {result:,}" if isinstance(result, int) else ""
        print(f"{name:44}{wall:10.4f} s{own:10.4f} s here{server:10.4f} s server{words}")
        return wall


@contextmanager
def some_site() -> Iterator[tuple[Site, int | None]]:
    if os.environ.get("ELASTICSEARCH_URL"):
        yield UrlSite(os.environ["ELASTICSEARCH_URL"]), None
        return
    session = Path(tempfile.mkdtemp(prefix="py-image-dedup-benchmark-"))
    session.chmod(0o755)
    try:
        node = replace(prepare(NEWEST, session, "server"), heap=1024)
        node.start(to_last=True)
        yield NodeSite(node), node.pid
    finally:
        stop_all(session)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="?", type=int, default=100_000)
    parser.add_argument("--featured", type=int, default=20_000)
    arguments = parser.parse_args()
    library = list(make_library(arguments.entries))
    with some_site() as (site, pid), tempfile.TemporaryDirectory() as folder:
        clock = Clock(pid)
        options = replace(
            site.options("benchmark"), cache_directory=Path(folder), patience_seconds=60, request_seconds=60
        )
        site.delete("benchmark")
        try:
            with ElasticStore(options) as elastic, SqliteStore(Path(folder) / "index.sqlite3") as sqlite:
                fill(clock, elastic, sqlite, library)
                read(clock, elastic)
                pairs(clock, elastic, sqlite, len(library))
                queries(clock, elastic, sqlite, "as written")
                with site.client() as client:
                    client.options(request_timeout=600).indices.forcemerge(index="benchmark", max_num_segments=1)
                queries(clock, elastic, sqlite, "one segment")
                asked(clock, ElasticStore(replace(options, memory_bytes=0, cache_directory=None)))
            site.delete("benchmark")
            with ElasticStore(options) as elastic, SqliteStore(Path(folder) / "featured.sqlite3") as sqlite:
                featured(clock, elastic, sqlite, list(with_features(library[: arguments.featured])))
        finally:
            site.delete("benchmark")
    return 0


def fill(clock: Clock, elastic: Store, sqlite: Store, library: list) -> None:
    put(elastic, library[:2000])  # a warm server: Java compiles what it runs often
    wall = clock.time(f"put {len(library)} entries, Elasticsearch", lambda: put(elastic, library))
    print(f"{'':44}{len(library) / wall:10,.0f} entries a second")
    wall = clock.time("the same again, the server warm", lambda: put(elastic, library))
    print(f"{'':44}{len(library) / wall:10,.0f} entries a second")
    clock.time("the same, SQLite", lambda: put(sqlite, library))
    print(f"{'on disk, MB':44}{(elastic.size() or 0) / 1e6:10.1f} {(sqlite.size() or 0) / 1e6:10.1f} SQLite")


def read(clock: Clock, elastic: ElasticStore) -> None:
    under = [ROOT]
    for _ in range(2):
        clock.time("stamps", lambda: sum(1 for _ in elastic.stamps(under)))
    inside, count = with_signature(entries_under(under)), elastic.count(under)
    connection = elastic._connection  # noqa: SLF001 - a part of what pairs does
    for _ in range(2):
        clock.time("what a pass of pairs reads", lambda: len(read_contents(connection, "benchmark", inside, count)))
    clock.time("entries, in order", lambda: sum(1 for _ in elastic.entries(under)))
    clock.time("identical", lambda: sum(1 for _ in elastic.identical(under)))
    clock.time("failed", lambda: sum(1 for _ in elastic.failed(under)))
    clock.time("known, 1000 digests", lambda: len(elastic.known(map(digest_of, range(1000)))))
    clock.time("count", lambda: elastic.count(under))


def pairs(clock: Clock, elastic: Store, sqlite: Store, size: int) -> None:
    def found(store: Store) -> int:
        return sum(map(len, store.pairs(MAX_DISTANCE, [ROOT])))

    clock.time("first pass, Elasticsearch", lambda: found(elastic))
    clock.time("first pass, SQLite", lambda: found(sqlite))
    new = [make_entry(number, v) for number, v in zip(range(size, size + 10), random_signatures(9, 10), strict=True)]
    for store, name in ((elastic, "Elasticsearch"), (sqlite, "SQLite")):
        store.put(new)
        clock.time(f"pass after 10 new ones, {name}", lambda store=store: found(store))
        clock.time(f"pass with nothing new, {name}", lambda store=store: found(store))
        store.remove([entry.stat.path for entry in new])


def queries(clock: Clock, elastic: Store, sqlite: Store, name: str) -> None:
    asking = [Signature(values.tobytes()) for values in random_signatures(10, 40)]
    for query in asking * 5:  # a warm server here too
        elastic.similar([query], MAX_DISTANCE, [ROOT])
    for store, words in ((elastic, "Elasticsearch"), (sqlite, "SQLite")):
        for distance in (0.1, 0.2, 0.3):
            for query in asking[:20]:
                store.similar([query], distance, [ROOT])

            def one_by_one(store: Store = store, distance: float = distance) -> None:
                for query in asking[20:]:
                    store.similar([query], distance, [ROOT])

            clock.time(f"a query at {distance}, {words}, {name}", one_by_one, parts=20)
    clock.time("a query at 0.1 of a batch of 40", lambda: len(elastic.similar(asking, 0.1, [ROOT])), parts=40)


def asked(clock: Clock, elastic: Store) -> None:
    """What asking for the pairs costs a content; of the first blocks only, since all would take an hour."""
    year = [ROOT / "library" / "2000"]
    with elastic:
        count = elastic.count(year)
        clock.time(f"pairs of {count} by asking, a content", lambda: sum(map(len, elastic.pairs(0.1, year))), count)


def with_features(library: list[IndexEntry]) -> Iterator[IndexEntry]:
    """Give entries what extraction makes of photographs: 7.6 kB that do not compress, 200 words and 200 mirrored."""
    for number, entry in enumerate(library):
        random = np.random.default_rng([7, number])
        plain, mirrored = (np.unique((random.random(200) ** 2 * (1 << 22)).astype("<u4")) for _ in range(2))
        words = np.concatenate([np.array([len(plain)]), plain, mirrored]).astype("<u4").tobytes()
        versions = Versions(entry.versions.media, entry.versions.signature, 1)
        yield replace(entry, versions=versions, features=random.bytes(7_600), words=words) if entry.digest else entry


def featured(clock: Clock, elastic: Store, sqlite: Store, library: list[IndexEntry]) -> None:
    print(f"\n{len(library)} entries with features and words")
    digests = [entry.digest for entry in library if entry.digest]
    put(elastic, library[:2000])
    for store, name in ((elastic, "Elasticsearch"), (sqlite, "SQLite")):
        wall = clock.time(f"put, {name}", lambda store=store: put(store, library))
        print(f"{'':44}{len(library) / wall:10,.0f} entries a second")
        print(f"{'on disk, kB an entry':44}{(store.size() or 0) / len(library) / 1e3:10.1f}")
        clock.time(f"stamps, {name}", lambda store=store: sum(1 for _ in store.stamps([ROOT])))
        clock.time(f"entries, in order, {name}", lambda store=store: sum(1 for _ in store.entries([ROOT])))
        clock.time(f"identical, {name}", lambda store=store: sum(1 for _ in store.identical([ROOT])))
        clock.time(f"known, 1000 digests, {name}", lambda store=store: len(store.known(digests[::20])))
        clock.time(f"unverified, {name}", lambda store=store: len(store.unverified(1, [ROOT])))
        numbers = list(store.content_ids(digests).values())
        clock.time(f"features of 1000, {name}", lambda store=store, n=numbers: len(store.features(n[:1000])))
        clock.time(f"candidates, the first, {name}", lambda store=store, n=numbers: len(list(store.candidates(n[:1]))))
        clock.time(f"candidates, one more, {name}", lambda store=store, n=numbers: len(list(store.candidates(n[1:2]))))
        clock.time(
            f"candidates, of all, each, {name}",
            lambda store=store, n=numbers: sum(map(len, store.candidates(n))),
            len(numbers),
        )


if __name__ == "__main__":
    np.seterr(all="raise")
    sys.exit(main())
