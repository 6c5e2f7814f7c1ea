"""Help and version are there at once: nothing is imported that they do not need."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "PIL",
    "cv2",
    "msgspec",
    "elasticsearch",
    "rich",
    "ruamel",
    "container_app_conf",
    "prometheus_client",
    "watchdog",
)
AT_MOST_SECONDS = 0.3


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["deduplicate", "--help"], ["known", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    probe = (
        "import sys; from py_image_dedup.cli.main import run; "
        f"code = run({arguments!r}); "
        f"print('imported:', sorted(set({HEAVY!r}) & sys.modules.keys()), file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "imported: []"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_are_there_at_once(argument: str) -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    seconds = []
    for _ in range(5):
        before = spent()
        subprocess.run([sys.executable, "-m", "py_image_dedup", argument], stdout=subprocess.DEVNULL, check=True)
        seconds.append(spent() - before)
    # The process waits for nothing, so that its own time is what it takes on a machine that is not busy with tests.
    assert min(seconds) < AT_MOST_SECONDS, seconds
