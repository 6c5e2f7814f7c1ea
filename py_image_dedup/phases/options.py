"""What a run does, phase by phase."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from py_image_dedup.media.formats import EXTENSIONS
from py_image_dedup.phases.analyse import AnalyseOptions
from py_image_dedup.phases.find import FindOptions
from py_image_dedup.rank.rule import Rule
from py_image_dedup.rank.rules import DEFAULT_RULES, RULES
from py_image_dedup.removal.planner import RemovalOptions
from py_image_dedup.scan.selector import Selector


@dataclass(frozen=True, slots=True)
class Options:
    """What a run does, phase by phase.

    Attributes:
        selector: Which files count.
        analyse: How files are read.
        find: What counts as a duplicate.
        rules: Which file of a group stays: the first rule that tells two files apart decides.
        removal: What happens to the others.
        quarantine_days: How long removed files wait in quarantine before a later run deletes them; ``None``: for ever.
        state_directory: Where runs leave their plans and journals, and what one run at a time may use. Without it
            there are dry runs only.
    """

    selector: Selector = field(default_factory=lambda: Selector(EXTENSIONS))
    analyse: AnalyseOptions = field(default_factory=AnalyseOptions)
    find: FindOptions = field(default_factory=FindOptions)
    rules: tuple[Rule, ...] = tuple(RULES[name] for name in DEFAULT_RULES)
    removal: RemovalOptions = field(default_factory=RemovalOptions)
    quarantine_days: float | None = 30
    state_directory: Path | None = None

    @property
    def walked(self) -> Selector:
        """Which files count in this run: what was moved away as a duplicate must not come back as a find."""
        target = self.removal.target_directory
        if target is None:
            return self.selector
        return replace(self.selector, apart=self.selector.apart | {os.fsencode(os.path.normpath(target))})
