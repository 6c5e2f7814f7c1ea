"""Makes the README's picture of the dashboard: `python -m tools.dashboard_picture [MINUTES]`.

A real daemon watches a temporary library to which photos and copies come for some minutes (4 unless told), a real
Prometheus scrapes it, and this script draws what the queries of the Grafana dashboard answer, panel by panel, in their
places. Grafana itself draws the same numbers in its own way. Needs Debian's packages prometheus and chromium.
"""

from __future__ import annotations

import html
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.daemon.process import DaemonProcess
from tests.daemon.prometheus import DEPLOY, Prometheus
from tests.support.photographs import photograph

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "dashboard.png"
ROWS_SHOWN = 32
CELL, WIDTH = 31, 1340
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#96d98d")
STYLE = """
body { margin: 0; padding: 10px; background: #111217; color: #ccccdc; font: 12px "DejaVu Sans", sans-serif; }
main { display: grid; grid-template-columns: repeat(24, 1fr); grid-auto-rows: 31px; gap: 0; }
section { background: #181b1f; border: 1px solid #2c3235; border-radius: 3px; margin: 3px; overflow: hidden;
          display: flex; flex-direction: column; }
h1 { font-size: 14px; margin: 6px 4px 0; font-weight: 600; }
h2 { font-size: 12px; margin: 6px 8px 0; font-weight: 600; }
b { font-size: 32px; font-weight: 500; text-align: center; margin: auto; color: #73bf69; }
svg { flex: 1; min-height: 0; }
footer { margin: 0 8px 5px; font-size: 10px; white-space: nowrap; overflow: hidden; }
i { display: inline-block; width: 12px; height: 3px; margin: 0 4px 3px 8px; vertical-align: middle; }
"""


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory(prefix="py-image-dedup-") as name:
        top = Path(name)
        daemon = DaemonProcess(top)
        for number in range(40):
            photograph(number).save(daemon.photos / f"IMG_{number:04}.jpg", quality=92)
        for number in range(8):
            shutil.copy2(daemon.photos / f"IMG_{number:04}.jpg", daemon.photos / f"IMG_{number:04} (1).jpg")
        prometheus = None
        try:
            daemon.start()
            prometheus = Prometheus(top / "prometheus", daemon.port)
            prometheus.until("py_image_dedup_files")
            begin = time.time()
            live(daemon, 60 * minutes)
            draw(prometheus, begin, top / "page.html")
        finally:
            if prometheus is not None:
                prometheus.close()
            daemon.close()
        PICTURE.parent.mkdir(exist_ok=True)
        subprocess.run(  # noqa: S603 - our own page
            [  # noqa: S607 - the one of the PATH
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size={WIDTH},{ROWS_SHOWN * CELL + 20}", f"--screenshot={PICTURE}",
                (top / "page.html").as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    with Image.open(PICTURE) as image:
        few = image.convert("RGB").quantize(64)
    few.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")
    return 0


def live(daemon: DaemonProcess, seconds: float) -> None:
    """Do what people do to a library: new photos, copies, and photos sent by messengers; by seed."""
    chance, number, end = random.Random(1), 1000, time.monotonic() + seconds  # noqa: S311 - no secret
    while time.monotonic() < end:
        for _ in range(chance.choice([1, 1, 2, 6])):
            number += 1
            old = daemon.photos / f"IMG_{chance.randrange(40):04}.jpg"
            match chance.randrange(3):
                case 0:
                    photograph(number).save(daemon.photos / f"IMG_{number}.jpg", quality=92)
                case 1:
                    shutil.copy2(old, daemon.photos / f"{old.stem} copy {number}.jpg")
                case _:
                    with Image.open(old) as image:
                        image.resize((360, 270)).save(daemon.photos / f"sent {number}.jpg", quality=70)
        time.sleep(chance.choice([0.5, 2, 6]))


def draw(prometheus: Prometheus, begin: float, page: Path) -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "py-image-dedup.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["gridPos"]["y"] < ROWS_SHOWN]
    parts = "".join(_panel(prometheus, panel, begin) for panel in panels)
    page.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><main>{parts}</main>", encoding="utf-8")


def _panel(prometheus: Prometheus, panel: Mapping[str, Any], begin: float) -> str:
    place = panel["gridPos"]
    where = f"grid-column: {place['x'] + 1} / span {place['w']}; grid-row: {place['y'] + 1} / span {place['h']}"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<h1 style="{where}">▾ {title}</h1>'
    unit = panel["fieldConfig"]["defaults"]["unit"]
    (target,) = panel["targets"]
    if panel["type"] == "stat":
        total = sum(prometheus.query(target["expr"]).values())
        return f'<section style="{where}"><h2>{title}</h2><b>{_amount(total, unit)}</b></section>'
    found = prometheus.history(target["expr"], begin, time.time(), 2)
    # A rate divided by a rate is not a number while nothing happens; Grafana draws a gap there.
    series = {name: [each for each in points if not math.isnan(each[1])] for name, points in found.items()}
    series = {name: points for name, points in series.items() if points}
    # As Grafana does with its legend: what is nought all the time is not worth a line if others are not.
    busy = {name: points for name, points in series.items() if any(value for _, value in points)} or series
    lines, legend = "", ""
    top = max((value for points in busy.values() for _, value in points), default=0) or 1
    for colour, (name, points) in zip(COLOURS, sorted(busy.items()), strict=False):
        lines += f'<polyline points="{_line(points, begin, top)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        said = name.rpartition("=")[2] or target["legendFormat"]
        legend += f'<span><i style="background: {colour}"></i>{html.escape(said)}</span>'
    return f'<section style="{where}"><h2>{title}</h2>{_chart(lines, top, unit)}<footer>{legend}</footer></section>'


def _chart(lines: str, top: float, unit: str) -> str:
    grid = "".join(
        f'<line x1="52" x2="316" y1="{150 - 135 * part}" y2="{150 - 135 * part}" stroke="#2c3235"/>'
        f'<text x="48" y="{154 - 135 * part}" font-size="10" text-anchor="end" fill="#9a9aa8">'
        f"{_amount(top * part, unit)}</text>"
        for part in (0, 0.5, 1)
    )
    return f'<svg viewBox="0 0 322 160" preserveAspectRatio="none">{grid}{lines}</svg>'


def _line(points: Sequence[tuple[float, float]], begin: float, top: float) -> str:
    until = max(time for time, _ in points) - begin

    def places() -> Iterator[str]:
        for moment, value in points:
            yield f"{52 + 264 * (moment - begin) / until:.1f},{150 - 135 * value / top:.1f}"

    return " ".join(places())


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"
    if unit in {"bytes", "Bps"}:
        power = next(power for power in range(4) if value < 1000 ** (power + 1) or power == 3)
        return f"{value / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}{'/s' if unit == 'Bps' else ''}"
    return f"{value:.3g}{'/s' if unit == 'ops' else ''}"


if __name__ == "__main__":
    sys.exit(main())
