"""Memory and time of writing a result of a million files as JSON.

The groups are made while they are written, as a result that was read from a disk could be, so that what is measured is
the report and not the result.

    python benchmarks/report_json.py [ROWS]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from py_image_dedup.model.match import Match, RankedGroup, Redundant
from py_image_dedup.report.result_json import write_result
from tests.report.results import GROUP, entry, result

COPIES = 3


class LazyGroups(Sequence[RankedGroup]):
    """Groups that exist only while they are looked at."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, place: int) -> RankedGroup: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RankedGroup]: ...
    def __getitem__(self, place: int | slice) -> Any:
        raise NotImplementedError("these groups are looked at one after another only")

    def __iter__(self) -> Iterator[RankedGroup]:
        for number in range(self._number):
            keeper = entry(f"folder {number % 1000}/keeper {number}.jpg")
            redundant = tuple(
                Redundant(
                    Match(keeper, entry(f"folder {number % 1000}/copy {number} {copy}.jpg"), each.match.match_class),
                    each.reason,
                )
                for copy, each in enumerate(GROUP.redundant)
            )
            yield RankedGroup(keeper, redundant)


def main() -> None:
    """Print one line."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    large = replace(result(failures=()), groups=LazyGroups(rows // (COPIES + 1)))  # type: ignore[arg-type]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        begun = time.perf_counter()
        write_result(large, path)
        seconds = time.perf_counter() - begun
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{rows:,} rows, {size / 1e6:,.0f} MB of JSON: {seconds:.0f} s, peak {peak / 1024:.0f} MiB "
        f"({before / 1024:.0f} MiB before) on {os.cpu_count()} CPUs"
    )


if __name__ == "__main__":
    main()
