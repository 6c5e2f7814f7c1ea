"""Draw the pictures of the review page in README.md and docs/review.md, with a real browser and a generated library.

    python tools/review_picture.py [FOLDER]

With a folder, every view is written there at the width of a desk and of a phone, light and dark, to be looked at.
Needs Chromium. The photographs are generated, the verdicts are computed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from py_image_dedup.api import find_duplicates  # noqa: E402 - found by the path above
from py_image_dedup.report.html import write_page  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TARGET = ROOT / "docs" / "images"
DESK, PHONE = (1280, 800), (390, 844)
SKIES = (
    ((246, 178, 107), (86, 99, 158)), ((188, 222, 240), (62, 124, 190)), ((250, 214, 165), (208, 96, 88)),
    ((215, 226, 232), (120, 150, 178)), ((242, 196, 210), (92, 80, 140)), ((206, 236, 226), (54, 132, 150)),
)  # fmt: skip
Pixels = npt.NDArray[np.float32]


def _noise(random: np.random.Generator, width: int, height: int, coarsest: float) -> Pixels:
    """Return noise of every size, finer noise weaker, with mean 0 and deviation 1."""
    field = np.zeros((height, width), np.float32)
    size = 2.0
    while size < coarsest:
        rough = random.normal(size=(int(height / size) + 2, int(width / size) + 2)).astype(np.float32)
        field += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC) * size**0.8
        size *= 1.9
    return (field - field.mean()) / field.std()


def landscape(seed: int, width: int = 1280, height: int = 960) -> Image.Image:
    """Return a painted landscape: sky, sun, ridges one behind the other, and water or a meadow in front."""
    random = np.random.default_rng(seed)
    low, high = (np.array(colour, np.float32) for colour in SKIES[seed % len(SKIES)])
    slope = np.linspace(1, 0, height, dtype=np.float32)[:, None, None]
    picture = low + (high - low) * np.clip(slope * 1.25 - 0.1, 0, 1) + np.zeros((height, width, 3), np.float32)
    clouds = np.clip(_noise(random, width, height, width / 2) - 0.4, 0, 1.4)[:, :, None]
    picture += clouds * (1 - np.abs(slope - 0.7)) * 34
    across, down = int(random.uniform(0.15, 0.85) * width), int(random.uniform(0.18, 0.4) * height)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(rows - down, columns - across) / height
    picture += (np.exp(-distance * 7)[:, :, None] * 90 + (distance < 0.035)[:, :, None] * 120) * [1.0, 0.9, 0.7]
    horizon = int(height * random.uniform(0.62, 0.72))
    ridges = int(random.integers(3, 6))
    for number in range(ridges):
        near = (number + 1) / ridges
        line = _noise(random, width, 4, width / (1.5 + 2 * near))[0] * height * 0.05
        top = horizon - height * 0.26 * (1 - near) + line + height * 0.03
        dark = np.array([46, 62, 66], np.float32) + random.uniform(-14, 14, 3).astype(np.float32)
        colour = low * (1 - near) * 0.75 + dark * (0.25 + 0.75 * near)
        texture = _noise(random, width, height, 60)[:, :, None] * (3 + 9 * near)
        picture = np.where((rows > top)[:, :, None], colour + texture, picture)
    texture = _noise(random, width, height, 90)[:, :, None]
    if seed % 2:
        mirrored = picture[horizon - 1 :: -1][: height - horizon]
        water = cv2.GaussianBlur(mirrored, (0, 0), 5) * 0.72 + np.array([10, 24, 36])
        waves = cv2.blur(texture[horizon:, :, 0], (61, 3))[:, :, None] * 26
        picture[horizon:] = cv2.resize(water, (width, height - horizon)) + waves
    else:
        fade = np.linspace(0.55, 1.15, height - horizon, dtype=np.float32)[:, None, None]
        green = np.array([92, 128, 70], np.float32) + random.uniform(-22, 22, 3).astype(np.float32)
        picture[horizon:] = green * fade + texture[horizon:] * 16
    image = Image.fromarray(np.clip(picture + random.normal(0, 2.5, picture.shape), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(3, 9))):
        x, size = int(random.integers(0, width)), int(random.uniform(0.05, 0.13) * height)
        foot = horizon + int(random.uniform(0.02, 0.16) * height)
        for part in range(3):
            top = foot - size * (3 - part) // 3 - size // 5
            half = size * (part + 2) // 9
            draw.polygon([(x, top), (x - half, top + size // 2), (x + half, top + size // 2)], (26, 40 + 6 * part, 34))
    return image


def make_library(folder: Path) -> None:
    """Write photos, and the copies that a library collects in ten years."""
    names = ("Lofoten", "Hardanger", "Midsummer", "Lake", "Autumn walk", "Harbour", "Ridge", "First snow", "Evening")
    for seed, name in enumerate(names, start=1):
        image = landscape(seed)
        exif = Image.Exif()
        exif[0x0110], exif[0x0132] = "Nokia 3", f"20{10 + seed}:07:{10 + seed} 18:30:{seed:02}"
        exif.get_ifd(0x8769)[0x9003] = exif[0x0132]
        original = _save(image, folder / f"20{10 + seed}" / f"{name}.jpg", quality=94, exif=exif)
        if seed % 3 != 2:
            target = folder / "Backup" / original.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original, target)
        if seed in {1, 3, 4, 7}:
            sent = ImageOps.contain(image, (900, 900), Image.Resampling.LANCZOS)
            _save(sent, folder / "Messenger" / f"IMG-20{10 + seed}0713-WA000{seed}.jpg", quality=55)
    _save(landscape(1).crop((180, 120, 1020, 750)), folder / "Edited" / "Lofoten wallpaper.jpg", quality=92)
    _save(landscape(2).transpose(Image.Transpose.ROTATE_270), folder / "Edited" / "Hardanger turned.png")
    captioned = landscape(5)
    text = ImageDraw.Draw(captioned)
    text.rectangle((70, 800, 760, 900), (250, 246, 236))
    text.text((100, 812), "Greetings from the forest", (40, 40, 40), ImageFont.load_default(52))
    _save(captioned, folder / "Edited" / "Autumn walk card.jpg", quality=92)


def _save(image: Image.Image, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the Chromium of the system."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("Chromium is needed: install the package chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def _opened(browser: Browser, report: Path, size: tuple[int, int], scheme: Any) -> Page:
    phone = size == PHONE
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=2 if phone else 1,
        is_mobile=phone,
        has_touch=phone,
        reduced_motion="reduce",
    )
    page.goto(report.as_uri())
    page.locator(".tile img").first.wait_for()
    page.wait_for_load_state("networkidle")
    return page


def _compare(page: Page, name: str, key: str) -> None:
    """Open the comparison of a file with its keeper, in one of its modes."""
    button = page.get_by_role("button", name="Filter and sort")
    if button.is_visible():
        button.click()
    page.get_by_label("Search").fill(name)
    if button.is_visible():
        button.click()
    page.get_by_role("button", name="Compare").first.click()
    other = page.locator(f'.others button[title="{name}"]')
    if other.count():
        other.first.click()
    page.keyboard.press(key)
    page.wait_for_timeout(400)


def draw_all(browser: Browser, report: Path, folder: Path) -> None:
    """Write every view, to be looked at."""
    for size, width in ((DESK, "desk"), (PHONE, "phone")):
        for scheme in ("light", "dark"):
            page = _opened(browser, report, size, scheme)

            def shot(name: str, of: Page = page, stem: str = f"{width}-{scheme}") -> None:
                of.screenshot(path=folder / f"{stem}-{name}.png")

            shot("groups")
            page.get_by_role("button", name="Graph", exact=True).click()
            page.locator("canvas[data-settled=true]").wait_for()
            shot("graph")
            page.get_by_role("button", name="Numbers", exact=True).click()
            shot("numbers")
            page.get_by_role("button", name="Groups", exact=True).click()
            page.keyboard.press("?")
            shot("help")
            page.keyboard.press("Escape")
            page.keyboard.press(" ")
            page.keyboard.press("n")
            shot("decided")
            page.get_by_role("button", name="Decide for all like this").first.click()
            shot("bulk")
            page.keyboard.press("Escape")
            for name, key, mode in (
                ("Autumn walk card.jpg", "1", "side"),
                ("Lofoten wallpaper.jpg", "3", "slider"),
                ("Hardanger turned.png", "4", "difference"),
            ):
                _compare(page, name, key)
                shot(f"compare-{mode}")
                page.keyboard.press("Escape")
            page.close()


def main() -> None:
    """Draw the pictures of the documentation, or all views into a folder."""
    with tempfile.TemporaryDirectory() as temporary, browser() as started:
        photos = Path(temporary) / "Pictures"
        make_library(photos)
        report = Path(temporary) / "duplicates.html"
        write_page(find_duplicates(photos, state_directory=Path(temporary) / "state"), report)
        if len(sys.argv) > 1:
            draw_all(started, report, Path(sys.argv[1]))
            return
        page = _opened(started, report, DESK, "light")
        page.get_by_label("Sort").select_option("files")
        page.keyboard.press(" ")
        page.wait_for_timeout(300)
        page.screenshot(path=TARGET / "review.jpg", type="jpeg", quality=84)
        _compare(page, "Autumn walk card.jpg", "1")
        page.screenshot(path=TARGET / "review-compare.jpg", type="jpeg", quality=84)
        for name in ("review.jpg", "review-compare.jpg"):
            print(f"docs/images/{name}: {(TARGET / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
