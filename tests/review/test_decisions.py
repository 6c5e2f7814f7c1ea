"""Decisions of a person become a plan, with every check that a plan has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup.model.match import Match, MatchClass, RankedGroup
from py_image_dedup.model.plan import ActionKind, OutcomeStatus, Plan
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.unit import Units
from py_image_dedup.removal.executor import execute
from py_image_dedup.removal.plan import ActionChoice, PlanError, RemovalOptions
from py_image_dedup.removal.serialization import path_record, to_json
from py_image_dedup.review.decisions import (
    DecidedPlan,
    Decisions,
    DecisionsError,
    decided_plan,
    decisions_from_json,
    load_decisions,
)
from py_image_dedup.units.names import recognise
from tests.removal.library import RUN, entry, group, plan, put


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """One photo: a keeper, two copies of its bytes, a smaller one, a crop; and another photo with a copy."""
    folder = tmp_path / "photos"
    for name in ("keeper.jpg", "copy 1.jpg", "copy 2.jpg"):
        put(folder / name, b"first photo")
    put(folder / "small.jpg", b"first, small")
    put(folder / "crop.jpg", b"first, cropped")
    put(folder / "other.jpg", b"second photo")
    put(folder / "other copy.jpg", b"second photo")
    return folder


class Case:
    """A run over the photos, and decisions about it."""

    def __init__(self, photos: Path) -> None:
        self.photos = photos
        names = ("copy 1.jpg", "copy 2.jpg", "small.jpg")
        first = group(photos / "keeper.jpg", *(photos / name for name in names))
        second = group(photos / "other.jpg", photos / "other copy.jpg")
        self.groups: tuple[RankedGroup, ...] = (first, second)
        self.reported = (Match(first.keeper, entry(photos / "crop.jpg"), MatchClass.PARTIAL, 0.4),)
        self.plan = plan([photos], self.groups)

    @property
    def result(self) -> RunResult:
        return RunResult(
            RUN, datetime(2026, 1, 2, tzinfo=UTC), True, (self.photos,), 0.1, self.groups, reported=self.reported
        )

    def file(self, name: str) -> dict[str, Any]:
        path = self.photos / name
        return {**to_json(path_record(path)), "digest": (entry(path).digest or b"").hex()}

    def group(self, keeper: str, files: Mapping[str, str], *, not_duplicates: bool = False) -> dict[str, Any]:
        return {
            "keeper": self.file(keeper),
            "not_duplicates": not_duplicates,
            "files": [{**self.file(name), "decision": verdict} for name, verdict in files.items()],
        }

    def decisions(self, *groups: dict[str, Any], run: str = RUN) -> Decisions:
        return decisions_from_json({"version": 1, "run": run, "groups": list(groups)})

    def decide(self, *groups: dict[str, Any], options: RemovalOptions | None = None) -> DecidedPlan:
        return decided_plan(self.plan, self.result, self.decisions(*groups), options or RemovalOptions())

    def removed(self, decided: Plan) -> dict[str, tuple[str, ActionKind]]:
        return {action.source.path.name: (action.keeper.path.name, action.kind) for action in decided.actions}


@pytest.fixture
def case(photos: Path) -> Case:
    return Case(photos)


def test_only_what_was_decided_is_in_the_plan(case: Case) -> None:
    decided = case.decide(case.group("keeper.jpg", {"copy 1.jpg": "remove", "copy 2.jpg": "keep", "small.jpg": "keep"}))
    assert decided.plan.actions == case.plan.actions[:1]
    assert decided.left == ()


def test_a_decision_that_agrees_with_the_plan_takes_its_action_as_it_is(case: Case) -> None:
    edited = replace(case.plan.actions[2], target=case.photos / ".py-image-dedup-quarantine" / "mine" / "small.jpg")
    case.plan = replace(case.plan, actions=(*case.plan.actions[:2], edited, *case.plan.actions[3:]))
    decided = case.decide(case.group("keeper.jpg", {"small.jpg": "remove"}))
    assert decided.plan.actions == (edited,)


def test_another_keeper_replaces_the_first_one(case: Case) -> None:
    decided = case.decide(
        case.group("small.jpg", {"keeper.jpg": "remove", "copy 1.jpg": "remove", "copy 2.jpg": "keep"})
    )
    assert case.removed(decided.plan) == {
        "keeper.jpg": ("small.jpg", ActionKind.QUARANTINE),
        "copy 1.jpg": ("small.jpg", ActionKind.QUARANTINE),
    }
    assert {action.match_class for action in decided.plan.actions} == {MatchClass.SIMILAR}
    assert min(action.number for action in decided.plan.actions) > len(case.plan.actions)


def test_among_identical_files_any_may_be_the_keeper(case: Case) -> None:
    decided = case.decide(case.group("copy 2.jpg", {"keeper.jpg": "remove", "copy 1.jpg": "remove"}))
    assert case.removed(decided.plan) == {
        "keeper.jpg": ("copy 2.jpg", ActionKind.DELETE),
        "copy 1.jpg": ("copy 2.jpg", ActionKind.DELETE),
    }
    assert {action.match_class for action in decided.plan.actions} == {MatchClass.IDENTICAL}


def test_a_part_goes_only_because_a_person_said_so(case: Case) -> None:
    decided = case.decide(case.group("keeper.jpg", {"crop.jpg": "remove"}))
    assert case.removed(decided.plan) == {"crop.jpg": ("keeper.jpg", ActionKind.QUARANTINE)}


def test_a_part_never_replaces_the_whole(case: Case) -> None:
    with pytest.raises(DecisionsError, match=r"keeper\.jpg cannot be removed: .*crop\.jpg shows only a part of it"):
        case.decide(case.group("crop.jpg", {"keeper.jpg": "remove"}))


def test_files_that_do_not_match_the_keeper_cannot_go(case: Case) -> None:
    with pytest.raises(DecisionsError, match=r"other\.jpg does not match .*keeper\.jpg"):
        case.decide(case.group("keeper.jpg", {"other.jpg": "remove"}))


def test_a_file_of_no_group_cannot_go(case: Case) -> None:
    put(case.photos / "lonely.jpg", b"third photo")
    with pytest.raises(DecisionsError, match=r"lonely\.jpg is in no group of this run"):
        case.decide(case.group("keeper.jpg", {"lonely.jpg": "remove"}))


def test_a_decision_about_other_bytes_is_refused(case: Case) -> None:
    put(case.photos / "small.jpg", b"something else")
    with pytest.raises(DecisionsError, match=r"small\.jpg has other content in this run"):
        case.decide(case.group("keeper.jpg", {"small.jpg": "remove"}))


def test_decisions_about_another_run_are_refused(case: Case) -> None:
    decisions = case.decisions(case.group("keeper.jpg", {"small.jpg": "remove"}), run="another")
    with pytest.raises(DecisionsError, match="the decisions are on the run another, but the plan is of"):
        decided_plan(case.plan, case.result, decisions, RemovalOptions())


def test_a_file_that_goes_and_is_a_keeper_as_well_is_refused(case: Case) -> None:
    with pytest.raises(PlanError, match="would be removed by another one"):
        case.decide(case.group("small.jpg", {"keeper.jpg": "remove"}), case.group("keeper.jpg", {"crop.jpg": "remove"}))


def test_a_protected_file_stays_and_the_reason_is_told(case: Case) -> None:
    case.plan = replace(case.plan, protected=(case.photos,), actions=())
    decided = case.decide(case.group("keeper.jpg", {"small.jpg": "remove"}))
    assert decided.plan.actions == ()
    assert decided.left == ((case.photos / "small.jpg", f"it is under the protected folder {case.photos}"),)


def test_the_way_of_removing_is_that_of_the_plan(case: Case) -> None:
    case.plan = plan([case.photos], case.groups, ActionChoice.TRASH)
    decided = case.decide(case.group("keeper.jpg", {"crop.jpg": "remove"}))
    assert case.removed(decided.plan) == {"crop.jpg": ("keeper.jpg", ActionKind.TRASH)}


def test_two_decisions_never_get_one_target(case: Case, tmp_path: Path) -> None:
    case.plan = plan([case.photos], case.groups, ActionChoice.MOVE, tmp_path / "moved")
    wanted = tmp_path / "moved" / "crop.jpg"
    small = next(action for action in case.plan.actions if action.source.path.name == "small.jpg")
    case.plan = replace(case.plan, actions=(replace(small, target=wanted),))
    decided = case.decide(case.group("keeper.jpg", {"small.jpg": "remove", "crop.jpg": "remove"}))
    assert [action.target for action in decided.plan.actions] == [wanted, tmp_path / "moved" / "crop (2).jpg"]


def test_a_decided_plan_is_carried_out_as_any_other(case: Case, tmp_path: Path) -> None:
    decided = case.decide(case.group("small.jpg", {"keeper.jpg": "remove"}), case.group("other.jpg", {}))
    put(case.photos / "small.jpg", b"changed in between")
    outcomes = execute(decided.plan, tmp_path / "run")
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.SKIPPED]
    assert (case.photos / "keeper.jpg").exists()


def test_a_name_that_is_not_utf8_survives(tmp_path: Path) -> None:
    keeper = put(tmp_path / "photos" / "keeper.jpg", b"first photo")
    odd = put(tmp_path / "photos" / "odd\udcff.jpg", b"first photo")
    case = Case.__new__(Case)
    case.photos = tmp_path / "photos"
    case.groups = (group(keeper, odd),)
    case.reported = ()
    case.plan = plan([case.photos], case.groups)
    decided = case.decide(case.group("keeper.jpg", {"odd\udcff.jpg": "remove"}))
    assert [action.source.path for action in decided.plan.actions] == [odd]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "decisions of version 2; this program knows version 1"),
        ({"groups": 3}, r"^\$\.groups must be a list, not a whole number$"),
        ({"groups": [[]]}, r"^\$\.groups\[0\] must be an object, not a list$"),
        ({"kind": "something else"}, r"^\$\.kind must be py-image-dedup decisions; it is 'something else'$"),
        ({"run": None}, r"^\$\.run must be a text, not null$"),
    ],
)
def test_other_values_are_refused_with_their_place(case: Case, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DecisionsError, match=message):
        decisions_from_json({"version": 1, "run": RUN, "groups": []} | change)


def test_files_that_are_not_duplicates_cannot_be_removed(case: Case) -> None:
    with pytest.raises(DecisionsError, match="not duplicates cannot be removed"):
        case.decisions(case.group("keeper.jpg", {"small.jpg": "remove"}, not_duplicates=True))


def test_a_verdict_is_keep_or_remove(case: Case) -> None:
    with pytest.raises(DecisionsError, match=r"files\[0\]\.decision must be keep or remove; it is 'maybe'"):
        case.decisions(case.group("keeper.jpg", {"small.jpg": "maybe"}))


def test_a_file_of_decisions_is_named_when_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "decisions.json").write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(DecisionsError, match=r"decisions\.json: \$ must be an object, not a list"):
        load_decisions(tmp_path / "decisions.json")


class PhotoCase(Case):
    """A run over two copies of a photo of two files; the RAW photo is in a group of its own."""

    def __init__(self, photos: Path) -> None:
        self.photos = photos
        names = ("IMG_1.JPG", "IMG_1.CR2")
        kept, gone = ([put(photos / folder / name, name.encode()) for name in names] for folder in ("a", "b"))
        units = Units((*recognise(photos / "a", names), *recognise(photos / "b", names)))
        self.groups = tuple(group(one, other) for one, other in zip(kept, gone, strict=True))
        self.reported = ()
        self.units = units.units
        self.plan = plan([photos], self.groups, units=units)

    @property
    def result(self) -> RunResult:
        return replace(super().result, units=self.units)


def test_a_decision_on_one_file_of_a_photo_is_one_on_its_photo(tmp_path: Path) -> None:
    case = PhotoCase(tmp_path / "photos")
    decided = case.decide(case.group("a/IMG_1.JPG", {"b/IMG_1.JPG": "remove"}))
    assert decided.plan.actions == case.plan.actions
    assert decided.left == ()


def test_a_photo_of_which_one_file_is_to_be_kept_stays(tmp_path: Path) -> None:
    case = PhotoCase(tmp_path / "photos")
    decided = case.decide(
        case.group("a/IMG_1.JPG", {"b/IMG_1.JPG": "remove"}), case.group("a/IMG_1.CR2", {"b/IMG_1.CR2": "keep"})
    )
    assert decided.plan.actions == ()
    assert decided.left == ((case.photos / "b/IMG_1.JPG", "it is one photo with IMG_1.CR2, which is to be kept"),)


def test_a_person_cannot_tear_a_photo_apart(tmp_path: Path) -> None:
    case = PhotoCase(tmp_path / "photos")
    case.plan = replace(case.plan, actions=())
    decided = case.decide(case.group("a/IMG_1.JPG", {"b/IMG_1.JPG": "remove"}))
    assert decided.plan.actions == ()
    assert decided.left == (
        (case.photos / "b/IMG_1.JPG", "it is one photo with IMG_1.CR2, which would be left behind"),
    )
