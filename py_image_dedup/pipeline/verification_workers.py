"""Where pairs are verified: in threads of this process if they are few, in processes of their own if there are many."""

from __future__ import annotations

import queue
import subprocess
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from py_image_dedup.features.extract import unpack
from py_image_dedup.media.process import end, start
from py_image_dedup.model.match import Verdict
from py_image_dedup.pipeline.options import VerificationMethod
from py_image_dedup.signature.blas import single_threaded_blas
from py_image_dedup.verification.picture import Picture
from py_image_dedup.verification.worker import verdicts

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Pair: TypeAlias = tuple[int, int]
Verdicts: TypeAlias = Callable[[], list[Verdict | None]]

_PREPARED: Final = 1_500
"""Pictures that stay ready to be compared: 100 MB of them at most."""
_PAIRS_A_TASK: Final = 8
_PAIRS_A_QUESTION: Final = 64


class Verifying(Protocol):
    """Verifies pairs. Used by one thread at a time."""

    def begin(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> Verdicts:
        """Have pairs of numbers verified, without waiting for it.

        Args:
            pairs: Of numbers.
            packed: The features of those numbers that have some.

        Returns:
            What waits for the verdicts, and returns them in the order of the pairs. It raises ``ValueError`` when what
            the index has of a picture is damaged.
        """

    def close(self) -> None:
        """End what was started; closing twice is no error."""


class InThreads:
    """Verifies in this process. Pictures that were compared lately are kept ready.

    Args:
        verifier: How one pair is looked at.
        threads: How many pairs are looked at at a time.
    """

    def __init__(self, verifier: VerificationMethod, threads: int) -> None:
        self._verify = verifier.verify
        self._prepared: OrderedDict[int, Picture] = OrderedDict()
        self._pool = ThreadPoolExecutor(max(1, threads), "verify")

    def begin(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> Verdicts:
        """See ``Verifying.begin``."""
        pictures = {number: self._picture(number, features) for number, features in packed.items()}
        while len(self._prepared) > _PREPARED:
            self._prepared.popitem(last=False)

        def look_at(some: Sequence[Pair]) -> list[Verdict | None]:
            with single_threaded_blas:
                return verdicts(some, pictures, self._verify)

        answers = self._pool.map(look_at, _slices(pairs, _PAIRS_A_TASK))
        return lambda: list(chain.from_iterable(answers))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _picture(self, number: int, packed: bytes) -> Picture:
        picture = self._prepared.get(number)
        if picture is None:
            picture = self._prepared[number] = Picture(unpack(packed))
        self._prepared.move_to_end(number)
        return picture


class InProcesses:
    """Verifies in processes, each as fast as a core. What one of them cannot answer is verified here.

    Args:
        verifier: How one pair is looked at; has a command.
        processes: How many.
    """

    def __init__(self, verifier: VerificationMethod, processes: int) -> None:
        self._here = InThreads(verifier, 1)
        self._pool = ThreadPoolExecutor(processes, "verify")
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._processes = [_Process(verifier.command) for _ in range(processes)]
        for process in self._processes:
            self._idle.put(process)

    def begin(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> Verdicts:
        """See ``Verifying.begin``."""
        questions = _slices(pairs, _PAIRS_A_QUESTION)
        answers = self._pool.map(lambda some: self._ask(some, packed), questions)

        def collected() -> list[Verdict | None]:
            found: list[Verdict | None] = []
            for question, answer in zip(questions, answers, strict=True):
                found += self._here.begin(question, _of(question, packed))() if answer is None else answer
            return found

        return collected

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._here.close()
        for process in self._processes:
            process.close()

    def _ask(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> list[Verdict | None] | None:
        process = self._idle.get()
        try:
            return process.ask(pairs, _of(pairs, packed))
        finally:
            self._idle.put(process)


class _Process:
    """One process; for one thread at a time. Once it is gone it answers nothing."""

    def __init__(self, command: Sequence[str]) -> None:
        self._connection: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None
        ours, theirs = Pipe()
        with theirs:
            try:
                self._process = start(command, theirs.fileno())
            except OSError:
                ours.close()
                return
        self._connection = ours

    def ask(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> list[Verdict | None] | None:
        if self._connection is None:
            return None
        try:
            self._connection.send((pairs, packed))
            answer: list[Verdict | None] | None = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            return None
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            end(self._process)
            self._process = None


def _of(pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return what belongs to some pairs."""
    return {number: packed[number] for pair in pairs for number in pair if number in packed}


def _slices(pairs: Sequence[Pair], size: int) -> list[Sequence[Pair]]:
    return [pairs[first : first + size] for first in range(0, len(pairs), size)]
