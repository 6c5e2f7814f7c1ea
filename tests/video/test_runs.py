"""Videos in whole runs: found, ranked, moved and brought back as photos are, and never mixed with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import pytest

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.matching.matcher import Scope
from py_image_dedup.media.formats import EXTENSIONS, VIDEO_SUFFIXES
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import OutcomeStatus, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import VIDEO_VERSIONS, AnalyseOptions, FindOptions
from py_image_dedup.ranking.rules import parse_rule
from py_image_dedup.removal.plan import for_run
from py_image_dedup.removal.runs import RUNS_NAME
from py_image_dedup.removal.serialization import PLAN_NAME, load_plan
from py_image_dedup.scan.selector import Selector
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.sites import Site
from tests.support.clips import Clip, Frame, encode, remux


def options(state: Path, *, videos: bool = True) -> Options:
    suffixes = frozenset(VIDEO_SUFFIXES if videos else ())
    return Options(
        selector=Selector(EXTENSIONS | suffixes),
        analyse=AnalyseOptions(threads=1, videos=suffixes),
        find=FindOptions(threads=1),
        state_directory=state,
    )


@dataclass(frozen=True)
class Library:
    """A folder with videos, and runs over it."""

    folder: Path
    state: Path

    def put(self, name: str, data: bytes) -> Path:
        """Store a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def run(
        self,
        *roots: Root,
        dry_run: bool = True,
        change: Callable[[Options], Options] = lambda given: given,
        videos: bool = True,
    ) -> RunResult:
        """Run over the folder, or over other roots."""
        with SqliteStore(self.state / "index.sqlite3") as store:
            work = Deduplicator(store, change(options(self.state, videos=videos)))
            result = work.deduplicate(roots or [Root(self.folder)], dry_run=dry_run)
        assert result.error is None
        return result

    def apply(self, plan: Plan) -> RunResult:
        """Carry out a saved plan."""
        with SqliteStore(self.state / "index.sqlite3") as store:
            return Deduplicator(store, options(self.state)).apply(plan)


def empty_library(folder: Path) -> Library:
    """Make an empty library."""
    (folder / "library").mkdir()
    return Library(folder / "library", folder / "state")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library."""
    return empty_library(tmp_path)


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, original: bytes, edited: dict[str, bytes]
) -> Iterator[tuple[Library, RunResult]]:
    """A video and a smaller copy of it in another folder, with a dry run over both."""
    library = empty_library(tmp_path_factory.mktemp("pair"))
    library.put("holiday.mp4", original)
    library.put("sent/small.mp4", edited["half size"])
    yield library, library.run()
    assert (library.folder / "holiday.mp4").is_file()


@pytest.fixture(scope="module")
def mixed(
    tmp_path_factory: pytest.TempPathFactory, pan: list[Frame], original: bytes, edited: dict[str, bytes]
) -> RunResult:
    """A dry run over a library in which there is some of everything."""
    library = empty_library(tmp_path_factory.mktemp("mixed"))
    library.put("holiday.mp4", original)
    library.put("copy.mp4", original)
    library.put("container.mkv", edited["container"])
    library.put("short.mp4", edited["trimmed 20 %"])
    library.put("subtitled.mp4", edited["subtitles burnt in"])
    library.put("broken.mp4", original[:5000])
    library.put("live/IMG_1.mov", remux(original, "mov"))
    library.put("live/IMG_1.JPG", photo(pan[30]))
    library.put("still.mp4", encode(Clip([pan[0]] * 12)))
    library.put("still photo.png", photo(pan[0]))
    library.put("photo.mp4", photo(pan[20]))
    library.put("film.jpg", encode(Clip(pan[:12])))
    return library.run()


def names(result: RunResult) -> dict[str, list[str]]:
    """The redundant files by their keepers."""
    return {
        group.keeper.stat.path.name: sorted(each.entry.stat.path.name for each in group.redundant)
        for group in result.groups
    }


def photo(frame: Frame) -> bytes:
    return cv2.imencode(".png", frame)[1].tobytes()


def test_copies_of_every_class_are_reported_as_what_they_are(mixed: RunResult) -> None:
    (group,) = mixed.groups
    found = {each.entry.stat.path.name: each.match.match_class for each in group.redundant}
    assert found.pop("copy.mp4") is MatchClass.IDENTICAL
    assert found == {"container.mkv": MatchClass.SAME_PIXELS}
    reported = {match.right.stat.path.name: match.match_class for match in mixed.reported}
    assert reported == {"short.mp4": MatchClass.PARTIAL, "subtitled.mp4": MatchClass.EDITED}
    words = {match.right.stat.path.name: match.evidence.words for match in mixed.reported if match.evidence}
    assert "0.8 s shorter at the end" in words["short.mp4"]


def test_photos_and_videos_never_match_and_the_film_of_a_live_photo_is_left_alone(mixed: RunResult) -> None:
    grouped = {each.entry.stat.path.name for group in mixed.groups for each in group.redundant}
    matched = grouped | {match.right.stat.path.name for match in mixed.reported}
    assert matched.isdisjoint({"IMG_1.mov", "IMG_1.JPG", "still.mp4", "still photo.png", "photo.mp4", "film.jpg"})
    assert mixed.files == 12


def test_the_figures_of_photos_and_videos_are_added_up(mixed: RunResult) -> None:
    (inspected,) = [each for each in mixed.phases if each.phase is Phase.INSPECT]
    assert inspected.counts["videos"] == 7
    assert inspected.counts["compared"] >= 6
    assert inspected.counts["redundant"] == 2


def test_a_video_that_does_not_decode_is_listed_and_a_wrong_name_is_no_reason(mixed: RunResult) -> None:
    (failure,) = mixed.failures
    assert failure.path.name == "broken.mp4"
    assert failure.message == "the file is damaged: moov atom not found"


def test_a_smaller_copy_is_redundant_and_the_rule_says_why(pair: tuple[Library, RunResult]) -> None:
    assert names(pair[1]) == {"holiday.mp4": ["small.mp4"]}
    (group,) = pair[1].groups
    assert group.redundant[0].reason.sentence == "more pixels (128 x 96, the other has 64 x 48)"


def test_the_second_run_decodes_nothing(pair: tuple[Library, RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("py_image_dedup.video.client.VideoWorker.compare", None)
    monkeypatch.setattr("py_image_dedup.video.client.VideoWorker.sample", None)
    assert names(pair[0].run()) == names(pair[1])


def test_a_protected_video_stays_and_replaces_no_better_one(pair: tuple[Library, RunResult]) -> None:
    library = pair[0]
    result = library.run(Root(library.folder), Root(library.folder / "sent", protected=True))
    assert result.outcomes == ()


def test_videos_of_different_scopes_do_not_match(pair: tuple[Library, RunResult]) -> None:
    result = pair[0].run(change=lambda given: replace(given, find=replace(given.find, scope=Scope.FOLDER)))
    assert result.groups == ()
    assert result.reported == ()


def test_an_order_of_folders_comes_before_the_rules_about_videos_and_loses_nothing(
    pair: tuple[Library, RunResult],
) -> None:
    order = parse_rule({"folder-order": ["sent", "library"]})
    result = pair[0].run(change=lambda given: replace(given, rules=(order, *given.rules)))
    assert result.groups == ()
    (match,) = result.reported
    assert match.left.stat.path.name == "small.mp4"
    assert match.inspection is not None
    assert match.inspection.reason == "It has what the keeper lacks: resolution, detail."


def test_a_plan_that_gives_up_the_better_video_is_refused(pair: tuple[Library, RunResult]) -> None:
    library, result = pair
    plan = load_plan(library.state / RUNS_NAME / result.run / PLAN_NAME)
    (action,) = plan.actions
    swapped = replace(
        action,
        source=action.keeper,
        source_digest=action.keeper_digest,
        keeper=action.source,
        keeper_digest=action.source_digest,
        target=action.target.with_name("holiday.mp4") if action.target else None,
    )
    (outcome,) = library.apply(replace(plan, actions=(swapped,))).outcomes
    assert outcome.status is OutcomeStatus.SKIPPED
    assert outcome.message == "It has what the keeper lacks: resolution, detail."


@pytest.mark.elasticsearch
def test_an_index_on_a_server_gives_the_same_result_and_remembers_it(
    pair: tuple[Library, RunResult],
    tmp_path: Path,
    newest_site: Site,
    newest_emptied_index: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = replace(newest_site.options(newest_emptied_index), cache_directory=tmp_path / "cache")
    for _ in range(2):
        with ElasticStore(where) as store:
            work = Deduplicator(store, options(tmp_path / "state"))
            result = work.deduplicate([Root(pair[0].folder)], dry_run=True)
        assert result.error is None
        assert names(result) == {"holiday.mp4": ["small.mp4"]}
        monkeypatch.setattr("py_image_dedup.video.client.VideoWorker.compare", None)
        monkeypatch.setattr("py_image_dedup.video.client.VideoWorker.sample", None)


def test_a_copy_is_quarantined_brought_back_and_removed_by_a_saved_plan(
    library: Library, original: bytes, edited: dict[str, bytes]
) -> None:
    library.put("holiday.mp4", original)
    small = library.put("small.mp4", edited["half size"])
    result = library.run(dry_run=False)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE]
    assert not small.exists()
    with SqliteStore(library.state / "index.sqlite3") as store:
        Deduplicator(store, options(library.state)).undo(result.run)
    assert small.read_bytes() == edited["half size"]
    plan = for_run(load_plan(library.state / RUNS_NAME / result.run / PLAN_NAME), "later")
    assert [outcome.status for outcome in library.apply(plan).outcomes] == [OutcomeStatus.DONE]
    assert not small.exists()


def test_videos_are_not_read_unless_they_take_part(library: Library, original: bytes) -> None:
    library.put("holiday.mp4", original)
    library.put("copy.mp4", original)
    result = library.run(videos=False)
    assert result.files == 0
    assert result.groups == ()


def test_a_batch_compares_its_videos_with_those_that_are_known(
    library: Library, original: bytes, edited: dict[str, bytes]
) -> None:
    library.put("holiday.mp4", original)
    library.put("known copy.mkv", edited["container"])
    library.run()
    small = library.put("sent/small.mp4", edited["half size"])
    film, picture = library.put("live/IMG_1.mov", remux(original, "mov")), library.put("live/IMG_1.JPG", b"x")
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, options(library.state))
        result = work.process([Root(library.folder)], [bytes(small), bytes(film), bytes(picture)], [], dry_run=True)
        entry = store.get(small)
    assert entry is not None
    assert entry.versions == VIDEO_VERSIONS
    [group] = result.groups
    assert {each.path.name for each in group.redundant} >= {"small.mp4"}
    assert "IMG_1.mov" not in {each.path.name for each in (*group.redundant, group.keeper)}, "it belongs to a photo"
    inspected = next(each for each in result.phases if each.phase is Phase.INSPECT)
    assert inspected.counts["videos"] == 3
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, options(library.state))
        assert work.process([Root(library.folder)], [bytes(picture)], [], dry_run=True).groups == ()


def test_two_copies_in_one_batch_are_found(library: Library, original: bytes) -> None:
    paths = [library.put("holiday.mp4", original), library.put("holiday copy.mp4", original)]
    with SqliteStore(library.state / "index.sqlite3") as store:
        work = Deduplicator(store, options(library.state))
        result = work.process([Root(library.folder)], [bytes(path) for path in paths], [], dry_run=True)
    assert names(result) == {"holiday.mp4": ["holiday copy.mp4"]}
