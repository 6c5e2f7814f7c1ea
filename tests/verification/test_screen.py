"""The quick test refuses pages of one template and never a copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from py_image_dedup.features.extract import DOCUMENT
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.verification import verify as module
from py_image_dedup.verification.screen import is_refused
from py_image_dedup.verification.transform import Transform
from py_image_dedup.verification.verify import verify
from tests.support.documents import book_page, invoice, screenshot, slide
from tests.support.photographs import photograph
from tests.verification.edited import letter, original, seen

KINDS: dict[str, tuple[Callable[[int], Image.Image], int]] = {
    "screenshots of one app": (screenshot, 6),
    "invoices of one shop": (invoice, 40),
    "slides of one deck": (slide, 20),
    "pages of one book": (book_page, 20),
}
"""Each with the distance of the next number of the same template."""


def leaning(page: Image.Image) -> Image.Image:
    """Return the page as a camera sees it that is held a little askew."""
    coefficients = (1.02, 0.03, 4.0, 0.0, 1.06, 3.0, 1 / 8000, 1 / 4000)
    return page.transform(page.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


@pytest.fixture
def registrations(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each time that two pictures are registered."""
    calls: list[bool] = []
    real = module.register

    def counting(*arguments: object, **options: object) -> object:
        calls.append(True)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "register", counting)
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_one_template_are_refused_mostly_without_registration(kind: str, registrations: list[bool]) -> None:
    make, step = KINDS[kind]
    pages = [seen(make(3 + step * number)) for number in range(3)]
    pairs = [(one, other) for at, one in enumerate(pages) for other in pages[at + 1 :]]

    assert [verify(one, other) for one, other in pairs] == [None] * len(pairs)
    assert len(registrations) <= len(pairs)


@pytest.mark.parametrize("numbers", [(43, 163), (83, 123)])
def test_invoices_that_differ_in_a_few_words_are_refused_without_registration(
    numbers: tuple[int, int], registrations: list[bool]
) -> None:
    """At half size too little of them differs."""
    one, other = (seen(invoice(number)) for number in numbers)

    assert verify(one, other) is None
    assert registrations == []


@pytest.mark.parametrize("quality", [85, 20])
@pytest.mark.parametrize("size", [1.0, 0.6])
def test_a_copy_of_a_form_is_not_refused(size: float, quality: int) -> None:
    form = letter(5, digits=1)
    copy = form.resize((round(size * form.width), round(size * form.height)), Image.Resampling.LANCZOS)
    one, other = seen(form), seen(copy, quality)

    assert not is_refused(one, other, Transform.whole(Orientation.UPRIGHT, one.size, other.size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "edit",
    [
        lambda page: page.resize((page.width // 2, page.height // 2), Image.Resampling.LANCZOS),
        lambda page: ImageEnhance.Brightness(page).enhance(0.7),
        lambda page: page.filter(ImageFilter.GaussianBlur(0.8)),
        lambda page: page.rotate(90, expand=True),
        ImageOps.mirror,
        lambda page: page.crop((page.width // 6, page.height // 8, page.width, page.height)),
        leaning,
    ],
    ids=["half size", "darker", "blurred", "rotated", "mirrored", "cropped", "in perspective"],
)
def test_a_copy_of_a_page_is_found(kind: str, edit: Callable[[Image.Image], Image.Image]) -> None:
    page = KINDS[kind][0](5)

    assert verify(seen(page), seen(edit(page), 75)) is not None


def test_slides_of_one_deck_do_not_match() -> None:
    """Light print on a dark band and dark print on light paper: skewed both ways."""
    slides = [seen(slide(number), 88) for number in (88, 348, 106, 346)]
    pairs = [(one, other) for at, one in enumerate(slides) for other in slides[at + 1 :]]

    assert min(each.document_score for each in slides) >= DOCUMENT
    assert [verify(one, other) for one, other in pairs] == [None] * len(pairs)


def test_a_photographed_page_is_found() -> None:
    page = screenshot(8).resize((540, 1170), Image.Resampling.LANCZOS)
    table = photograph(2).resize((900, 1500))
    # As a camera sees it that is held a little askew.
    lean = page.transform(
        (760, 1360), Image.Transform.PERSPECTIVE, (1.02, 0.06, -110, 0.02, 1.08, -90, 1 / 9000, 1 / 7000),
        Image.Resampling.BICUBIC, fillcolor=(90, 80, 70),
    )  # fmt: skip
    table.paste(lean, (60, 60))

    found = verify(seen(screenshot(8)), seen(table))

    assert found is not None
    assert found.match_class is MatchClass.PARTIAL


def test_a_covered_part_is_no_reason_to_refuse() -> None:
    page = screenshot(8)
    covered = page.copy()
    ImageDraw.Draw(covered).rectangle((30, 300, 330, 420), fill="black")
    one, other = seen(page), seen(covered)
    whole = Transform.whole(Orientation.UPRIGHT, one.size, other.size)

    assert min(one.document_score, other.document_score) >= DOCUMENT
    assert not is_refused(one, other, whole)
    assert is_refused(one, seen(screenshot(14)), whole)


def test_photos_are_never_refused() -> None:
    one, other = original(1), original(2)

    assert not is_refused(one, other, Transform.whole(Orientation.UPRIGHT, one.size, other.size))
