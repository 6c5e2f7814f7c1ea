"""Executors of geometric verification: threads of this process for few pairs, worker processes for many."""

from __future__ import annotations

import queue
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from py_image_dedup.features.extract import unpack
from py_image_dedup.media.process import Worker, start_worker
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
"""Number of prepared pictures that stay in memory: 100 MB at most."""
_PAIRS_PER_TASK: Final = 8
_PAIRS_PER_REQUEST: Final = 64


class Verifying(Protocol):
    """An executor of verification. Not thread-safe."""

    def begin(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> Verdicts:
        """Start verifying pairs.

        Args:
            pairs: Pairs of content ids.
            packed: Packed features of those contents that have some, by id.

        Returns:
            A function that waits for the verdicts and returns them in the order of the pairs. It raises ``ValueError``
            if the index entry of a picture is damaged.
        """

    def close(self) -> None:
        """Stop the threads or processes; closing twice is not an error."""


class InThreads:
    """Verifies in threads of this process; the last used pictures stay prepared.

    Args:
        verifier: The method that verifies one pair.
        threads: Number of pairs that are verified at a time.
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

        def verify_some(some: Sequence[Pair]) -> list[Verdict | None]:
            with single_threaded_blas:
                return verdicts(some, pictures, self._verify)

        answers = self._pool.map(verify_some, _slices(pairs, _PAIRS_PER_TASK))
        return lambda: list(chain.from_iterable(answers))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _picture(self, number: int, packed: bytes) -> Picture:
        picture = self._prepared.get(number)
        if picture is None:
            picture = self._prepared[number] = Picture(unpack(packed))
        self._prepared.move_to_end(number)
        return picture


class InProcesses:
    """Verifies in worker processes. Pairs whose worker failed are verified in this process.

    Args:
        verifier: The method that verifies one pair; it has a command.
        processes: Number of worker processes.
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
        requests = _slices(pairs, _PAIRS_PER_REQUEST)
        answers = self._pool.map(lambda some: self._request(some, packed), requests)

        def collected() -> list[Verdict | None]:
            found: list[Verdict | None] = []
            for request, answer in zip(requests, answers, strict=True):
                found += self._here.begin(request, _of(request, packed))() if answer is None else answer
            return found

        return collected

    def close(self) -> None:
        """Stop the processes."""
        self._pool.shutdown(cancel_futures=True)
        self._here.close()
        for process in self._processes:
            process.close()

    def _request(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> list[Verdict | None] | None:
        process = self._idle.get()
        try:
            return process.request(pairs, _of(pairs, packed))
        finally:
            self._idle.put(process)


class _Process:
    """One worker process. Not thread-safe; once the process is gone, requests return ``None``."""

    def __init__(self, command: Sequence[str]) -> None:
        self._worker: Worker[Connection] | None = None
        with suppress(OSError):
            self._worker = start_worker(command, Pipe)

    def request(self, pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> list[Verdict | None] | None:
        if self._worker is None:
            return None
        try:
            self._worker.connection.send((pairs, packed))
            answer: list[Verdict | None] | None = self._worker.connection.recv()
        except (EOFError, OSError):
            self.close()
            return None
        return answer

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _of(pairs: Sequence[Pair], packed: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the packed features of the contents of some pairs."""
    return {number: packed[number] for pair in pairs for number in pair if number in packed}


def _slices(pairs: Sequence[Pair], size: int) -> list[Sequence[Pair]]:
    return [pairs[first : first + size] for first in range(0, len(pairs), size)]
