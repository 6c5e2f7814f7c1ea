"""The daemon under random events for minutes: `make soak`. PY_IMAGE_DEDUP_SOAK_SECONDS and _SEED choose them."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from py_image_dedup.api import find_duplicates
from py_image_dedup.model.match import Match
from tests.daemon.process import DaemonProcess
from tests.support.pictures import picture, write

SECONDS = float(os.environ.get("PY_IMAGE_DEDUP_SOAK_SECONDS", "120"))
SEED = int(os.environ.get("PY_IMAGE_DEDUP_SOAK_SEED", "1"))
pytestmark = [pytest.mark.soak, pytest.mark.timeout(SECONDS * 2 + 300)]


class Household:
    """People who do things to a library: all choices come from one seed."""

    def __init__(self, library: Path, outside: Path) -> None:
        self.library = library
        self.outside = outside
        self.random = random.Random(SEED)
        self.seed = 1000
        self.done = 0
        outside.mkdir()

    def act(self) -> None:
        """Do one thing."""
        deeds: list[Callable[[], None]] = [
            self.take_photo, self.take_photo, self.copy, self.resend, self.rename, self.move_out, self.move_in,
            self.delete, self.rename_folder, self.write_garbage, self.touch,
        ]  # fmt: skip
        try:
            self.random.choice(deeds)()
        except OSError:  # the daemon moved it first, which is what it is for; or garbage was to be resent
            return
        self.done += 1

    def photos(self) -> list[Path]:
        """All files, in an order that depends on the names alone."""
        return sorted(path for path in self.library.rglob("*.jpg"))

    def some(self) -> Path:
        """One of the photos."""
        found = self.photos()
        if not found:
            raise FileNotFoundError(self.library)
        return self.random.choice(found)

    def place(self, stem: str) -> Path:
        """A new name in one of a few folders."""
        self.seed += 1
        folder = self.library / self.random.choice(["2019", "2020", "2020/summer", "phone [1]", ".hidden"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{stem} {self.seed}.jpg"

    def take_photo(self) -> None:
        if len(self.photos()) < 150:
            write(self.place("photo"), picture(self.seed, 160, 120))

    def copy(self) -> None:
        shutil.copy2(self.some(), self.place("copy"))

    def resend(self) -> None:
        from PIL import Image

        with Image.open(self.some()) as image:
            image.convert("RGB").resize((128, 96)).save(self.place("sent"), quality=60)

    def rename(self) -> None:
        self.some().rename(self.place("renamed"))

    def move_out(self) -> None:
        self.some().rename(self.outside / f"{self.random.random()}.jpg")

    def move_in(self) -> None:
        found = sorted(self.outside.iterdir())
        if found:
            self.random.choice(found).rename(self.place("back"))

    def delete(self) -> None:
        self.some().unlink()

    def rename_folder(self) -> None:
        folder = self.library / "2020"
        if folder.is_dir():
            folder.rename(self.library / f"2020 renamed {self.random.randrange(5)}.{self.seed}")

    def write_garbage(self) -> None:
        self.place("garbage").write_bytes(self.random.randbytes(500))

    def touch(self) -> None:
        os.utime(self.some())


def left_over(library: Path) -> list[tuple[Path, Path, Match]]:
    """What a fresh full run would remove: keeper, redundant file, and why."""
    fresh = find_duplicates(library)
    return [
        (group.keeper.stat.path, redundant.entry.stat.path, redundant.match)
        for group in fresh.groups
        for redundant in group.redundant
    ]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    made = DaemonProcess(
        tmp_path,
        daemon={"processing_timeout": "1s", "full_run_interval": "60s"},
    )
    yield made
    made.close()


def test_after_minutes_of_random_events_the_daemon_is_as_small_as_before_and_knows_the_library(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    household = Household(daemon.photos, tmp_path / "outside")
    for _ in range(60):
        household.take_photo()
    daemon.start()
    assert daemon.process is not None
    sizes: list[tuple[float, int]] = []
    handles = Path(f"/proc/{daemon.process.pid}/fd")
    begin = time.monotonic()
    while time.monotonic() - begin < SECONDS:
        for _ in range(household.random.randrange(1, 8)):
            household.act()
        time.sleep(household.random.choice([0.05, 0.3, 1.5, 3.0]))
        assert daemon.process.poll() is None, daemon.words()[-5000:]
        sizes.append((daemon.metric("process_resident_memory_bytes"), len(list(handles.iterdir()))))
    assert household.done > SECONDS / 3
    daemon.until(daemon.is_quiet, 60)
    time.sleep(2)
    daemon.until(daemon.is_quiet, 60)
    quarter = len(sizes) // 4
    early = max(memory for memory, _ in sizes[quarter : 2 * quarter])
    late = max(memory for memory, _ in sizes[-quarter:])
    assert late < early * 1.15 + 8 * 2**20, "memory grew"
    assert max(open_files for _, open_files in sizes[-quarter:]) <= max(n for _, n in sizes[: 2 * quarter]) + 4
    there = {path.relative_to(daemon.photos) for path in daemon.photos.rglob("*.jpg") if "quarantine" not in str(path)}
    daemon.until(lambda: daemon.indexed() == there, 30)
    # What a fresh full run would remove: nothing is left to be removed.
    # Not at the first look: the index may be whole while the run that made it so is not at its end.
    left = left_over(daemon.photos)
    end = time.monotonic() + 20
    while left and time.monotonic() < end:
        time.sleep(1)
        left = left_over(daemon.photos)
    about = {path.name for pair in left for path in pair[:2]}
    told = [line for line in daemon.words().splitlines() if any(name in line for name in about)]
    assert left == [], "\n".join(told)
    assert daemon.stop() == 0
