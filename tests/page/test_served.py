"""The served page in a real browser: apply, progress, undo, end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from py_image_dedup.review.access import PasswordGate
from tests.page.conftest import PHONE, Open
from tests.review.reviews import Review, make_library, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PASSWORD = "correct horse"  # noqa: S105 - of a test


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
    card.locator(".state").get_by_text("removed", exact=True).wait_for()
    assert card.locator(".tile.goes .verdict").all_inner_texts() == ["removed"]
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


def test_behind_a_password_the_page_shows_what_was_done_and_restores_it(
    open_page: Open, chromium: str, tmp_path: Path
) -> None:
    with served(make_library(tmp_path), PasswordGate(PASSWORD, 3600), shows_history=True) as review:
        before = review.library.files()
        page = open_page(review.server.address, expected="Failed to load resource", waits_for="form")
        page.get_by_label("Password", exact=True).fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("The password is wrong.").wait_for()
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Decide as proposed").click()
        page.get_by_role("button", name="Apply 2 groups").click()
        page.get_by_role("button", name="Remove 3 files").click()
        page.get_by_text("3 files,").first.wait_for()
        page.get_by_role("button", name="Done", exact=True).click()
        run = page.locator(".run")
        run.get_by_role("button", name="Show files").click()
        run.locator(".place").nth(2).wait_for()
        assert sorted(run.locator(".place").all_inner_texts()) == ["deleted", "deleted", "in quarantine"]
        run.locator("li", has_text="in quarantine").get_by_role("button").click()
        run.get_by_text("restored", exact=True).wait_for()
        assert len(review.library.files()) == len(before) - 2
        run.get_by_role("button", name="Restore 2", exact=True).click()
        run.get_by_role("button", name="Nothing to restore").wait_for()
        assert review.library.files() == before
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Password", exact=True).wait_for()


HOSTILE_PAGE = """<!doctype html><title>elsewhere</title><p id=done></p>
<form id=form method=post action="{base}apply" enctype="text/plain" target=frame>
<input name='{body}' value=""></form><iframe name=frame></iframe><img id=image src="{base}picture/0/thumbnail">
<script>
(async () => {{
  const said = [];
  for (const [path, options] of [
    ["status", {{credentials: "include"}}],
    ["apply", {{credentials: "include", method: "POST", body: document.querySelector("input").name, mode: "no-cors"}}],
    ["undo", {{credentials: "include", method: "POST", body: "{{}}", headers: {{"Content-Type": "application/json"}}}}],
  ])
    said.push(await fetch("{base}" + path, options).then((answer) => answer.type, () => "refused"));
  document.getElementById("form").submit();
  await new Promise((go) => setTimeout(go, 300));
  said.push(String(document.getElementById("image").naturalWidth));
  document.getElementById("done").textContent = said.join(" ");
}})();
</script>"""


def test_another_site_in_the_same_browser_sees_and_changes_nothing(browser: Browser, tmp_path: Path) -> None:
    with served(make_library(tmp_path), PasswordGate(PASSWORD, 3600)) as review, browser.new_context() as context:
        before = review.library.files()
        page = context.new_page()
        page.goto(review.server.address)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.locator(".list").wait_for()
        body = json.dumps(review.decisions(beach_copy="remove", wood_copy="remove")).replace("'", "&#39;")
        hostile = HOSTILE_PAGE.format(base=f"{review.server.address}{review.view}/", body=body)
        other = context.new_page()
        # Another site for the browser: cookies of 127.0.0.1 go to no page of this name.
        other.route("http://elsewhere.test/*", lambda route: route.fulfill(body=hostile, content_type="text/html"))
        sent: list[tuple[str, str]] = []
        other.on("request", lambda request: sent.append((request.method, request.url)))
        other.goto("http://elsewhere.test/")
        other.locator("#done:not(:empty)").wait_for()
        assert other.locator("#done").inner_text() == "refused refused refused 0"
        assert sent.count(("POST", f"{review.server.address}{review.view}/apply")) == 2  # by script and by form
        assert review.session.status()["applied"] == []
        assert review.library.files() == before
        page.reload()
        page.locator(".card").first.wait_for()  # the session itself goes on
