"""The duplicates that a search found: groups, pairs and lists, and what can be done with them."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from py_image_dedup.model.inspection import Region
from py_image_dedup.model.match import Match, MatchClass, Orientation, Redundant
from py_image_dedup.model.plan import Outcome
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.result_records import totals_of
from py_image_dedup.report.text import count_words, readable, seconds_words, size_words

if TYPE_CHECKING:
    import pandas as pd

    from py_image_dedup.removal.plan import RemovalOptions

_SHOWN_GROUPS: Final = 20
"""Groups that a notebook shows; thumbnails of more would make it slow."""
_SHOWN_FILES: Final = 6


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that match.

    Attributes:
        left: The keeper, or the better file.
        right: The other file.
        match_class: Class of the match.
        distance: Distance of the signatures, 0 (equal) to 1.
        transform: The transform that makes the left picture look like the right one: ``upright``, ``rotate-90``.
        regions: Regions in which the files differ, from the comparison in full.
        redundant: Whether the right file may be removed.
    """

    left: Path
    right: Path
    match_class: MatchClass
    distance: float
    transform: str
    regions: tuple[Region, ...]
    redundant: bool

    @classmethod
    def of(cls, match: Match, *, redundant: bool) -> Pair:
        """Return the pair of a match."""
        regions = () if match.inspection is None else match.inspection.regions
        left, right, transform = match.left.path, match.right.path, match.orientation.label
        return cls(left, right, match.match_class, match.distance, transform, regions, redundant)


class Owner:
    """What a result needs for more than reading: the index that it came from; see ``search.Index``."""

    def apply(self, result: Duplicates, removal: RemovalOptions) -> tuple[Outcome, ...]:
        """Carry out a removal of all redundant files."""
        raise NotImplementedError

    def undo(self, run: str) -> tuple[Outcome, ...]:
        """Restore the files that a run removed."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Duplicates(RunResult):
    """The result of a search. Nothing was removed.

    Attributes:
        unique: Files that have no copy among those that were searched, in the order of their paths.
        parameters: The options of the search, by name.
        owner: The index that the result came from.
        files_by_name: For pictures in memory, the files that they were written to, by the paths in this result.
    """

    unique: tuple[Path, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    owner: Owner = field(default_factory=Owner)
    files_by_name: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def redundant(self) -> tuple[Redundant, ...]:
        """The files that their keepers make redundant, with match and reason."""
        return tuple(each for group in self.groups for each in group.redundant)

    @property
    def lower_quality(self) -> tuple[Path, ...]:
        """The paths of the redundant files: all files of each group but the best one."""
        return tuple(each.path for each in self.redundant)

    def pairs(self) -> tuple[Pair, ...]:
        """Return all matches: of each keeper with its redundant files, then those between files that all stay."""
        grouped = [Pair.of(each.match, redundant=True) for each in self.redundant]
        return (*grouped, *(Pair.of(match, redundant=False) for match in self.reported))

    @property
    def stats(self) -> dict[str, Any]:
        """The parameters, the times of the phases in seconds, and the counts."""
        totals = totals_of(self)
        return {
            "parameters": dict(self.parameters),
            "started": self.started.isoformat(),
            "seconds": {each.phase.value: round(each.seconds, 3) for each in self.phases},
            "counts": {
                "files": totals.files,
                "groups": totals.groups,
                "redundant": totals.redundant,
                "unique": len(self.unique),
                "failures": len(self.failures),
                "bytes_redundant": totals.bytes_redundant,
                "classes": dict(totals.classes),
            },
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a dictionary, in the format of ``result.json`` (``docs/formats.md``)."""
        from py_image_dedup.report.result_json import as_dict

        return as_dict(self)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the result as JSON, in the format of ``result.json``.

        Args:
            path: File to write it to as well.

        Raises:
            OSError: The file cannot be written.
        """
        from py_image_dedup.report.result_json import as_json, write_result

        if path is not None:
            write_result(self, Path(path))
        return as_json(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return the pairs as a table with one row each.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        columns = ["left", "right", "match_class", "distance", "transform", "redundant"]
        rows = [
            (str(pair.left), str(pair.right), pair.match_class.value, pair.distance, pair.transform, pair.redundant)
            for pair in self.pairs()
        ]
        return pd.DataFrame(rows, columns=columns)

    def move_to(self, folder: str | os.PathLike[str], *, merge_metadata: bool = False) -> tuple[Outcome, ...]:
        """Move the redundant files to a folder, each with its path relative to its root; ``undo`` brings them back.

        Args:
            folder: The folder, created if missing.
            merge_metadata: Whether metadata that a keeper lacks are written to its XMP sidecar before; a file whose
                metadata cannot go there is ``skipped``.

        Returns:
            One outcome per file: ``done``, ``skipped`` if it is not as it was found any more, or ``failed``.

        Raises:
            ValueError: The pictures were given in memory.
        """
        from py_image_dedup.removal.plan import ActionChoice, MergeMetadata, RemovalOptions

        merge = MergeMetadata.SIDECAR if merge_metadata else MergeMetadata.NONE
        target = Path(os.path.abspath(folder))  # noqa: PTH100 - keeps links
        return self._apply(RemovalOptions(ActionChoice.MOVE, target, merge_metadata=merge))

    def delete(self, *, yes: bool = False) -> tuple[Outcome, ...]:
        """Delete the redundant files for good; only those with the bytes of their keeper can be brought back.

        Args:
            yes: Whether to delete without asking at the terminal.

        Returns:
            One outcome per file; none if the answer was no.

        Raises:
            ValueError: The pictures were given in memory.
            EOFError: There is no terminal to ask at.
        """
        from py_image_dedup.removal.plan import ActionChoice, RemovalOptions

        size = size_words(sum(each.entry.stat.size for each in self.redundant))
        question = f"Delete {count_words(len(self.redundant), 'file')}, {size}? [y/N] "
        if not yes and input(question).strip().lower() not in ("y", "yes"):
            return ()
        return self._apply(RemovalOptions(ActionChoice.DELETE))

    def undo(self) -> tuple[Outcome, ...]:
        """Restore what ``move_to`` or ``delete`` removed.

        Raises:
            JournalError: Nothing was removed.
        """
        return self.owner.undo(self.run)

    def _apply(self, removal: RemovalOptions) -> tuple[Outcome, ...]:
        if self.files_by_name:
            raise ValueError("pictures in memory cannot be moved or deleted")
        return self.owner.apply(self, removal)

    def __repr__(self) -> str:
        """Return the counts in one line."""
        counts = (
            count_words(self.files, "file"),
            count_words(len(self.groups), "group"),
            f"{len(self.redundant):,} redundant",
            f"{len(self.unique):,} unique",
        )
        failures = (count_words(len(self.failures), "failure"),) if self.failures else ()
        return f"<{type(self).__name__}: {', '.join((*counts, *failures))}>"

    def _repr_html_(self) -> str:
        """Return the groups with thumbnails, for a notebook."""
        totals = totals_of(self)
        size, seconds = size_words(totals.bytes_redundant), seconds_words(totals.seconds)
        rows = [f"<p>{html.escape(repr(self)[1:-1])}; {size} redundant; {seconds}</p>"]
        with _thumbnails(self.files_by_name) as thumbnail:
            for group in self.groups[:_SHOWN_GROUPS]:
                cells = [_cell(thumbnail(group.keeper.path), group.keeper.path, "kept")]
                shown = group.redundant[: _SHOWN_FILES - 1]
                cells += [_cell(thumbnail(each.path), each.path, _words(each.match)) for each in shown]
                more = len(group.redundant) - len(shown)
                cells += [f"and {more:,} more"] if more else []
                rows.append(f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(cells)}</div>')
        if len(self.groups) > _SHOWN_GROUPS:
            rows.append(f"<p>and {len(self.groups) - _SHOWN_GROUPS:,} more groups</p>")
        return "".join(rows)


def _words(match: Match) -> str:
    turned = "" if match.orientation is Orientation.UPRIGHT else f", {match.orientation.label}"
    return f"{match.match_class.value}, {match.distance:.2f}{turned}"


def _cell(picture: str, path: Path, words: str) -> str:
    name, title = html.escape(readable(path.name)), html.escape(readable(path))
    style = "margin:4px;width:160px;font-size:small;overflow-wrap:anywhere"
    caption = f"<figcaption>{name}<br>{html.escape(words)}</figcaption>"
    return f'<figure title="{title}" style="{style}">{picture}{caption}</figure>'


class _thumbnails:  # noqa: N801 - a context manager in the manner of contextlib
    """Provides a function from a path to the HTML of its thumbnail, with one decoder for all."""

    def __init__(self, files: Mapping[Path, Path]) -> None:
        self._files = files

    def __enter__(self) -> Callable[[Path], str]:
        from py_image_dedup.media.rendering import Renderer

        self._renderer = Renderer()
        return self._render

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def _render(self, path: Path) -> str:
        from py_image_dedup.media.limits import MediaError
        from py_image_dedup.media.rendering import RenderedSize

        size = RenderedSize.THUMBNAIL
        try:
            data = self._renderer.render(self._files.get(path, path), size)
        except MediaError as error:
            return html.escape(error.message)
        code = base64.b64encode(data).decode("ascii")
        return f'<img style="max-width:160px;max-height:160px" src="data:{size.media_type};base64,{code}">'


def renamed(result: RunResult, names: Mapping[Path, str]) -> RunResult:
    """Return a result in which files that stand for pictures in memory have the names of these.

    Args:
        result: The result.
        names: The names by file.
    """
    if not names:
        return result

    def match(found: Match) -> Match:
        return replace(found, left=named(found.left), right=named(found.right))

    def named(entry: Any) -> Any:
        name = names.get(entry.stat.path)
        return entry if name is None else replace(entry, stat=replace(entry.stat, path=Path(name)))

    groups = tuple(
        replace(
            group,
            keeper=named(group.keeper),
            redundant=tuple(replace(each, match=match(each.match)) for each in group.redundant),
        )
        for group in result.groups
    )
    failures = tuple(
        replace(failure, path=Path(names[failure.path])) if failure.path in names else failure
        for failure in result.failures
    )
    return replace(result, groups=groups, reported=tuple(map(match, result.reported)), failures=failures, outcomes=())
