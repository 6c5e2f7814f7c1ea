"""Between plan and act, and while acting: what is not as planned is skipped with words, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from py_image_dedup.model.events import ActionFinished, Event, PhaseAdvanced
from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import Outcome, OutcomeStatus, Plan
from py_image_dedup.removal import filesystem as durable
from py_image_dedup.removal import filesystem as rename
from py_image_dedup.removal.executor import execute, show
from py_image_dedup.removal.journal import JOURNAL_NAME, Journal, Step, no_step
from py_image_dedup.removal.plan import ActionChoice, PlanError
from py_image_dedup.removal.undo import undo
from tests.removal.faults import at, change_in_place, longest_file, ordinary_user, replace_file, small_disk
from tests.removal.library import group, plan, put, snapshot

BEST, LIKE = b"the best one" * 20, b"a smaller one" * 9


class Library:
    """Two pictures that may go and the one that stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "photos"
        self.out = folder / "out"
        self.run = folder / "run"
        self.keeper = put(self.root / "a" / "keeper.jpg", BEST)
        self.same = put(self.root / "b" / "same.jpg", BEST)
        self.like = put(self.root / "b" / "like.jpg", LIKE)

    def plan(self, action: ActionChoice = ActionChoice.AUTO, target: Path | None = None) -> Plan:
        return plan([self.root], [group(self.keeper, self.same, self.like)], action, target)

    def execute(self, made: Plan, step: Step = no_step) -> tuple[Outcome, ...]:
        return execute(made, self.run, step=step)


@pytest.fixture
def lib(tmp_path: Path) -> Library:
    return Library(tmp_path)


@pytest.fixture
def full(request: pytest.FixtureRequest) -> Iterator[Path]:
    with small_disk("128k") as disk:
        yield disk


def statuses(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [outcome.status.value for outcome in outcomes]


def test_a_dry_run_does_nothing_and_shows_everything(lib: Library) -> None:
    before = snapshot(lib.folder)
    told: list[Event] = []
    made = lib.plan()
    outcomes = show(made, told.append)
    assert statuses(outcomes) == ["planned", "planned"]
    assert [outcome.target for outcome in outcomes] == [None, made.actions[1].target]
    assert snapshot(lib.folder) == before
    assert [event for event in told if isinstance(event, ActionFinished)] == [ActionFinished(one) for one in outcomes]


def test_a_run_deletes_what_is_identical_and_quarantines_the_rest(lib: Library) -> None:
    told: list[Event] = []
    outcomes = execute(lib.plan(), lib.run, observer=told.append)
    assert statuses(outcomes) == ["done", "done"]
    assert not lib.same.exists()
    assert not lib.like.exists()
    assert outcomes[0].target is None
    assert outcomes[1].target is not None
    assert outcomes[1].target.read_bytes() == LIKE
    assert lib.keeper.read_bytes() == BEST
    assert sum(event.steps for event in told if isinstance(event, PhaseAdvanced)) == 2


def test_what_is_done_is_not_done_again(lib: Library) -> None:
    made = lib.plan()
    first = lib.execute(made)
    after = snapshot(lib.root)
    assert lib.execute(made) == first
    assert snapshot(lib.root) == after


def test_a_journal_of_another_plan_is_refused(lib: Library) -> None:
    lib.execute(lib.plan())
    other = plan([lib.root], [group(lib.keeper, put(lib.root / "new.jpg", BEST))])
    with pytest.raises(PlanError, match="journal of another plan"):
        lib.execute(other)
    assert (lib.root / "new.jpg").exists()


def test_a_plan_that_breaks_an_invariant_does_nothing(lib: Library) -> None:
    made = lib.plan()
    with pytest.raises(PlanError, match="protected"):
        lib.execute(replace(made, protected=(lib.root,)))
    assert lib.same.exists()


CHANGES: dict[str, tuple[Callable[[Library], object], str]] = {
    "changed": (lambda lib: lib.like.write_bytes(b"longer than it was before" * 99), "was changed"),
    "touched": (lambda lib: os.utime(lib.like), "was changed"),
    "other bytes behind the same stat": (lambda lib: change_in_place(lib.like, LIKE[::-1]), "has other bytes"),
    "vanished": (lambda lib: lib.like.unlink(), "not there any more"),
    "replaced": (lambda lib: replace_file(lib.like, LIKE), "replaced by another file"),
    "replaced by a link to the keeper": (
        lambda lib: (lib.like.unlink(), lib.like.symlink_to(lib.keeper)),
        "no regular file",
    ),
    "replaced by a folder": (lambda lib: (lib.like.unlink(), lib.like.mkdir()), "no regular file"),
    "replaced by a pipe": (lambda lib: (lib.like.unlink(), os.mkfifo(lib.like)), "no regular file"),
    "keeper changed": (lambda lib: lib.keeper.write_bytes(b"new"), "keeper"),
    "keeper has other bytes behind the same stat": (lambda lib: change_in_place(lib.keeper, BEST[::-1]), "other bytes"),
    "keeper vanished": (lambda lib: lib.keeper.unlink(), "keeper"),
    "keeper replaced by a link": (
        lambda lib: (lib.keeper.rename(lib.root / "moved"), lib.keeper.symlink_to(lib.root / "moved")),
        "keeper",
    ),
    "keeper became a name of the file": (lambda lib: (lib.keeper.unlink(), os.link(lib.like, lib.keeper)), "keeper"),
    "its folder became a link": (
        lambda lib: (lib.like.parent.rename(lib.root / "c"), lib.like.parent.symlink_to(lib.root / "c")),
        "symbolic link",
    ),
    "its folder vanished": (lambda lib: lib.like.parent.rename(lib.folder / "gone"), "not there any more"),
}


@pytest.mark.parametrize(
    ("when", "action"),
    [
        ("before the run", ActionChoice.AUTO),
        ("in the run", ActionChoice.AUTO),
        ("in the run", ActionChoice.MOVE),
        ("in the run", ActionChoice.DELETE),
    ],
)
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_planned_is_skipped(lib: Library, change: str, action: ActionChoice, when: str) -> None:
    do, words = CHANGES[change]
    made = lib.plan(action, lib.out if action is ActionChoice.MOVE else None)
    made = replace(made, actions=made.actions[1:])
    after: list[object] = []

    def happen() -> None:
        do(lib)
        after.append(snapshot(lib.root))

    if when == "before the run":
        happen()
        (outcome,) = lib.execute(made)
    else:
        (outcome,) = lib.execute(made, at("intents flushed", happen))
    assert outcome.status is OutcomeStatus.SKIPPED
    assert words in outcome.message
    assert snapshot(lib.root) == after[0]
    assert outcome.target is None
    assert [one.status.value for one in undo(lib.run)] in ([], ["skipped"])


def test_an_identical_file_is_compared_byte_by_byte(lib: Library) -> None:
    made = lib.plan()
    change_in_place(lib.same, BEST[:-1] + b"X")
    outcome = lib.execute(made)[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "not the same bytes" in outcome.message
    assert lib.same.read_bytes().endswith(b"X")


def test_identical_files_that_changed_alike_are_not_what_was_analysed(lib: Library) -> None:
    made = lib.plan()
    for path in (lib.same, lib.keeper):
        change_in_place(path, BEST[::-1])
    outcome = lib.execute(made)[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "other bytes than when it was analysed" in outcome.message
    assert lib.same.exists()


@pytest.mark.parametrize("across", [False, True])
def test_a_system_without_the_calls_of_linux_does_the_same(
    lib: Library, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, across: bool
) -> None:
    monkeypatch.setattr(durable, "_syncfs", lambda: None)
    monkeypatch.setattr(rename, "_renameat2", lambda: None)
    before = snapshot(lib.root)
    outcomes = lib.execute(lib.plan(target=elsewhere if across else None))
    assert statuses(outcomes) == ["done", "done"]
    assert not lib.like.exists()
    assert statuses(undo(lib.run)) == ["done", "done"]
    assert snapshot(lib.root) == before


def test_the_next_ones_go_on_when_one_is_skipped(lib: Library) -> None:
    made = lib.plan()
    lib.same.unlink()
    assert statuses(lib.execute(made)) == ["skipped", "done"]


@pytest.mark.parametrize("action", [ActionChoice.AUTO, ActionChoice.HARDLINK, ActionChoice.DELETE])
def test_a_file_that_is_saved_anew_at_the_last_moment_is_not_touched(lib: Library, action: ActionChoice) -> None:
    made = lib.plan(action)
    outcome = lib.execute(made, at("stage", lambda: replace_file(lib.same, b"edited")))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "at the last moment" in outcome.message
    assert lib.same.read_bytes() == b"edited"
    assert sorted(path.name for path in lib.same.parent.iterdir() if path.suffix != ".jpg") == []


def test_a_file_that_is_saved_anew_right_before_the_move_stays(lib: Library) -> None:
    made = lib.plan(target=lib.out)
    outcome = lib.execute(made, at("move: rename", lambda: replace_file(lib.same, b"edited")))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert lib.same.read_bytes() == b"edited"
    assert not (lib.out / "b" / "same.jpg").exists()


@pytest.mark.parametrize("do", [lambda lib: lib.keeper.unlink(), lambda lib: replace_file(lib.keeper, b"other")])
def test_a_file_comes_back_if_its_keeper_goes_at_the_last_moment(lib: Library, do: Callable[[Library], object]) -> None:
    made = lib.plan()
    outcome = lib.execute(made, at("staged", lambda: do(lib)))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "keeper" in outcome.message
    assert lib.same.read_bytes() == BEST


def test_a_file_whose_name_is_taken_meanwhile_keeps_its_bytes_and_the_outcome_says_where(lib: Library) -> None:
    made = lib.plan()

    def both() -> None:
        lib.keeper.unlink()
        lib.same.write_bytes(b"somebody else")

    outcome = lib.execute(made, at("staged", both))[0]
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.target is not None
    assert outcome.target.read_bytes() == BEST
    assert str(outcome.target) in outcome.message
    lib.same.unlink()
    assert statuses(undo(lib.run)) == ["skipped", "done"]  # the other one was not removed without its keeper
    assert lib.same.read_bytes() == BEST


@pytest.mark.parametrize("when", ["before the run", "intents flushed", "move: rename"])
def test_a_target_that_appears_is_never_overwritten(lib: Library, when: str) -> None:
    made = lib.plan(target=lib.out)
    target = lib.out / "b" / "same.jpg"
    if when == "before the run":
        put(target, b"somebody else's")
        outcome = lib.execute(made)[0]
    else:
        outcome = lib.execute(made, at(when, lambda: put(target, b"somebody else's")))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "nothing is ever overwritten" in outcome.message
    assert target.read_bytes() == b"somebody else's"
    assert lib.same.read_bytes() == BEST


@pytest.mark.parametrize("when", ["copy: create", "copy: name"])
def test_a_target_that_appears_on_another_file_system_is_never_overwritten(
    lib: Library, elsewhere: Path, when: str
) -> None:
    made = lib.plan(target=elsewhere)
    target = elsewhere / "b" / "same.jpg"
    outcome = lib.execute(made, at(when, lambda: put(target, b"somebody else's")))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert target.read_bytes() == b"somebody else's"
    assert lib.same.read_bytes() == BEST
    assert sorted(path.name for path in target.parent.iterdir()) == ["like.jpg", "same.jpg"]


def test_a_file_that_is_written_to_while_it_is_copied_stays(lib: Library, elsewhere: Path) -> None:
    made = lib.plan(target=elsewhere)
    outcome = lib.execute(made, at("copy: created", lambda: change_in_place(lib.same, BEST[::-1])))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert "changed while it was copied" in outcome.message
    assert lib.same.read_bytes() == BEST[::-1]
    assert [path.name for path in (elsewhere / "b").iterdir()] == ["like.jpg"]


def test_a_copy_that_the_disk_gives_back_wrong_is_no_reason_to_let_the_file_go(lib: Library, elsewhere: Path) -> None:
    made = lib.plan(target=elsewhere)

    def rot() -> None:
        next((elsewhere / "b").glob(".py-image-dedup-*-1.part")).write_bytes(BEST[::-1])

    outcome = lib.execute(made, at("copy: flushed", rot))[0]
    assert outcome.status is OutcomeStatus.FAILED
    assert "gives back other bytes" in outcome.message
    assert lib.same.read_bytes() == BEST
    assert [path.name for path in (elsewhere / "b").iterdir()] == ["like.jpg"]


def test_a_file_that_changes_while_it_is_copied_stays(lib: Library, elsewhere: Path) -> None:
    made = lib.plan(target=elsewhere)
    outcome = lib.execute(made, at("copy: named", lambda: replace_file(lib.same, b"edited")))[0]
    assert outcome.status is OutcomeStatus.SKIPPED
    assert lib.same.read_bytes() == b"edited"
    assert not (elsewhere / "b" / "same.jpg").exists()


def test_a_move_across_file_systems_keeps_times_mode_and_attributes(lib: Library, elsewhere: Path) -> None:
    before = lib.like.stat()
    try:
        os.setxattr(lib.like, "user.tag", b"holiday")
    except OSError:
        pytest.skip("NOT TESTED: extended attributes, because this file system has none")
    outcomes = lib.execute(lib.plan(target=elsewhere))
    assert statuses(outcomes) == ["done", "done"]
    moved = elsewhere / "b" / "like.jpg"
    after = moved.stat()
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert moved.read_bytes() == LIKE
    assert {one.status for one in undo(lib.run)} == {OutcomeStatus.DONE}
    assert os.getxattr(lib.like, "user.tag") == b"holiday"


def test_a_folder_of_the_target_that_is_a_link_is_not_followed(lib: Library) -> None:
    made = lib.plan(target=lib.out)
    lib.out.mkdir()
    (lib.out / "b").symlink_to(lib.root / "a")
    outcomes = lib.execute(made)
    assert statuses(outcomes) == ["skipped", "skipped"]
    assert sorted(path.name for path in (lib.root / "a").iterdir()) == ["keeper.jpg"]


def test_a_target_directory_that_is_a_file_fails_with_words(lib: Library) -> None:
    made = lib.plan(target=lib.out)
    lib.out.write_bytes(b"")
    outcomes = lib.execute(made)
    assert statuses(outcomes) == ["failed", "failed"]
    assert str(lib.out) in outcomes[0].message
    assert lib.same.exists()


def test_a_root_that_is_a_link_works(lib: Library) -> None:
    link = lib.folder / "link"
    link.symlink_to(lib.root)
    made = plan([link], [group(link / "a" / "keeper.jpg", link / "b" / "same.jpg", link / "b" / "like.jpg")])
    before = snapshot(lib.root)
    assert statuses(lib.execute(made)) == ["done", "done"]
    assert sorted(path.name for path in lib.root.iterdir()) == [".py-image-dedup-quarantine", "a", "b"]
    undo(lib.run)
    assert snapshot(lib.root) == before


def test_what_a_protected_folder_protects_is_safe_behind_links_too(lib: Library) -> None:
    alias = lib.folder / "originals"
    alias.symlink_to(lib.like.parent)
    made = plan([Root(lib.root), Root(alias, protected=True)], [group(lib.keeper, lib.same, lib.like)])
    assert len(made.actions) == 2
    outcomes = lib.execute(made)
    assert statuses(outcomes) == ["skipped", "skipped"]
    assert "whose files are never removed" in outcomes[0].message
    assert lib.like.exists()


def test_a_file_that_cannot_be_read_fails_and_the_rest_goes_on(lib: Library) -> None:
    made = lib.plan()
    lib.same.chmod(0)
    with ordinary_user(lib.folder):
        outcomes = lib.execute(made)
    assert statuses(outcomes) == ["failed", "done"]
    assert "ermission denied" in outcomes[0].message
    assert lib.same.exists()


@pytest.mark.parametrize("action", [ActionChoice.AUTO, ActionChoice.MOVE, ActionChoice.HARDLINK, ActionChoice.DELETE])
def test_a_folder_that_cannot_be_written_keeps_its_files(lib: Library, action: ActionChoice) -> None:
    made = lib.plan(action, lib.out if action is ActionChoice.MOVE else None)
    before = snapshot(lib.root)
    with ordinary_user(lib.folder):
        lib.same.parent.chmod(0o555)
        outcomes = lib.execute(made)
        lib.same.parent.chmod(0o755)
    assert set(statuses(outcomes)) == {"failed"}
    assert "right to write" in outcomes[0].message
    assert {path: seen for path, seen in snapshot(lib.root).items() if "quarantine" not in path} == before


def test_a_copy_that_does_not_fit_leaves_nothing_behind(lib: Library, elsewhere: Path) -> None:
    big = put(lib.root / "b" / "big.jpg", os.urandom(200_000))
    made = plan([lib.root], [group(lib.keeper, big, lib.like)], target=elsewhere)
    with longest_file(100_000):
        outcomes = lib.execute(made)
    assert statuses(outcomes) == ["failed", "done"]
    assert "too large" in outcomes[0].message
    assert big.stat().st_size == 200_000
    assert sorted(path.name for path in (elsewhere / "b").iterdir()) == ["like.jpg"]


def test_a_full_disk_fails_with_advice_and_loses_nothing(lib: Library, full: Path) -> None:
    big = put(lib.root / "b" / "big.jpg", os.urandom(200_000))
    made = plan([lib.root], [group(lib.keeper, big, lib.like)], target=full / "out")
    outcomes = lib.execute(made)
    assert statuses(outcomes) == ["failed", "done"]
    assert "No space left" in outcomes[0].message
    assert "make room" in outcomes[0].message
    assert big.stat().st_size == 200_000


def test_a_read_only_disk_fails_with_advice_and_loses_nothing(full: Path, tmp_path: Path) -> None:
    lib = Library(full)
    made = lib.plan()
    before = snapshot(lib.root)
    subprocess.run(["mount", "-o", "remount,ro", full], check=True)
    outcomes = execute(made, tmp_path / "run")
    assert statuses(outcomes) == ["failed", "failed"]
    assert "Read-only" in outcomes[0].message
    assert snapshot(lib.root) == before


@pytest.mark.parametrize("room", range(0, 6000, 250))
def test_nothing_is_done_that_the_journal_could_not_take(lib: Library, room: int) -> None:
    with Journal.of(lib.plan(), lib.run):
        used = (lib.run / JOURNAL_NAME).stat().st_size
    made, before = lib.plan(), snapshot(lib.root)
    with longest_file(used + room):
        try:
            outcomes = lib.execute(made)
        except Exception as error:  # noqa: BLE001 - which one is asserted
            assert type(error).__name__ == "JournalError"  # noqa: PT017 - it may also not be raised
            outcomes = ()
    for outcome in outcomes:
        assert outcome.status in {OutcomeStatus.DONE, OutcomeStatus.SKIPPED}
        assert outcome.status is OutcomeStatus.DONE or "journal" in outcome.message
    if not any(outcome.status is OutcomeStatus.DONE for outcome in outcomes):
        assert snapshot(lib.root) == before
    assert statuses(lib.execute(made)) == ["done", "done"]
    assert {one.status for one in undo(lib.run)} == {OutcomeStatus.DONE}
    assert snapshot(lib.root) == before


def test_a_stop_ends_after_the_file_in_hand_and_the_run_can_be_gone_on_with(lib: Library) -> None:
    made, answers = lib.plan(), iter([False, False, True])
    outcomes = execute(made, lib.run, should_stop=lambda: next(answers, True))
    assert statuses(outcomes) == ["done", "skipped"]
    assert "not reached" in outcomes[1].message
    assert lib.like.exists()
    assert statuses(lib.execute(made)) == ["done", "done"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="descriptors are named by /proc")
@pytest.mark.parametrize("one_wait", [True, False])
def test_what_a_power_failure_would_need_is_on_the_disk_before_each_next_step(
    lib: Library, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, one_wait: bool
) -> None:
    """A kill cannot show this: a killed process loses nothing that it wrote. So the order of the calls is looked at."""
    events: list[str] = []
    fsync, syncfs = os.fsync, durable._syncfs()

    def named(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def telling_fsync(descriptor: int) -> None:
        events.append(f"flush {named(descriptor)}")
        fsync(descriptor)

    def telling_syncfs(descriptor: int) -> int:
        events.append(f"flush all of {os.fstat(descriptor).st_dev}")
        return syncfs(descriptor) if syncfs else 0

    monkeypatch.setattr(os, "fsync", telling_fsync)
    monkeypatch.setattr(durable, "_syncfs", lambda: telling_syncfs if one_wait else None)
    made = lib.plan(target=elsewhere)
    assert statuses(lib.execute(made, events.append)) == ["done", "done"]

    def flushed(name: str, first: str, then: str) -> bool:
        between = events[events.index(first) : len(events) - events[::-1].index(then)]
        return f"flush {name}" in between or f"flush all of {elsewhere.stat().st_dev}" in between

    assert flushed(str(lib.run / JOURNAL_NAME), "intents written", "intents flushed")
    for number in (1, 2):
        part = elsewhere / "b" / f".py-image-dedup-{made.run}-{number}.part"
        assert flushed(str(part), "copy: written", "copy: flushed")
    assert flushed(str(elsewhere / "b"), "copy: named", "stage")
    assert events[-1] == f"flush {lib.run / JOURNAL_NAME}"


def test_names_that_are_no_utf8_survive(lib: Library) -> None:
    odd = os.fsdecode(b"b\xff")
    same = put(lib.root / odd / os.fsdecode(b"caf\xe9.jpg"), BEST, mtime_ns=7_000_000_001)
    like = put(lib.root / odd / os.fsdecode(b"\x80 [2].jpg"), LIKE, mtime_ns=8_000_000_001)
    before = snapshot(lib.root)
    outcomes = lib.execute(plan([lib.root], [group(lib.keeper, same, like)]))
    assert statuses(outcomes) == ["done", "done"]
    assert statuses(undo(lib.run)) == ["done", "done"]
    assert snapshot(lib.root) == before


def test_two_names_of_one_redundant_file_both_go_and_both_come_back(lib: Library) -> None:
    second = lib.root / "b" / "second.jpg"
    os.link(lib.like, second)
    before = snapshot(lib.root)
    outcomes = lib.execute(plan([lib.root], [group(lib.keeper, lib.like, second)], target=lib.out))
    assert statuses(outcomes) == ["done", "done"]
    assert not second.exists()
    undo(lib.run)
    assert snapshot(lib.root) == before


def test_more_than_one_batch_is_done_in_the_order_of_the_plan(lib: Library) -> None:
    many = [put(lib.root / "many" / f"{number}.jpg", LIKE + bytes([number])) for number in range(80)]
    before = snapshot(lib.root)
    told: list[Event] = []
    made = plan([lib.root], [group(lib.keeper, *many)])
    outcomes = execute(made, lib.run, observer=told.append)
    assert [outcome.action.number for outcome in outcomes] == list(range(1, 81))
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.DONE}
    assert len(undo(lib.run)) == 80
    assert snapshot(lib.root) == before
