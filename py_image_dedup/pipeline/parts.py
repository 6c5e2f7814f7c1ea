"""What a run works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from py_image_dedup.model.events import Observer
from py_image_dedup.model.match import RankedGroup
from py_image_dedup.model.plan import Plan
from py_image_dedup.pipeline.options import Options
from py_image_dedup.store.base import Store

Confirm: TypeAlias = Callable[[Plan, Sequence[RankedGroup]], bool]
"""Asked once, before anything is removed; ``False`` makes the run a dry one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with.

    Attributes:
        store: The index.
        options: What it does.
        observer: Told of everything, from several threads.
        should_stop: Polled by all long work.
        confirm: Asked once, before anything is removed.
    """

    store: Store
    options: Options
    observer: Observer
    should_stop: Callable[[], bool]
    confirm: Confirm | None = None
