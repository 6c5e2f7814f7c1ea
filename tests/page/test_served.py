"""The served page in a real browser: apply, progress, undo, end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.page.conftest import PHONE, Open
from tests.review.reviews import Review, make_library, served


@pytest.fixture
def review(tmp_path: Path, chromium: str) -> Iterator[Review]:
    with served(make_library(tmp_path)) as review:
        yield review


def test_a_decision_is_applied_and_taken_back(open_page: Open, review: Review) -> None:
    before = review.library.files()
    page = open_page(review.server.address)
    page.get_by_label("Search").fill("wood")
    card = page.locator(".card").first
    image = card.locator("img").first
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 160
    goes = card.locator(".tile.goes .name").inner_text()
    page.get_by_role("button", name="Remove 1", exact=True).click()
    assert review.library.files() == before
    page.get_by_role("button", name="Apply 1 group").click()
    page.get_by_role("button", name="Remove 1 file").click()
    card.get_by_text("removed", exact=True).wait_for()
    assert [Path(name).name for name in set(before) - set(review.library.files())] == [goes]
    page.get_by_label("Applied steps").get_by_role("button", name="Undo").click()
    page.get_by_text("Brought back").wait_for()
    assert review.library.files() == before
    page.get_by_role("button", name="Compare").first.click()
    page.locator('.layer[src*="/screen"]').first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="End review").click()
    page.get_by_role("heading", name="The review has ended.").wait_for()


def test_what_cannot_be_done_is_said(open_page: Open, review: Review) -> None:
    page = open_page(review.server.address, PHONE, expected="404")
    changed = review.library.photos / "copies" / "wood copy.jpg"
    other = review.library.photos / "2019" / "wood.jpg"
    for path in (changed, other):
        path.write_bytes(b"something new")
    page.get_by_role("button", name="Filter and sort").click()
    page.get_by_label("Search").fill("wood")
    page.get_by_role("button", name="Filter and sort").click()
    page.get_by_role("button", name="Remove 1", exact=True).click()
    page.get_by_role("button", name="Apply 1 group").click()
    page.get_by_role("button", name="Remove 1 file").click()
    page.get_by_text("1 file left alone").wait_for()
    assert changed.exists()
    assert other.exists()
