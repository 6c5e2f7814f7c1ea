"""Metadata that go to a keeper's sidecar: written before a removal, never lost, taken back by an undo."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.file import Root
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import OutcomeStatus, Plan, SidecarMerge
from py_image_dedup.model.unit import NO_UNITS, Part, PartKind, Unit, Units
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.journal import JournalError, read_history
from py_image_dedup.removal.plan import ActionChoice, MergeMetadata, PlanError, RemovalOptions, check_plan, make_plan
from py_image_dedup.removal.recovery import recover
from py_image_dedup.removal.serialization import plan_from_text, plan_to_text
from py_image_dedup.removal.sidecars import LONGEST
from py_image_dedup.removal.undo import undo
from py_image_dedup.xmp.packet import merged, read
from tests.removal.faults import at, ordinary_user, replace_file
from tests.removal.killing import killed_at
from tests.removal.library import RUN, Seen, contents, group, put, snapshot

LAKE = (("dc:title", ("The lake",)), ("dc:subject", ("lake",)))
SUMMER = (("dc:subject", ("summer",)), ("xmp:Rating", ("5",)))
OLD = merged(b"", {"dc:subject": ("own",), "xmp:Rating": ("2",)}, (4, 3)).replace(b"<rdf:RDF", b"<!-- mine --><rdf:RDF")
BOTH = {"dc:title": ("The lake",), "dc:subject": ("own", "lake", "summer"), "xmp:Rating": ("2",)}


class Library:
    """A keeper, two smaller copies of it with metadata of their own, and perhaps a sidecar."""

    def __init__(self, folder: Path, sidecar: bytes | None = OLD, action: ActionChoice = ActionChoice.AUTO) -> None:
        self.root = folder / "photos"
        self.keeper = put(self.root / "keeper.jpg", b"the best one" * 20)
        self.sidecar = self.root / "keeper.jpg.xmp"
        if sidecar is not None:
            put(self.sidecar, sidecar, mtime_ns=1_450_000_000_000_000_007, mode=0o604)
        self.first = put(self.root / "b" / "first.jpg", b"a smaller one" * 9)
        self.second = put(self.root / "c" / "second.jpg", b"another one" * 7)
        self.before = snapshot(self.root)
        self.run = folder / "runs" / RUN
        self.plan = plan_with(
            self.root,
            [group(self.keeper, self.first, self.second)],
            {self.first: SidecarMerge(self.sidecar, LAKE, 4, 3), self.second: SidecarMerge(self.sidecar, SUMMER, 4, 3)},
            action,
        )

    def merge_all(self) -> dict[str, tuple[str, ...]]:
        assert [each.status for each in execute(self.plan, self.run)] == [OutcomeStatus.DONE] * 2
        return read(self.sidecar.read_bytes())


def plan_with(
    root: Path,
    groups: list[RankedGroup],
    merges: dict[Path, SidecarMerge],
    action: ActionChoice = ActionChoice.AUTO,
    units: Units = NO_UNITS,
) -> Plan:
    options = RemovalOptions(action=action, merge_metadata=MergeMetadata.SIDECAR)
    return make_plan(RUN, groups, [Root(root)], options, taken=os.path.lexists, units=units, merges=merges)


@pytest.fixture(params=["new", "old"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Library]:
    """A new library for every call, without and with a sidecar."""
    numbers = itertools.count()
    return lambda: Library(tmp_path / str(next(numbers)), OLD if request.param == "old" else None)


def test_a_sidecar_gets_what_the_keeper_lacks_and_an_undo_gives_the_tree_back(make: Callable[[], Library]) -> None:
    here = make()
    had = here.sidecar.exists()
    own = {"dc:subject": ("own", "lake", "summer"), "xmp:Rating": ("2",)}
    assert here.merge_all() == (
        {**BOTH, **own} if had else {**dict(LAKE), **dict(SUMMER), "dc:subject": ("lake", "summer")}
    )
    assert stat.S_IMODE(here.sidecar.stat().st_mode) == (0o604 if had else 0o640)
    assert [each.message for each in undo(here.run)] == ["", ""]
    assert snapshot(here.root) == here.before


def test_the_plan_and_the_journal_have_the_metadata(make: Callable[[], Library]) -> None:
    here = make()
    assert plan_from_text(plan_to_text(here.plan)) == here.plan
    here.merge_all()
    history = read_history(here.run)
    assert {number: entry.action.merge for number, entry in history.entries.items()} == {
        action.number: action.merge for action in here.plan.actions
    }
    assert [(each.number, each.before is None, each.undone) for each in history.sidecars] == [
        (1, not any(path.endswith(".xmp") for path in here.before), False),
        (2, False, False),
    ]


def test_an_undo_of_one_file_leaves_the_metadata_of_the_other(make: Callable[[], Library]) -> None:
    here = make()
    here.merge_all()
    undo(here.run, only=[here.first])
    found = read(here.sidecar.read_bytes())
    assert "dc:title" not in found
    assert "lake" not in found["dc:subject"]
    assert "summer" in found["dc:subject"]
    undo(here.run)
    assert snapshot(here.root) == here.before


def test_a_sidecar_that_was_changed_since_stays_and_is_named(make: Callable[[], Library]) -> None:
    here = make()
    here.merge_all()
    changed = merged(here.sidecar.read_bytes(), {"xmp:Label": ("Red",)}, (4, 3))
    replace_file(here.sidecar, changed)
    outcomes = undo(here.run)
    assert [each.status for each in outcomes] == [OutcomeStatus.DONE] * 2
    assert {each.message for each in outcomes} == {f"the sidecar {here.sidecar} was changed since; it stays as it is"}
    assert here.sidecar.read_bytes() == changed
    assert here.first.exists()
    assert here.second.exists()


def killed(make: Callable[[], Library], check: Callable[[Library, int], None]) -> int:
    for number in range(1, 200):
        here = make()
        if not killed_at(number, lambda step, here=here: execute(here.plan, here.run, step=step)):
            return number
        check(here, number)
    raise AssertionError("steps do not end")


def is_whole(here: Library) -> bool:
    """Every picture is somewhere, and so is the sidecar: in the library or in the journal."""
    journal = {each.before for each in read_history(here.run).sidecars}
    return {seen.content for seen in here.before.values() if seen} <= contents(here.root) | journal


def test_a_run_killed_at_any_step_is_gone_on_with_and_taken_back(make: Callable[[], Library]) -> None:
    def check(here: Library, number: int) -> None:
        assert is_whole(here), number
        done = execute(here.plan, here.run)
        assert [each.status for each in done] == [OutcomeStatus.DONE] * 2, number
        assert set(read(here.sidecar.read_bytes())["dc:subject"]) >= {"lake", "summer"}, number
        assert not list(here.root.rglob(".py-image-dedup-2*")), number
        undo(here.run)
        assert snapshot(here.root) == here.before, number

    assert killed(make, check) > 15


def test_a_run_killed_at_any_step_is_taken_back_as_it_is(tmp_path: Path) -> None:
    def check(here: Library, number: int) -> None:
        if here.run.exists() and read_history(here.run).run:
            undo(here.run)
        assert snapshot(here.root) == here.before, number

    numbers = itertools.count()
    assert killed(lambda: Library(tmp_path / str(next(numbers))), check) > 15


def test_an_undo_killed_at_any_step_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(1, 200):
        here = Library(tmp_path / str(number))
        here.merge_all()
        if not killed_at(number, lambda step, here=here: undo(here.run, step=step)):
            break
        assert is_whole(here), number
        undo(here.run)
        assert snapshot(here.root) == here.before, number
    assert number > 15


def test_a_sidecar_that_cannot_be_written_keeps_the_file(tmp_path: Path) -> None:
    here = Library(tmp_path, sidecar=None)
    with ordinary_user(tmp_path):
        here.root.chmod(0o555)
        outcomes = execute(here.plan, here.run)
        here.root.chmod(0o755)
    assert [each.status for each in outcomes] == [OutcomeStatus.FAILED] * 2
    assert "Permission denied" in outcomes[0].message
    assert snapshot(here.root) == here.before


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no XML at all", "cannot be written: it is no XML"), (b" " * (LONGEST + 1), "is larger than 1 MiB")],
)
def test_a_sidecar_that_is_no_xmp_keeps_the_file(content: bytes, message: str, tmp_path: Path) -> None:
    here = Library(tmp_path, sidecar=content)
    outcomes = execute(here.plan, here.run)
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED] * 2
    assert message in outcomes[0].message
    assert snapshot(here.root) == here.before


def test_a_link_in_place_of_a_sidecar_is_not_followed(tmp_path: Path) -> None:
    here = Library(tmp_path, sidecar=None)
    elsewhere = put(tmp_path / "elsewhere.xmp", OLD)
    here.sidecar.symlink_to(elsewhere)
    outcomes = execute(here.plan, here.run)
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED] * 2
    assert "no regular file" in outcomes[0].message
    assert elsewhere.read_bytes() == OLD


def test_a_sidecar_replaced_at_the_last_moment_is_not_overwritten(tmp_path: Path) -> None:
    here = Library(tmp_path)
    fresh = OLD.replace(b"mine", b"other")
    outcomes = execute(here.plan, here.run, step=at("sidecar: written", lambda: replace_file(here.sidecar, fresh)))
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED, OutcomeStatus.DONE]
    assert "was replaced or changed at the last moment" in outcomes[0].message
    assert here.first.exists()
    assert b"other" in here.sidecar.read_bytes()
    assert "lake" not in read(here.sidecar.read_bytes())["dc:subject"]


def test_a_sidecar_that_appears_at_the_last_moment_is_not_overwritten(tmp_path: Path) -> None:
    here = Library(tmp_path, sidecar=None)
    outcomes = execute(here.plan, here.run, step=at("sidecar: written", lambda: put(here.sidecar, OLD)))
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED, OutcomeStatus.DONE]
    assert "appeared at the last moment" in outcomes[0].message
    assert read(here.sidecar.read_bytes())["dc:subject"] == ("own", "summer")


def test_a_file_that_is_not_removed_after_all_leaves_the_sidecar_as_it_was(make: Callable[[], Library]) -> None:
    here = make()
    step = at("sidecar: done", lambda: replace_file(here.first, b"a new photo"))
    outcomes = execute(here.plan, here.run, step=step)
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED, OutcomeStatus.DONE]
    assert "dc:title" not in read(here.sidecar.read_bytes())


def test_a_journal_that_cannot_be_written_stops_before_the_sidecar(
    make: Callable[[], Library], monkeypatch: pytest.MonkeyPatch
) -> None:
    from py_image_dedup.removal.journal import Journal

    def full(*_: object) -> None:
        raise JournalError("the disk is full")

    here = make()
    monkeypatch.setattr(Journal, "record_sidecar", full)
    outcomes = execute(here.plan, here.run)
    assert [each.status for each in outcomes] == [OutcomeStatus.SKIPPED] * 2
    recover(here.run)
    assert snapshot(here.root) == here.before


def unit_library(folder: Path) -> tuple[Path, Plan, Path]:
    """A photo of two files that goes for another one of two; only the picture has metadata of its own."""
    root = folder / "photos"
    keeper, film = put(root / "a.jpg", b"best" * 9), put(root / "a.mov", b"film")
    other, its_film = put(root / "b" / "a.jpg", b"less" * 8), put(root / "b" / "a.mov", b"film")
    units = Units(
        tuple(
            Unit((Part(photo, PartKind.PICTURE), Part(beside, PartKind.FILM)), "a")
            for photo, beside in ((keeper, film), (other, its_film))
        )
    )
    merges = {other: SidecarMerge(root / "a.jpg.xmp", LAKE, 4, 3)}
    groups = [group(keeper, other), group(film, its_film)]
    return root, plan_with(root, groups, merges, units=units), folder / "runs" / RUN


def test_a_photo_of_several_files_goes_with_its_metadata_merged_and_comes_back(tmp_path: Path) -> None:
    root, plan, run = unit_library(tmp_path)
    before: dict[str, Seen | None] = snapshot(root)
    assert {each.status for each in execute(plan, run)} == {OutcomeStatus.DONE}
    assert read((root / "a.jpg.xmp").read_bytes()) == dict(LAKE)
    undo(run)
    assert snapshot(root) == before


def test_a_photo_of_several_files_that_is_put_back_leaves_no_sidecar(tmp_path: Path) -> None:
    root, plan, run = unit_library(tmp_path)
    film = root / "b" / "a.mov"
    step = at("unit: part removed", lambda: replace_file(film, b"another film"))
    assert OutcomeStatus.DONE not in {each.status for each in execute(plan, run, step=step)}
    assert not (root / "a.jpg.xmp").exists()
    assert (root / "b" / "a.jpg").read_bytes() == b"less" * 8


def test_a_plan_writes_only_to_xmp_files_beside_the_keeper(tmp_path: Path) -> None:
    here = Library(tmp_path)
    action = here.plan.actions[0]
    merge = action.merge
    assert merge is not None
    for bad, message in (
        (replace(merge, path=here.keeper), "no XMP sidecar beside"),
        (replace(merge, path=here.root / "b" / "x.xmp"), "no XMP sidecar beside"),
        (replace(merge, properties=(("crs:Exposure2012", ("1",)),)), "no property that is written"),
    ):
        with pytest.raises(PlanError, match=message):
            check_plan(replace(here.plan, actions=(replace(action, merge=bad),)))
    protected = replace(here.plan, actions=(action,), protected=(here.root,), roots=(here.root,))
    with pytest.raises(PlanError, match="protected"):
        check_plan(protected)
