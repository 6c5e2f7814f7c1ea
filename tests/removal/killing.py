"""A process that kills itself at a step of its work."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable

from py_image_dedup.removal.journal import Step

KILLED = -signal.SIGKILL


def killed_at(kill_at: int, work: Callable[[Step], object]) -> bool:
    """Run ``work`` in a process that kills itself before the step of this number; tell whether it came to that.

    Nothing can be caught or tidied up: SIGKILL is what a power switch or the system's memory guard does to a process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the test runner has threads; the child uses none of them
        pid = os.fork()
    if pid == 0:
        taken = 0

        def step(name: str, /) -> None:
            nonlocal taken
            taken += 1
            if taken == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            work(step)
            code = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever it was
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, KILLED}, f"the child ended with {code}: see its traceback"
    return code == KILLED
