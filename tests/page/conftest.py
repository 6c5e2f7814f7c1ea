"""A real headless Chromium, and pages that are watched: no error, no request, no dialog."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from filelock import FileLock

from tests.conftest import IN_CI
from tests.page.reports import Report, make_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESK = (1280, 860)
PHONE = (390, 844)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of the distribution; the test is skipped where there is none, and fails in CI."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        reason = "the page is tested with Chromium: install the package chromium"
        if IN_CI:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@dataclass
class Seen:
    """What a page did that its tests do not see on it."""

    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


@dataclass
class Reader:
    """A page and what it does."""

    page: Page
    seen: Seen


def watch(page: Page) -> Seen:
    """Note what a page does from now on."""
    seen = Seen()
    page.on("console", lambda said: seen.troubles.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: seen.troubles.append(str(error)))
    page.on("dialog", lambda dialog: (seen.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: seen.requests.append(request.url))
    return seen


def check(seen: Seen, address: str, expected: str = "") -> None:
    """Fail for errors on the console, dialogs, and requests to anywhere but the page's own place."""
    own = address.rsplit("/", 1)[0] + "/" if address.startswith("http") else address
    foreign = [url for url in seen.requests if not url.startswith((own, "data:", "blob:"))]
    assert [trouble for trouble in seen.troubles if not expected or expected not in trouble] == []
    assert foreign == []


@contextmanager
def watched(
    browser: Browser,
    address: str,
    size: tuple[int, int] = DESK,
    *,
    expected: str = "",
    waits_for: str = ".list",
    **options: Any,
) -> Iterator[Page]:
    """Open a page and watch it: errors on the console, dialogs, and requests to anywhere else fail the test.

    Args:
        browser: That opens it.
        address: Of the page.
        size: Of the window, pixels.
        expected: Errors with these words are meant to be there.
        waits_for: What is on the page when it is ready.
        options: Of the browser's context.
    """
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **options)
    context.set_default_timeout(8000)
    page = context.new_page()
    seen = watch(page)
    page.goto(address)
    page.locator(waits_for).wait_for()
    yield page
    context.close()
    check(seen, address, expected)


@pytest.fixture(scope="session")
def report(chromium: str, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Report:
    """The report of the small library, made once for all test processes."""
    if worker_id == "master":
        return make_report(tmp_path_factory.mktemp("report"))
    shared = tmp_path_factory.getbasetemp().parent / "page-report"
    kept = shared / "report.pickle"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / "lock"):
        if not kept.exists():
            kept.write_bytes(pickle.dumps(make_report(shared)))
    found: Report = pickle.loads(kept.read_bytes())  # noqa: S301 - our own
    return found


@pytest.fixture(scope="session")
def reader(browser: Browser) -> Iterator[Reader]:
    """One page that is loaded again for each test: opening one takes twice as long."""
    context = browser.new_context(viewport={"width": DESK[0], "height": DESK[1]}, accept_downloads=True)
    context.set_default_timeout(8000)
    page = context.new_page()
    yield Reader(page, watch(page))
    context.close()


@pytest.fixture
def page(reader: Reader, report: Report) -> Iterator[Page]:
    """The page of the report, as nobody has decided anything on it; watched like those of ``watched``."""
    reader.seen.requests.clear()
    reader.seen.troubles.clear()
    reader.page.mouse.move(0, 0)
    reader.page.goto(report.page.as_uri())
    reader.page.locator(".list").wait_for()
    try:
        yield reader.page
    finally:
        reader.page.evaluate("localStorage.clear()")
    check(reader.seen, report.page.as_uri())


Open: TypeAlias = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open pages that are watched until the end of the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def opened(address: str | Path, size: tuple[int, int] = DESK, **options: Any) -> Page:
            where = address.as_uri() if isinstance(address, Path) else address
            return stack.enter_context(watched(browser, where, size, **options))

        yield opened
