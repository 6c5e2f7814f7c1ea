"""The first phase: one walk of the roots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from py_image_dedup.model.events import Observer, PhaseAdvanced, PhaseFinished, PhaseStarted
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Inventory, Root
from py_image_dedup.model.result import PhaseSummary
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk


@dataclass(frozen=True, slots=True)
class Counted:
    """What the walk found.

    Attributes:
        inventory: Every file that counts.
        summary: Files, their bytes, folders that could not be read, and what was skipped, by reason.
    """

    inventory: Inventory
    summary: PhaseSummary


def count(roots: Sequence[Root], selector: Selector, *, observer: Observer, should_stop: Callable[[], bool]) -> Counted:
    """Walk the roots once. See ``scan.walker.walk``."""
    begin = perf_counter()
    observer(PhaseStarted(Phase.COUNT))
    inventory = walk(
        roots, selector, should_stop=should_stop, advanced=lambda files: observer(PhaseAdvanced(Phase.COUNT, files))
    )
    counts = {"files": len(inventory), "bytes": inventory.size, "unreadable": len(inventory.failures)}
    counts |= {"aliases": len(inventory.aliases)} if inventory.aliases else {}
    counts |= {f"skipped-{reason}": number for reason, number in sorted(inventory.skipped.items())}
    summary = PhaseSummary(Phase.COUNT, perf_counter() - begin, counts)
    observer(PhaseFinished(summary))
    return Counted(inventory, summary)
