"""Features are extracted where it costs least, and are the same everywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from py_image_dedup.features.describe import ImageFeatures
from py_image_dedup.features.extract import unpack
from py_image_dedup.media.decoder import Decoder, WorkerClient
from py_image_dedup.media.limits import Limits, MediaError, MemoryBudget
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.model.failure import FailureReason
from py_image_dedup.pipeline.analyse import MANY, decoder_for, features_of
from tests.support.pictures import picture, write

MakeDecoder = Callable[[Limits, MemoryBudget], Decoder]


def extracted(make_decoder: MakeDecoder, *paths: Path, features: bool = True) -> list[ImageFeatures]:
    limits = Limits()
    found = []
    with make_decoder(limits, MemoryBudget(limits.memory_bytes)) as decoder:
        for path in paths:
            with read_file(path) as opened:
                found.append(features_of(decoder.decode(opened), local=features))
    return found


def test_a_worker_extracts_the_same_features_as_this_process(tmp_path: Path) -> None:
    photos = [write(tmp_path / f"{seed}.jpg", picture(seed)) for seed in range(3)]
    flat = write(tmp_path / "flat.png", picture(0).point(lambda value: 77))
    here = extracted(decoder_for(1, 1, features=True), *photos, flat)
    there = extracted(decoder_for(MANY, 1, features=True), *photos, flat)
    assert here == there
    assert all(found.signature and found.features and found.words for found in here[:3])
    assert here[3] == ImageFeatures()


def test_a_worker_extracts_the_same_features_of_a_page_as_this_process(tmp_path: Path) -> None:
    page = Image.new("RGB", (900, 1200), "white")
    page.paste(picture(1), (100, 200))
    path = write(tmp_path / "page.jpg", page)
    here = extracted(decoder_for(1, 1, features=True), path)
    there = extracted(decoder_for(MANY, 1, features=True), path)
    assert here == there
    assert len(unpack(here[0].features or b"").insets) == 1


def test_features_of_many_pictures_are_extracted_by_the_workers_that_decode_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", picture(1))
    limits = Limits()
    for files, parts in ((MANY * 2 - 1, 0), (MANY * 2, 3)):
        with (
            decoder_for(files, 2, features=True)(limits, MemoryBudget(limits.memory_bytes)) as decoder,
            read_file(path) as opened,
        ):
            assert len(decoder.decode(opened).extras) == parts


def test_without_features_there_is_a_signature_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", picture(1))
    [whole] = extracted(decoder_for(1, 1, features=True), path)
    assert extracted(decoder_for(1000, 1, features=False), path, features=False) == [ImageFeatures(whole.signature)]


def process(make: str) -> MakeDecoder:
    code = f"from py_image_dedup.media.worker import main as worker\ndef make(decoded): {make}\nworker.main(make)"
    return lambda limits, budget: Decoder(limits, budget, WorkerClient(limits, (sys.executable, "-c", code)))


def test_features_that_a_worker_could_not_extract_are_extracted_here(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", picture(1))
    failing = process("raise AttributeError('a mistake of ours')")
    assert extracted(failing, path) == extracted(decoder_for(1, 1, features=True), path)


@pytest.mark.parametrize("answer", ["(b'short', b'', b'')", "(b'one part',)"])
def test_invalid_features_from_a_worker_cost_their_file(answer: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", picture(1))
    with pytest.raises(MediaError) as caught:
        extracted(process(f"return {answer}"), path)
    assert caught.value.reason is FailureReason.CRASHED
