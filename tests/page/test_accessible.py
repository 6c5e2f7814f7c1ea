"""The page for people who use a keyboard, a screen reader, or need contrast: what axe-core finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from py_image_dedup.review.access import PasswordGate
from tests.conftest import IN_CI
from tests.page.conftest import DESK, PHONE
from tests.page.reports import Report
from tests.review.reviews import make_library, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        reason = "axe-core is not installed: make page-check installs it"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return AXE.read_text(encoding="utf-8")


def serious(page: Page) -> list[str]:
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)], ids=["desk", "phone"])
def test_nothing_serious_is_found_in_any_view(
    browser: Browser, report: Report, axe: str, scheme: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=True,  # the policy would refuse axe
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(report.page.as_uri())
    page.locator(".card").first.wait_for()
    page.evaluate(axe)
    found = {"groups": serious(page)}
    page.keyboard.press(" ")
    found["decided"] = serious(page)
    turned = page.locator(".card", has=page.locator('.name[title$="turned.png"]'))
    turned.get_by_role("button", name="Compare").click()
    found["compare"] = serious(page)
    page.keyboard.press("5")
    page.locator(".pane").nth(2).wait_for()
    found["all files"] = serious(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    found["help"] = serious(page)
    page.keyboard.press("Escape")
    for name in ("Graph", "Numbers"):
        page.get_by_role("button", name=name, exact=True).click()
        found[name] = serious(page)
    context.close()
    assert {view: trouble for view, trouble in found.items() if trouble} == {}


def test_nothing_serious_is_found_at_the_login_and_in_what_was_done(browser: Browser, axe: str, tmp_path: Path) -> None:
    with served(make_library(tmp_path), PasswordGate("correct horse", 3600), shows_history=True) as review:
        context = browser.new_context(
            viewport={"width": PHONE[0], "height": PHONE[1]}, color_scheme="dark", bypass_csp=True, is_mobile=True
        )
        page = context.new_page()
        page.goto(review.server.address)
        page.evaluate(axe)
        found = {"login": serious(page)}
        page.get_by_label("Password", exact=True).fill("correct horse")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Remove", exact=False).first.click()
        page.get_by_role("button", name="Apply 1 group").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.get_by_role("button", name="Done", exact=True).click()
        page.get_by_role("button", name="Show files").click()
        page.locator(".place").first.wait_for()
        page.evaluate(axe)
        found["done"] = serious(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE[0]
        context.close()
    assert {view: trouble for view, trouble in found.items() if trouble} == {}
