"""The number of threads that BLAS and OpenCV use."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

from threadpoolctl import ThreadpoolController


class _SingleThreadedBlas(AbstractContextManager[None]):
    """A reentrant context manager that keeps BLAS and OpenCV to the calling thread.

    Search and verification bring threads of their own; threads of BLAS and OpenCV beside them would wait for each
    other, spinning. The number of threads is a setting of the whole process, so the blocks that are open are counted
    for the whole process: the first one sets it and the last one restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._controller: ThreadpoolController | None = None
        self._undo = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                if self._controller is None:
                    self._controller = ThreadpoolController()
                self._undo.enter_context(self._controller.limit(limits=1, user_api="blas"))
                opencv = sys.modules.get("cv2")  # not imported here: only a process that loaded it will use it
                if opencv is not None:
                    self._undo.callback(opencv.setNumThreads, opencv.getNumThreads())
                    opencv.setNumThreads(1)
            self._users += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._undo.close()


single_threaded_blas = _SingleThreadedBlas()
"""Enter it around matrix products and OpenCV. Any number of threads may hold it, and a thread may enter it again."""
