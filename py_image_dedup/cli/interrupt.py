"""Ctrl-C: the first one stops after the file in hand, the second one at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Listens for Ctrl-C, and for the signal with which a system stops a program, while it is a context.

    Args:
        say: Tells the user that it was heard. Called from a signal handler.
        before_death: Gives the terminal back before the program is ended at once.
    """

    def __init__(self, say: Callable[[str], None], before_death: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self._before_death = before_death
        self._asked = False
        self._former: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Whether it is time to stop."""
        return self._asked

    def __enter__(self) -> Self:
        """Begin to listen."""
        for number in _SIGNALS:
            self._former[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the signals as they were."""
        for number, former in self._former.items():
            signal.signal(number, former)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the user is asked, Ctrl-C is an answer: ``KeyboardInterrupt``."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is Python's
        if self._asked:
            self._before_death()
            # To end by the signal itself is what shells and service managers expect.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._asked = True
        # The signal may have come in the middle of a write to the terminal, which does not take another one.
        with suppress(RuntimeError):
            self._say("Stopping after the file in hand; once more stops at once.")
