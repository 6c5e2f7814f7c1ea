"""Documents from templates by seed: screenshots of a chat, invoices of shops, slides and pages of books."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

VOCABULARY = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "he",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "word",
    "but",
    "not",
    "what",
    "all",
    "were",
    "we",
    "when",
    "your",
    "can",
    "said",
    "there",
    "use",
    "an",
    "each",
    "which",
    "she",
    "do",
    "how",
    "their",
    "if",
    "will",
    "up",
    "other",
    "about",
    "out",
    "many",
    "then",
    "them",
    "these",
    "so",
    "some",
    "her",
    "would",
    "make",
    "like",
    "him",
    "into",
    "time",
    "has",
    "look",
    "two",
    "more",
    "write",
    "go",
    "see",
    "number",
    "no",
    "way",
    "could",
    "people",
    "my",
    "than",
    "first",
    "water",
    "been",
    "call",
    "who",
    "oil",
    "its",
    "now",
    "find",
    "long",
    "down",
    "day",
    "did",
    "get",
    "come",
    "made",
    "may",
    "part",
]
SHOPS = 40
APPS = 6
DECKS = 20
BOOKS = 20
LINE = 19


def words(random: np.random.Generator, count: int) -> str:
    return " ".join(random.choice(VOCABULARY, count))


def wrapped(text: str, width: int) -> list[str]:
    """Cut a text into lines of at most so many letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def screenshot(number: int, size: tuple[int, int] = (360, 780)) -> Image.Image:
    """Return a screenshot of one of six chat apps."""
    random, app = np.random.default_rng(number), np.random.default_rng(900_000 + number % APPS)
    width, height = size
    paper, head, own, theirs = (tuple(map(int, app.integers(low, high, 3))) for low, high in
                                ((205, 240), (20, 120), (215, 245), (245, 256)))  # fmt: skip
    page = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(page)
    for _ in range(50):
        x, y = int(app.integers(0, width)), int(app.integers(0, height))
        draw.ellipse((x, y, x + 12, y + 12), outline=tuple(level - 12 for level in paper))
    y = 80 - int(random.integers(0, 45))
    while y < height - 70:
        lines = wrapped(words(random, int(random.integers(1, 26))), 30)
        tall, wide = LINE * len(lines) + 24, max(70, 20 + 8 * max(map(len, lines)))
        mine = random.random() < 0.4
        x = width - wide - 10 if mine else 10
        draw.rounded_rectangle((x, y, x + wide, y + tall), 8, fill=own if mine else theirs)
        _text(draw, (x + 9, y + 4), lines, 15)
        _text(draw, (x + wide - 38, y + tall - 16), [_clock(random)], 11, "#888888")
        y += tall + 7
    draw.rectangle((0, 0, width, 75), fill=head)
    _text(draw, (10, 5), [_clock(random)], 13, "white")
    _text(draw, (80, 30), [words(app, 2).title(), words(app, 4)], 17, "white")
    draw.ellipse((35, 33, 70, 68), fill="#cccccc")
    draw.rectangle((0, height - 55, width, height), fill="#f0f0f0")
    draw.rounded_rectangle((10, height - 47, width - 60, height - 12), 17, fill="white")
    _text(draw, (30, height - 40), ["Message"], 15, "#999999")
    draw.ellipse((width - 50, height - 50, width - 10, height - 10), fill=head)
    return page


def invoice(number: int, size: tuple[int, int] = (620, 877)) -> Image.Image:
    """Return an invoice of one of forty shops."""
    random, shop = np.random.default_rng(number), np.random.default_rng(800_000 + number % SHOPS)
    width, height = size
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    _text(draw, (45, 40), [words(shop, 2).title() + " Ltd."], 24)
    draw.rectangle((45, 74, width - 45, 77), fill="#3366aa")
    _text(draw, (45, 86), [words(shop, 4) for _ in range(4)], 14, "#333333")
    _text(draw, (width - 240, 86), [f"Invoice {random.integers(10_000, 99_999)}"], 18)
    _text(draw, (width - 240, 112), [f"{random.integers(1, 29):02}.{random.integers(1, 13):02}.2024"], 14)
    _text(draw, (45, 180), [words(random, 2).title(), f"{words(random, 2)} {random.integers(1, 200)}"], 16)
    draw.rectangle((45, 260, width - 45, 283), fill="#dde6f2")
    items = [words(shop, 3) for _ in range(15)]
    rows = [["Item", "Qty", "Price", "Total"]]
    rows += [
        [items[int(random.integers(15))], str(random.integers(1, 20)), _sum(random, 300), _sum(random, 3000)]
        for _ in range(int(random.integers(3, 12)))
    ]
    rows.append(["", "", "Total", _sum(random, 9000)])
    for place, row in enumerate(rows):
        for x, cell in zip((50, 350, 425, 510), row, strict=True):
            _text(draw, (x, 264 + 23 * place), [cell], 14)
    _text(draw, (45, height - 150), [words(shop, 11) for _ in range(6)], 12, "#555555")
    return page


def slide(number: int, size: tuple[int, int] = (800, 450)) -> Image.Image:
    """Return a slide of one of twenty decks."""
    random, deck = np.random.default_rng(number), np.random.default_rng(700_000 + number % DECKS)
    width, height = size
    page = Image.new("RGB", size, tuple(map(int, deck.integers(225, 256, 3))))
    draw = ImageDraw.Draw(page)
    band = tuple(map(int, deck.integers(20, 140, 3)))
    draw.rectangle((0, 0, width, 60), fill=band)
    draw.rectangle((0, height - 30, width, height), fill=band)
    _text(draw, (30, 14), [words(random, 5).title()], 28, "white")
    _text(draw, (30, height - 25), [f"{words(deck, 4)}   {number % 97}"], 14, "white")
    y = 85
    for _ in range(int(random.integers(3, 7))):
        draw.ellipse((40, y + 8, 50, y + 18), fill=band)
        _text(draw, (65, y), wrapped(words(random, int(random.integers(3, 14))), 55), 22)
        y += 56
    return page


def book_page(number: int, size: tuple[int, int] = (520, 740)) -> Image.Image:
    """Return a page of one of twenty books."""
    random, book = np.random.default_rng(number), np.random.default_rng(600_000 + number % BOOKS)
    width, height = size
    page = Image.new("RGB", size, tuple(int(level) for level in (250, 248, 240) - book.integers(0, 12)))
    draw = ImageDraw.Draw(page)
    _text(draw, (60, 25), [words(book, 3).upper()], 12)
    _text(draw, (width // 2, height - 40), [str(number % 900)], 13)
    lines: list[str] = []
    while len(lines) < 31:
        lines += wrapped(words(random, int(random.integers(20, 90))), 50)
    _text(draw, (60, 55), lines[:31], 15)
    return page


def _clock(random: np.random.Generator) -> str:
    return f"{random.integers(0, 24):02}:{random.integers(0, 60):02}"


def _sum(random: np.random.Generator, most: int) -> str:
    return f"{random.integers(1, most)}.{random.integers(0, 100):02}"


def _text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], size: int, colour: str = "#202020"
) -> None:
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        draw.text((place[0], place[1] + round(1.27 * size) * number), line, colour, font)
