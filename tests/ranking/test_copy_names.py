from __future__ import annotations

import unicodedata

import pytest

from py_image_dedup.ranking.copy_names import find_copy_marker


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1 copy.jpg", "IMG_1 copy 2.jpg", "IMG_1 - Copy.jpg", "IMG_1 - Copy (3).jpg", "Copy of IMG_1.jpg",
        "copy.jpg", "IMG_1_copy.jpg", "IMG_1-COPY2.jpg", "IMG_1 (copy).jpg", "IMG_1 (3rd copy).jpg", "2copies.jpg",
        "IMG_1 Kopie.jpg", "Kopie von IMG_1.jpg", "IMG_1 - kopie.jpg", "IMG_1 copie.jpg", "Copia di IMG_1.jpg",
        "IMG_1 - cópia.jpg", unicodedata.normalize("NFD", "IMG_1 - cópia.jpg"), "kopia av IMG.jpg", "IMG — копия.jpg",
        "IMG_1 のコピー.jpg", "IMG_1 - 副本.jpg", "IMG_1 복사본.jpg", "másolat IMG_1.jpg",
        "IMG_1 (1).jpg", "IMG_1(12).jpg", "photo[1].jpg", "IMG_1~2.jpg",
        "IMG-20190101-WA0007_1.jpg", "photo_2019-01-01_10-11-12_2.jpg", "received_123456_1.jpeg", "FB_IMG_1546_1.jpg",
    ],
)  # fmt: skip
def test_a_name_that_says_copy_is_seen(name: str) -> None:
    assert find_copy_marker(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1.jpg", "copyright.jpg", "photocopy.jpg", "Kopierer.jpg", "Copiapó.jpg", "hobbycopyist.jpg", "DSC_1.jpg",
        "Paris (2019).jpg", "IMG_20200101_101010_1.jpg", "IMG-20190101-WA0007.jpg", "signal-2021-03-04-101010_001.jpg",
        "photo_2019-01-01_10-11-12.jpg", "20190101.jpg", "(1) first.jpg", "x.copy", "Philip Kopinski.jpg", "",
    ],
)  # fmt: skip
def test_a_name_that_only_resembles_one_is_not(name: str) -> None:
    assert find_copy_marker(name) is None
