"""Matrix products, and what OpenCV does, on the thread that asks for them."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

from threadpoolctl import ThreadpoolController


class _SingleThreadedBlas(AbstractContextManager[None]):
    """While anyone is inside, matrix products and OpenCV use the calling thread and no others.

    Search and verification bring their own threads, and those of BLAS and OpenCV would wait for each other, spinning.
    How many they use is one number for the whole process, so who needs it to be one is counted for the whole process:
    the first sets it, the last puts it back.
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
                opencv = sys.modules.get("cv2")  # who did not load it will not use it
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
"""Enter it around matrix products and OpenCV; any number of threads may be inside, and inside again."""
