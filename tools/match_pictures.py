"""Draw the README's picture of what counts as a match: one pair for each kind, with the program's own words.

    python tools/match_pictures.py

The photographs are generated, the verdicts are computed: a pair whose words change changes the picture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from edits import frame, geometry, overlay  # noqa: E402 - found by the path above

from py_image_dedup.verification.verify import verify  # noqa: E402
from tests.support.photographs import photograph  # noqa: E402
from tests.verification.edited import seen  # noqa: E402

TARGET = ROOT / "docs" / "images" / "matches.jpg"
SIDE = 150
GAP = 12
COLUMNS = 3
KINDS: tuple[tuple[str, Callable[[Image.Image], Image.Image]], ...] = (
    ("half the size, saved at quality 30", lambda image: geometry.scaled(image, 0.5, 0.5)),
    ("turned", lambda image: image.transpose(Image.Transpose.ROTATE_270)),
    ("mirrored", ImageOps.mirror),
    ("framed", frame.BORDERS["border white 5 %"]),
    ("captioned", overlay.CHANGES["caption"]),
    ("cropped", geometry.crop(50, centred=False)),
    ("printed on a page", frame.INSETS["on a page, 60 % of its width"][0]),
    ("straightened", geometry.tilted(5)),
    ("another photo", lambda _: photograph(12)),
)


def main() -> None:
    original = photograph(11)
    width = COLUMNS * (2 * SIDE + 3 * GAP)
    height = (len(KINDS) + COLUMNS - 1) // COLUMNS * (SIDE + 58)
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    keeper = seen(original, quality=95)
    for number, (name, change) in enumerate(KINDS):
        copy = change(original).convert("RGB")
        found = verify(keeper, seen(copy, quality=30))
        words = "no match" if found is None else ", ".join([found.match_class.value, *found.evidence.words])
        x, y = number % COLUMNS * (2 * SIDE + 3 * GAP) + GAP, number // COLUMNS * (SIDE + 58) + GAP
        for place, image in enumerate((original, copy)):
            small = ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS)
            page.paste(small, (x + place * (SIDE + GAP) + (SIDE - small.width) // 2, y + (SIDE - small.height) // 2))
        draw.text((x, y + SIDE + 4), name, "#555555", ImageFont.load_default(13))
        draw.text((x, y + SIDE + 21), words, "black", ImageFont.load_default(13))
        print(f"{name}: {words}")
    TARGET.parent.mkdir(exist_ok=True)
    page.save(TARGET, quality=82, optimize=True)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
