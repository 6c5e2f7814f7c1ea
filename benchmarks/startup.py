"""How long the program takes to say something: whole processes, the interpreter's own start included.

The limit for ``--help`` and ``--version`` is 0.3 s.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

LIMIT = 0.3
TIMES = 15
COMMANDS = (["--version"], ["--help"], ["deduplicate", "--help"], ["config", "check"], ["status"])


def main() -> int:
    # As it is installed: with its modules compiled, which some machines keep their interpreters from writing down.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"{'command':<22} {'median':>8} {'best':>8}   (seconds, {TIMES} times)")
    interpreter = _measure([sys.executable, "-c", "pass"])
    print(f"{'the interpreter':<22} {statistics.median(interpreter):8.3f} {min(interpreter):8.3f}")
    slow = False
    with tempfile.TemporaryDirectory() as state:
        for arguments in COMMANDS:
            command = [sys.executable, "-m", "py_image_dedup", "--state-directory", state, *arguments]
            seconds = _measure(command)
            median = statistics.median(seconds)
            limited = arguments[0].startswith("--")
            # On a busy machine the best time says what the program costs, the others what its neighbours do.
            slow = slow or (limited and min(seconds) > LIMIT)
            limit = f"   {min(seconds) / LIMIT:.0%} of the limit" if limited else ""
            print(f"{' '.join(arguments):<22} {median:8.3f} {min(seconds):8.3f}{limit}")
    return int(slow)


def _measure(command: list[str]) -> list[float]:
    seconds = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - begin)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
