"""The report of a run for a terminal: each group with its keeper and the reason, what could not be done, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.text import Text

from py_image_dedup.model.failure import Failure, Phase
from py_image_dedup.model.inspection import Inspection
from py_image_dedup.model.match import Match, MatchClass, Orientation, RankedGroup, Reason, Redundant
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import QUARANTINE_NAME, ActionKind, Kept, Outcome, OutcomeStatus, Plan, SidecarMerge
from py_image_dedup.model.result import RunResult
from py_image_dedup.model.series import Series
from py_image_dedup.report.result_records import TotalsRecord, totals_of
from py_image_dedup.report.text import (
    PARTICIPLES,
    below,
    common_folder,
    count_words,
    footage_words,
    outcomes_by_source,
    parts_by_lead,
    readable,
    seconds_words,
    shown_groups,
    size_words,
    unread_words,
)
from py_image_dedup.xmp.properties import words_of

_SCOPES = {
    "root": "files of one root are compared with each other",
    "folder": "files of one folder are compared with each other",
    "against": "files are compared with those of protected folders only",
}
"""Descriptions of the scopes that leave pairs out."""

Draw = Callable[[RankedGroup], str]
"""Returns the pictures of a group as text for a terminal; empty for no pictures."""

WhyItStays = Callable[[RankedGroup, Redundant], str | None]
"""Returns why a redundant file is not removed, or ``None`` if it is."""

_LISTED = 5
"""Number of failures listed per reason; a report file holds all of them."""

_SHORTEST_PHASE = 0.005
"""Seconds; a shorter phase is not listed."""

_VERB = 10
"""Width of the column of verbs, in characters."""

_INFINITIVES = {ActionKind.EXPIRE: "delete permanently from quarantine"}

_STYLES = {
    OutcomeStatus.PLANNED: "yellow",
    OutcomeStatus.DONE: "yellow",
    OutcomeStatus.SKIPPED: "bold red",
    OutcomeStatus.FAILED: "bold red",
}
_INDENT = " " * (_VERB + 4)

_NOT_REMOVED = {
    MatchClass.EDITED: "Edited copies (not removed)",
    MatchClass.PARTIAL: "Crops and partial matches (not removed)",
    MatchClass.ANOTHER_SHOT: "Other shots of the same scene (not removed)",
    MatchClass.NOT_THE_SAME: "Different pictures (not removed)",
}
"""Titles of the matches that are only reported, by class; the other classes come first."""

_ORIENTATIONS = {
    Orientation.MIRROR: "mirrored",
    Orientation.ROTATE_180: "rotated 180°",
    Orientation.FLIP: "flipped",
    Orientation.TRANSPOSE: "mirrored and rotated 270°",
    Orientation.ROTATE_90: "rotated 90°",
    Orientation.TRANSVERSE: "mirrored and rotated 90°",
    Orientation.ROTATE_270: "rotated 270°",
}


def reason_words(reason: Reason) -> str:
    """Return why a keeper is better than another file, such as ``larger (2.7 MiB, the other has 2.1 MiB)``."""
    if reason.sentence:
        return readable(reason.sentence)
    if reason.rule == "path":
        return "all rules are tied, so the path decides"
    return f"{reason.rule.replace('-', ' ')} ({reason.keeper_value}, the other has {reason.redundant_value})"


def inspection_words(inspection: Inspection) -> str:
    """Return what the comparison in full found: its reason, and where the files differ."""
    words = [inspection.reason]
    if inspection.regions:
        first, count = inspection.regions[0], len(inspection.regions)
        place = f"{first.width} x {first.height} pixels at ({first.x}, {first.y}): {first.kind.value}"
        words.append(f"Differs in {place}." if count == 1 else f"Differs in {count:,} regions, such as {place}.")
    return " ".join(words)


def match_words(match: Match) -> str:
    """Return the class of a match, its distance, and what the evidence or the orientation says about it."""
    words = [match.match_class.value]
    if match.match_class not in (MatchClass.IDENTICAL, MatchClass.SAME_PIXELS):
        words.append(f"distance {match.distance:.3f}")
    if match.evidence is not None and match.evidence.words:
        words.extend(match.evidence.words)
    elif match.orientation is not Orientation.UPRIGHT:
        words.append(_ORIENTATIONS[match.orientation])
    return ", ".join(words)


def entry_words(entry: IndexEntry) -> str:
    """Return the resolution, size and format of a file, its number of frames, and what is embedded in it.

    Of a video these are its length, codec, frame rate and sound.
    """
    facts = entry.facts
    words = [size_words(entry.stat.size)]
    if facts is not None:
        words = [f"{facts.width} x {facts.height}", *words, facts.format]
        if facts.footage is not None:
            words.append(footage_words(facts.footage))
        words += [count_words(facts.frames, "frame")] if facts.frames > 1 and facts.footage is None else []
        words += [f"with a {name}" for name in facts.embedded]
    if entry.failure is not None:
        words.append(entry.failure.reason.value)
    return ", ".join(words)


def merge_words(merge: SidecarMerge) -> str:
    """Return what goes to a sidecar, such as "its metadata (title, keywords)"."""
    return f"its metadata ({words_of(name for name, _ in merge.properties)})"


def plan_words(plan: Plan) -> str:
    """Return what a plan does: ``12 files, 34 MiB: 10 to delete, 2 to quarantine``."""
    kinds = Counter(action.kind for action in plan.actions)
    words = ", ".join(f"{count:,} to {_INFINITIVES.get(kind, kind.value)}" for kind, count in kinds.items())
    size = sum(action.source.size for action in plan.actions)
    return f"{count_words(len(plan.actions), 'file')}, {size_words(size)}: {words}"


class TerminalReport:
    """Prints a result. Each path is on a line of its own and never cut, so that it can be searched for and copied.

    Args:
        console: The destination.
        why_it_stays: Returns why a redundant file is not removed.
        quarantine_days: The age at which quarantined files are deleted, in days, for the line that reports it.
        draw: Returns the pictures of a group as text for the terminal; empty for no pictures.
    """

    def __init__(
        self,
        console: Console,
        why_it_stays: WhyItStays | None = None,
        *,
        quarantine_days: float | None = None,
        draw: Draw | None = None,
    ) -> None:
        self._console = console
        self._lines: list[Text] = []
        self._why_it_stays = why_it_stays
        self._quarantine_days = quarantine_days
        self._draw = draw
        self._folder: Path | None = None
        self._parts: Mapping[Path, tuple[Outcome, ...]] = {}
        self._part_paths: Collection[Path] = ()

    def print(self, result: RunResult, *, groups: bool = True) -> None:
        """Print the whole report: groups, removals that were not carried out, unreadable files, totals.

        Args:
            result: The result of the run.
            groups: Whether to print the groups; false if they were printed before.
        """
        self._folder = common_folder(result.roots)
        if groups:
            self.print_groups(result)
            self._print_reported(result.reported)
            self._print_series(result.series)
        self._print_not_carried_out(result.outcomes)
        self._print_failures(result.failures)
        self.print_totals(result)

    def print_groups(self, result: RunResult) -> None:
        """Print each group, its keeper first."""
        self._folder = common_folder(result.roots)
        if not result.groups and not result.outcomes and not result.kept_in_quarantine:
            return
        if self._folder is not None:
            self._line(f"Paths are below {readable(self._folder)}", "dim")
            self._line()
        outcomes = outcomes_by_source(result)
        self._parts = parts_by_lead(result.outcomes)
        self._part_paths = {each.action.source.path for found in self._parts.values() for each in found}
        groups = shown_groups(result)
        for number, group in enumerate(groups, start=1):
            self._print_group(number, len(groups), group, outcomes, dry_run=result.dry_run)
        grouped = {each.entry.stat.path for group in result.groups for each in group.redundant}
        others = [each for path, each in outcomes.items() if path not in grouped]
        expiring = [each for each in others if each.action.kind is ActionKind.EXPIRE]
        self._print_other([each for each in others if each not in expiring], dry_run=result.dry_run)
        self._print_expiring(expiring, result.kept_in_quarantine)

    def _print_other(self, outcomes: Sequence[Outcome], *, dry_run: bool) -> None:
        """Print actions whose groups are unknown, as when a saved plan is carried out."""
        for keeper, found in groupby(outcomes, key=lambda outcome: outcome.action.keeper.path):
            self._file("keep" if dry_run else "kept", keeper, "green")
            for outcome in found:
                source = outcome.action.source
                self._file(_verb(outcome), source.path, _STYLES[outcome.status])
                self._detail(f"{outcome.action.match_class.value}; {size_words(source.size)}")
                self._print_what_happened(outcome)
            self._line()

    def _print_expiring(self, outcomes: Sequence[Outcome], kept: Sequence[Kept]) -> None:
        """Print the files that are permanently deleted from the quarantine, and those that must stay there."""
        if outcomes:
            self._line("Quarantine: files that are permanently deleted because of their age", "bold")
        for outcome in outcomes:
            action = outcome.action
            self._file(_verb(outcome), action.source.path, _STYLES[outcome.status])
            if action.quarantined is not None:
                since = action.quarantined.since.astimezone()
                was = below(action.quarantined.path, self._folder)
                self._detail(f"in quarantine since {since:%Y-%m-%d}; {size_words(action.source.size)}; formerly {was}")
            self._detail(f"Its content is kept in {below(action.keeper.path, self._folder)}")
            self._print_what_happened(outcome)
        if outcomes:
            self._line()
        if kept:
            self._line(f"Kept in quarantine: {count_words(len(kept), 'file')}", "bold")
            self._listed([(each.path, each.reason) for each in kept])
            self._line()

    def _print_group(
        self, number: int, of: int, group: RankedGroup, outcomes: Mapping[Path, Outcome], *, dry_run: bool
    ) -> None:
        self._line(f"Group {number:,} of {of:,}", "bold")
        pictures = self._draw(group) if self._draw is not None else ""
        if pictures:
            self._flush()
            self._console.file.write(pictures)
        first = group.redundant[0].reason
        self._file("keep" if dry_run else "kept", group.keeper.stat.path, "green")
        self._detail(entry_words(group.keeper))
        self._detail(f"Kept: {reason_words(first)}")
        for redundant in group.redundant:
            path = redundant.entry.stat.path
            if path in self._part_paths:
                continue
            outcome = outcomes.get(path)
            if outcome is None:
                self._file("stays", path)
            else:
                self._file(_verb(outcome), path, _STYLES[outcome.status])
            self._detail(f"{match_words(redundant.match)}; {entry_words(redundant.entry)}")
            if redundant.reason.rule != first.rule:
                self._detail(f"The kept file: {reason_words(redundant.reason)}")
            why = self._why_it_stays(group, redundant) if self._why_it_stays and outcome is None else None
            if outcome is not None:
                self._print_what_happened(outcome)
            elif why is not None:
                self._detail(f"Not removed: {why}")
            for part in self._parts.get(path, ()):
                self._print_part(part)
        self._line()

    def _print_part(self, outcome: Outcome) -> None:
        """Print what happens with a further file of a photo."""
        action = outcome.action
        self._file(_verb(outcome), action.source.path, _STYLES[outcome.status])
        kept = below(action.keeper.path, self._folder)
        self._detail(f"part of the same photo; {action.match_class.value} to {kept}; {size_words(action.source.size)}")
        self._print_what_happened(outcome)

    def _print_what_happened(self, outcome: Outcome) -> None:
        if outcome.message:
            self._detail(outcome.message, "red")
        target = outcome.target or outcome.action.target
        # Each root has one quarantine folder, which the totals name.
        if (
            target is not None
            and outcome.action.kind is not ActionKind.QUARANTINE
            and outcome.status in (OutcomeStatus.PLANNED, OutcomeStatus.DONE)
        ):
            self._detail(f"to {below(target, self._folder)}")
        merge = outcome.action.merge
        if merge is not None and outcome.status in (OutcomeStatus.PLANNED, OutcomeStatus.DONE):
            self._detail(f"{merge_words(merge)} to {below(merge.path, self._folder)}")

    def _print_reported(self, matches: Sequence[Match]) -> None:
        """Print the matches that no action follows from."""
        titled: dict[str, list[Match]] = {
            title: [] for title in ("Other matches (not removed)", *_NOT_REMOVED.values())
        }
        for match in matches:
            titled[_NOT_REMOVED.get(match.match_class, "Other matches (not removed)")].append(match)
        for title, found in titled.items():
            if found:
                self._print_matches(title, found)

    def _print_matches(self, title: str, matches: Sequence[Match]) -> None:
        self._line(title, "bold")
        for match in matches:
            self._file("", match.left.stat.path)
            self._file("", match.right.stat.path)
            self._detail(match_words(match))
            if match.inspection is not None:
                self._detail(inspection_words(match.inspection))
        self._line()

    def _print_series(self, series: Sequence[Series]) -> None:
        """Print the bursts and brackets, whose shots look alike and are no copies of each other."""
        if not series:
            return
        self._line("Bursts and exposure brackets (kept as a whole)", "bold")
        shown = [
            (each.first, f"{below(each.first, self._folder)}: first of {each.words}, recognised {each.evidence}")
            for each in series
        ]
        self._listed([(path, words) for path, words in shown])
        self._line()

    def _print_not_carried_out(self, outcomes: Sequence[Outcome]) -> None:
        for status in (OutcomeStatus.SKIPPED, OutcomeStatus.FAILED):
            found = [outcome for outcome in outcomes if outcome.status is status]
            if found:
                self._line(f"{status.value.capitalize()}: {count_words(len(found), 'removal')}", "bold red")
                self._listed([(each.action.source.path, each.message) for each in found])
                self._line()

    def _print_failures(self, failures: Sequence[Failure]) -> None:
        if not failures:
            return
        self._line(f"Unreadable: {count_words(len(failures), 'file')}", "bold")
        ordered = sorted(failures, key=lambda failure: failure.reason.value)
        for reason, group in groupby(ordered, key=lambda failure: failure.reason):
            found = list(group)
            self._line(f"  {reason.value}: {len(found):,}")
            self._listed([(each.path, each.message) for each in found])
        self._line()

    def _listed(self, items: Sequence[tuple[Path, str]]) -> None:
        for path, message in items[:_LISTED]:
            words = readable(message)
            name = "" if readable(path) in words else f"{below(path, self._folder)}: "
            self._line(f"    {name}{words}")
        if len(items) > _LISTED:
            self._line(f"    and {len(items) - _LISTED:,} more; --report FILE.json lists all", "dim")

    def print_totals(self, result: RunResult) -> None:
        """Print the totals."""
        for name, words in totals_lines(result, self._quarantine_days):
            self._lines.append(Text.assemble((f"{name:<14}", "bold"), words))
        self._flush()

    def _file(self, verb: str, path: Path, style: str = "") -> None:
        words = Text.assemble(f"  {verb:<{_VERB}}  ", below(path, self._folder), style=style)
        self._lines.append(words)

    def _detail(self, words: str, style: str = "dim") -> None:
        self._line(_INDENT + words, style)

    def _line(self, words: str = "", style: str = "") -> None:
        self._lines.append(Text(words, style=style))
        if not words:
            self._flush()

    def _flush(self) -> None:
        """Print the collected lines at once: line by line, a console takes minutes for a large library."""
        page = Text("\n").join(self._lines)
        self._lines = []
        if self._console.is_terminal:
            self._console.print(page, soft_wrap=True)
        else:
            self._console.file.write(f"{page.plain}\n")


def _verb(outcome: Outcome) -> str:
    """Return one word for what is, was or was not done with a file."""
    if outcome.status is OutcomeStatus.PLANNED:
        return outcome.action.kind.value
    return PARTICIPLES[outcome.action.kind] if outcome.status is OutcomeStatus.DONE else outcome.status.value.upper()


def totals_lines(result: RunResult, quarantine_days: float | None = None) -> Iterator[tuple[str, str]]:
    """Yield the totals as pairs of a name and a text.

    Args:
        result: The result of the run.
        quarantine_days: The age at which quarantined files are deleted, in days.
    """
    totals = totals_of(result)
    yield "Files", f"{totals.files:,}"
    left_out = _left_out(result)
    if left_out:
        yield "Left out", f"{count_words(left_out, 'new or changed file')} (--skip-analyse-phase)"
    if result.scope in _SCOPES and (len(result.roots) > 1 or result.scope != "root"):
        more = count_words(result.across_scopes, "more group")
        apart = "folders" if result.scope == "folder" else "roots"
        yield "Scope", _SCOPES[result.scope] + (f"; {more} across {apart}: --scope all" if result.across_scopes else "")
    if _is_quick(result):
        yield "Quick answer", "similar files were not compared in full (--no-inspect)"
    if result.groups:
        classes = ", ".join(f"{totals.classes[each]:,} {each.value}" for each in MatchClass if totals.classes.get(each))
        yield "Groups", f"{len(shown_groups(result)):,}"
        yield "Redundant", f"{count_words(totals.redundant, 'file')}, {size_words(totals.bytes_redundant)} ({classes})"
    yield from _removal_lines(result, totals, quarantine_days)
    if result.pruned_folders:
        yield "Emptied", f"{count_words(len(result.pruned_folders), 'folder')} removed"
    if totals.failures:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(totals.failures.items()))
        yield "Unreadable", f"{count_words(sum(totals.failures.values()), 'file')} ({reasons})"
    if result.unread:
        yield "Not read", unread_words(result.unread)
    phases = ", ".join(
        f"{each.phase.value} {seconds_words(each.seconds)}" for each in result.phases if each.seconds >= _SHORTEST_PHASE
    )
    yield "Time", f"{seconds_words(totals.seconds)} ({phases})" if phases else seconds_words(totals.seconds)


def _removal_lines(result: RunResult, totals: TotalsRecord, quarantine_days: float | None) -> Iterator[tuple[str, str]]:
    """Yield the totals of the removal."""
    done = [
        each
        for each in result.outcomes
        if each.status is OutcomeStatus.DONE and each.action.kind is not ActionKind.EXPIRE
    ]
    if done:
        kinds = Counter(PARTICIPLES[each.action.kind] for each in done)
        words = ", ".join(f"{kinds[word]:,} {word}" for word in PARTICIPLES.values() if kinds[word])
        yield "Removed", f"{count_words(len(done), 'file')}, {size_words(totals.bytes_reclaimable)} ({words})"
    elif totals.outcomes.get("planned"):
        planned = count_words(totals.outcomes["planned"], "file")
        yield "Can be freed", f"{size_words(totals.bytes_reclaimable)} in {planned}"
    stopped = [f"{totals.outcomes[each]:,} {each}" for each in ("skipped", "failed") if totals.outcomes.get(each)]
    if stopped:
        yield "Not removed", ", ".join(stopped)
    yield from _quarantine_lines(result, quarantine_days)


def _quarantine_lines(result: RunResult, quarantine_days: float | None) -> Iterator[tuple[str, str]]:
    """Yield the totals of the quarantine: where it is, files deleted from it, and files that must stay there."""
    if any(each.action.kind is ActionKind.QUARANTINE for each in result.outcomes):
        yield "Quarantine", f"{QUARANTINE_NAME}/{readable(result.run)} in each root"
    age = "" if quarantine_days is None else f" older than {count_words(round(quarantine_days), 'day')}"
    expired = sum(each.counts.get("expired", 0) for each in result.phases)
    if expired:
        yield "Quarantine", f"{count_words(expired, 'file')}{age} permanently deleted"
    planned = [each for each in result.outcomes if each.status is OutcomeStatus.PLANNED]
    expiring = sum(each.action.kind is ActionKind.EXPIRE for each in planned)
    if expiring:
        yield "Quarantine", f"{count_words(expiring, 'file')}{age} to be permanently deleted"
    if result.kept_in_quarantine:
        yield "Quarantine", f"{count_words(len(result.kept_in_quarantine), 'file')}{age} kept: no whole keeper is left"


def _left_out(result: RunResult) -> int:
    """Return the number of new and changed files that a run searched without, because it skipped the analysis."""
    counts = {each.phase: each.counts for each in result.phases}
    if Phase.FIND not in counts or Phase.ANALYSE in counts:
        return 0
    return counts.get(Phase.CLEANUP, {}).get("stale", 0)


def _is_quick(result: RunResult) -> bool:
    """Return whether a run ranked files without comparing them in full."""
    phases = {each.phase for each in result.phases}
    classes = {each.match.match_class for group in result.groups for each in group.redundant}
    ranked = Phase.RANK in phases and not result.interrupted and result.error is None
    return ranked and Phase.INSPECT not in phases and bool(classes - {MatchClass.IDENTICAL})
