"""The same library, the same runs, one index in a file and one on Elasticsearch: every result is the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.removal.plan import ActionChoice
from py_image_dedup.store.base import Store, StoreUnavailable
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.proxy import Proxy, Request, Trouble, proxy_to
from tests.servers.sites import Site
from tests.support.whole_runs import Side, make_library

pytestmark = pytest.mark.elasticsearch


@pytest.fixture
def proxy(newest_site: Site) -> Iterator[Proxy]:
    with proxy_to(newest_site.options("").port) as proxy:
        yield proxy


def sides(photos: Path, tmp_path: Path, open_elastic: Callable[[], Store], count: int) -> tuple[Side, Side]:
    file = Side(tmp_path / "sideA", lambda: SqliteStore(tmp_path / "index.sqlite3"))
    server = Side(tmp_path / "sideB", open_elastic)
    make_library(photos, file.photos, count)
    shutil.copytree(file.photos, server.photos)  # copytree keeps the times
    return file, server


def test_runs_from_analysis_to_undo_have_the_same_results(
    photos: Path, tmp_path: Path, elastic_site: Site, emptied_index: str
) -> None:
    options = replace(elastic_site.options(emptied_index), cache_directory=tmp_path / "cache")
    file, server = sides(photos, tmp_path, lambda: ElasticStore(options), 32)

    def both(*, brought_back: bool = False, **run: Any) -> tuple[RunResult, RunResult]:
        results = file.run(**run), server.run(**run)
        told = file.told(results[0]), server.told(results[1])
        if brought_back:
            # SQLite remembers for a while what a removed file held; Elasticsearch forgets it and it is decoded again.
            for each in told:
                (counts,) = (phase["counts"] for phase in each["phases"] if phase["name"] == "analyse")
                counts["known"] += counts.pop("analysed")
        assert told[0] == told[1]
        assert file.files() == server.files()
        return results

    before = file.files()
    assert len(both(dry_run=True)[0].groups) > 10
    for scope in Scope:
        both(dry_run=True, scope=scope, max_distance=0.1)
    both(dry_run=True, max_distance=0.35)
    # New files: only they are read, and searched.
    for side in (file, server):
        shutil.copy2(sorted((side.photos / "one").glob("*.jpg"))[3], side.photos / "two" / "late.jpg")
        (side.photos / "one" / "text.jpg").unlink()
    both(dry_run=True)
    results = both(dry_run=False, action=ActionChoice.MOVE)
    assert {outcome.status for outcome in results[0].outcomes} == {OutcomeStatus.DONE}
    assert file.undo(results[0]) == server.undo(results[1])
    assert set(file.files()) == set(server.files()) == (set(before) - {b"one/text.jpg"}) | {b"two/late.jpg"}
    results = both(dry_run=False, brought_back=True)
    both(dry_run=False)
    assert file.undo(results[0]) == server.undo(results[1])
    both(dry_run=True, brought_back=True)


class TestServerGoesAway:
    """Whatever the phase, the run ends with the reason, nothing is lost, and the next run does the rest."""

    @pytest.fixture
    def side(self, photos: Path, tmp_path: Path, newest_site: Site, newest_emptied_index: str, proxy: Proxy) -> Side:
        options = replace(newest_site.options(newest_emptied_index), port=proxy.port, patience_seconds=0.5)
        side = Side(tmp_path, lambda: ElasticStore(options))
        make_library(photos, side.photos, 9)
        return side

    def cut_from(self, proxy: Proxy, matches: Callable[[Request], bool]) -> None:
        gone: list[bool] = []

        def script(request: Request) -> Trouble | None:
            if matches(request):
                gone.append(True)
            return Trouble(cut=True) if gone else None

        proxy.script = script

    @pytest.mark.parametrize(
        ("phase", "matches"),
        [
            ("cleanup", lambda request: "_pit" in request.path),
            ("analyse", lambda request: b'{"index"' in request.body),
            ("find", lambda request: b'"invariants"' in request.body and "_count" in request.path),
        ],
        ids=["cleanup", "analyse", "find"],
    )
    def test_before_anything_is_removed_nothing_is(
        self, side: Side, proxy: Proxy, phase: str, matches: Callable[[Request], bool]
    ) -> None:
        before = side.files()
        self.cut_from(proxy, matches)
        with pytest.raises(StoreUnavailable, match="no connection"):
            side.run(dry_run=False)
        assert side.files() == before
        proxy.script = lambda request: None
        result = side.run(dry_run=False)
        assert result.error is None
        assert len(result.outcomes) > 3
        assert {outcome.status for outcome in result.outcomes} == {OutcomeStatus.DONE}

    def test_while_files_are_removed_every_removal_is_told_and_can_be_undone(self, side: Side, proxy: Proxy) -> None:
        before = side.files()
        self.cut_from(proxy, lambda request: b'{"delete"' in request.body)
        result = side.run(dry_run=False)
        assert {outcome.status for outcome in result.outcomes} == {OutcomeStatus.DONE}
        assert len(side.files()) < len(before)
        proxy.script = lambda request: None
        assert set(side.undo(result)) == {"done"}
        assert side.files() == before
        assert len(side.run(dry_run=True).outcomes) == len(result.outcomes)
