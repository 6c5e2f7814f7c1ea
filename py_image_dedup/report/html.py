"""A result as a page to look at and to decide on: one file with everything in it, that asks nothing of any server.

The page itself is built from ``frontend/`` and is the same for every result. Its content security policy allows its
own script and style by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget, available_cpus
from py_image_dedup.media.rendering import RenderedSize
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.page_content import PageFiles, as_script, page_content
from py_image_dedup.report.pictures import EntryRenderer
from py_image_dedup.report.placement import Placer, placeable

_MOST_PLACED: Final = 300
"""Parts that are placed in their keepers; others are shown beside them."""
_AHEAD: Final = 32
"""Thumbnails that may wait to be written, for each thread."""


class Thumbnails(StrEnum):
    """Where the thumbnails of a report are: in the file itself, or in a folder beside it."""

    EMBEDDED = "embedded"
    BESIDE = "beside"


@dataclass(frozen=True, slots=True)
class PageTemplate:
    """The built page, cut where content is put in.

    Attributes:
        head: Up to the content.
        middle: From the content to the thumbnails: the script.
        tail: The end.
    """

    head: str
    middle: str
    tail: str

    def with_sources(self, pictures: str, program: str) -> PageTemplate:
        """Return the page with the sources that its policy allows.

        Args:
            pictures: Source list of ``img-src``.
            program: Source list of ``connect-src``.
        """
        head = self.head.replace("@PICTURES@", pictures).replace("@PROGRAM@", program)
        return PageTemplate(head, self.middle, self.tail)

    @property
    def policy(self) -> str:
        """The content security policy that the page declares."""
        found = re.search('Content-Security-Policy" content="([^"]*)"', self.head)
        if found is None:
            raise ValueError("the built page declares no content security policy")
        return found.group(1)


@cache
def page_template() -> PageTemplate:
    """Return the page that ``frontend/`` builds."""
    text = (files("py_image_dedup.report") / "page.html").read_text(encoding="utf-8")
    head, rest = text.split("@CONTENT@")
    middle, tail = rest.split("@THUMBNAILS@")
    return PageTemplate(head, middle, tail)


def write_page(
    result: RunResult,
    path: Path,
    *,
    thumbnails: Thumbnails = Thumbnails.EMBEDDED,
    limits: Limits | None = None,
    threads: int | None = None,
) -> None:
    """Write a result as a page: complete or not at all, and never half over an older one.

    A picture that cannot be rendered any more is shown without a thumbnail.

    Args:
        result: Result of a run.
        path: The file; ``BESIDE`` makes a folder of its name and ``.pictures`` beside it.
        thumbnails: Where they are.
        limits: What rendering one picture may cost.
        threads: Worker processes that render; as many as there are CPUs if not given.

    Raises:
        OSError: It could not be written.
    """
    content, listed = page_content(result)
    _place_parts(content, listed, limits or Limits())
    folder = path.with_name(f"{path.name}.pictures")
    sources = "data: file:"
    if thumbnails is Thumbnails.BESIDE:
        folder.mkdir(exist_ok=True)
        content["pictures_beside"] = folder.name.encode("utf-8", "replace").decode()
        sources = "data: file: 'self'"
    page = page_template().with_sources(sources, "'none'")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(page.head + as_script(content) + page.middle)
            entries = _where_they_are(listed.entries, result)
            for number, thumbnail in render_all(entries, limits or Limits(), threads or available_cpus()):
                _put(number, thumbnail, stream, folder if thumbnails is Thumbnails.BESIDE else None)
            stream.write(page.tail)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _where_they_are(entries: Sequence[IndexEntry], result: RunResult) -> list[IndexEntry]:
    """Return entries with the places of the files that the run has moved."""
    moved = {each.action.source.path: each.target for each in result.outcomes if each.status is OutcomeStatus.DONE}

    def found(entry: IndexEntry) -> IndexEntry:
        target = moved.get(entry.stat.path)
        return entry if target is None else replace(entry, stat=replace(entry.stat, path=target))

    return [found(entry) for entry in entries]


def _place_parts(content: Mapping[str, Any], listed: PageFiles, limits: Limits) -> None:
    """Add where parts lie in their keepers, for the first of them: each costs the decoding of two files."""
    parts = list(islice(placeable(content, listed), _MOST_PLACED))
    if not parts:
        return
    with Placer(limits) as placer:
        for member, keeper, other in parts:
            matrix = placer.place(keeper, other)
            if matrix is not None:
                member["matrix"] = [round(value, 9) for value in matrix]


def _put(number: int, thumbnail: bytes, stream: TextIO, folder: Path | None) -> None:
    if folder is not None:
        (folder / f"{number}.webp").write_bytes(thumbnail)
        return
    # Data and no script, whatever is in it: base64 has no character that could end the element.
    stream.write(f'<script type="text/plain" id="p{number}">{base64.b64encode(thumbnail).decode("ascii")}</script>\n')


def render_all(entries: Sequence[IndexEntry], limits: Limits, threads: int) -> Iterator[tuple[int, bytes]]:
    """Render thumbnails, each with its number, in their order; what cannot be rendered is left out.

    Only some are in memory at a time, however many there are. A content that many files have is rendered once.

    Args:
        entries: The files.
        limits: What one may cost.
        threads: Worker processes.
    """
    budget = MemoryBudget(limits.memory_bytes)
    own = threading.local()
    copies: dict[bytes, list[int]] = {}
    for number, entry in enumerate(entries):
        copies.setdefault(entry.digest or b"%d" % number, []).append(number)
    with ExitStack() as stack, ThreadPoolExecutor(threads) as pool:
        lock = threading.Lock()

        def render(numbers: Sequence[int]) -> bytes | None:
            renderer: EntryRenderer | None = getattr(own, "renderer", None)
            if renderer is None:
                renderer = own.renderer = EntryRenderer(limits, budget)
                with lock:
                    stack.callback(renderer.close)
            for number in numbers:
                with suppress(MediaError):
                    return renderer.render(entries[number], RenderedSize.THUMBNAIL)
            return None

        waiting: deque[tuple[list[int], Future[bytes | None]]] = deque()
        try:
            for numbers in copies.values():
                waiting.append((numbers, pool.submit(render, numbers)))
                if len(waiting) > _AHEAD * threads:
                    yield from _finished(*waiting.popleft())
            while waiting:
                yield from _finished(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _finished(numbers: Sequence[int], future: Future[bytes | None]) -> Iterator[tuple[int, bytes]]:
    thumbnail = future.result()
    if thumbnail is not None:
        yield from ((number, thumbnail) for number in numbers)
