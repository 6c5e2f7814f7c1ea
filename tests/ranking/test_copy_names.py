from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest

from py_image_dedup.ranking.copy_names import copy_folders, find_copy_marker, is_from_messenger, plain_name


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1 copy.jpg", "IMG_1 copy 2.jpg", "IMG_1 - Copy.jpg", "IMG_1 - Copy (3).jpg", "Copy of IMG_1.jpg",
        "copy.jpg", "IMG_1_copy.jpg", "IMG_1-COPY2.jpg", "IMG_1 (copy).jpg", "IMG_1 (3rd copy).jpg", "2copies.jpg",
        "IMG_1 Kopie.jpg", "Kopie von IMG_1.jpg", "IMG_1 - kopie.jpg", "IMG_1 copie.jpg", "Copia di IMG_1.jpg",
        "IMG_1 - cópia.jpg", unicodedata.normalize("NFD", "IMG_1 - cópia.jpg"), "kopia av IMG.jpg", "IMG — копия.jpg",
        "IMG_1 のコピー.jpg", "IMG_1 - 副本.jpg", "IMG_1 복사본.jpg", "másolat IMG_1.jpg",
        "IMG_1 (1).jpg", "IMG_1(12).jpg", "photo[1].jpg",
        "IMG-20190101-WA0007_1.jpg", "photo_2019-01-01_10-11-12_2.jpg", "received_123456_1.jpeg", "FB_IMG_1546_1.jpg",
        "IMG_1 (another copy).jpg", "IMG_1 (weitere Kopie).jpg", "IMG_1 (3. Kopie).jpg", "IMG_1 (4ª copia).jpg",
        "IMG_1 - Kopi (2).jpg", "IMG_1 kopi.jpg", "Kopi av strand.jpg", "strand - kopi.jpg", "plaj kopyas\u0131.jpg",
        "plaj - Kopya (2).jpg", "IMG_1-edited(1).jpg", "IMG_1(1)-edited.jpg", "beach duplicate.jpg",
        "beach - コピー (2).jpg", "コピー ～ beach.jpg", "海滩 副本.jpg", "海滩的副本.jpg", "해변 - 복사본 (2).jpg",  # noqa: RUF001
        "x copy copy.jpg", "x copy (1).jpg", "beach - Copy - edited.jpg", "IMG_1 (copy 1).jpg", "beach – Kopie.jpg",  # noqa: RUF001
        "Copie de IMG_1.jpg", "Cópia de praia.jpg", "Kopie - strand.jpg", "beach - نسخة.jpg", "beach - kópia.jpg",
        "Copy (2) of IMG_1.jpg", "IMG_1 - copia (2).jpg", "Kopia IMG_1.jpg", "beach copy2.jpg", "IMG_1_Copy1.jpg",
        "WhatsApp Image 2020-01-01 at 10.10.10 (1).jpeg",
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
        "Copilot.jpg", "scopy.jpg", "microscopy.jpg", "Copyright 2019.jpg", "copycat.jpg", "endoscopy 2.jpg",
        "xerocopy.jpg", "photocopie.jpg", "duplicatesque.jpg", "copy shop.jpg", "Copy Shop 2019.jpg", "hard copy.jpg",
        "my_hard_copy_2.jpg", "carbon copy.jpg", "Copia Verde.jpg", "kopi luwak.jpg", "secangkir kopi.jpg",
        "コピー機.jpg", "コピーライト.jpg", "필사본.jpg", "合同副本.jpg", "IMG_E1234.jpg", "IMG_1-edited.jpg",
    ],
)  # fmt: skip
def test_a_name_that_only_resembles_one_is_not(name: str) -> None:
    assert find_copy_marker(name) is None


@pytest.mark.parametrize(
    "name", ["IMG_0001-1.jpg", "beach 2.jpg", "IMG_1~2.jpg", "IMG_20200101_101010_1.jpg", "beach-2.png", "Beach 3.JPG"]
)
def test_a_bare_number_is_a_marker_only_beside_the_plain_name(name: str) -> None:
    plain = {plain_name(other) for other in ("IMG_0001.jpg", "BEACH.heic", "img_1.jpg", "IMG_20200101_101010.jpg")}
    assert find_copy_marker(name) is None
    assert find_copy_marker(name, {plain_name(name)}) is None
    assert find_copy_marker(name, plain) == name[name.index(".") - 2 : name.index(".")]


@pytest.mark.parametrize("name", ["beach_01.jpg", "beach 2019.jpg", "beach2.jpg", "beach.jpg", "beach 2b.jpg"])
def test_other_numbers_beside_the_plain_name_are_none(name: str) -> None:
    assert find_copy_marker(name, {"beach"}) is None


@pytest.mark.parametrize(
    "folder",
    [
        "Backup", "old backups", "phone_backup_2019", "Camera-Backup", "copy", "Neuer Ordner - Kopie", "Inbox",
        "Downloads", "unsorted", "_tmp", "Temp", "Sicherung", "sauvegarde", "Copia de seguridad", "Kopia zapasowa",
        "резервная копия", "备份", "バックアップ", "백업", "Téléchargements", "Descargas", "Загрузки", "下载",
        "Posteingang", "Bandeja de entrada", "Unsortiert", "To sort", "yedek",
    ],
)  # fmt: skip
def test_a_folder_of_copies_is_seen_by_its_name(folder: str) -> None:
    path = PurePosixPath("/photos") / folder / "2019" / "a.jpg"
    assert copy_folders(path) == (folder,)


@pytest.mark.parametrize("folder", ["Copyright", "Template", "Templates", "Temple", "Hamburg", "Copilot", "Inboxes"])
def test_a_folder_that_only_resembles_one_is_not(folder: str) -> None:
    assert copy_folders(PurePosixPath("/photos") / folder / "copy.jpg") == ()


@pytest.mark.parametrize(
    ("path", "is_sent"),
    [
        ("/p/IMG-20190401-WA0001.jpg", True), ("/p/WhatsApp Video 2020-01-01 at 10.10.10.mp4", True),
        ("/p/signal-2021-03-04-101010.jpg", True), ("/p/photo_2019-01-01_10-11-12.jpg", True),
        ("/p/received_123456.jpeg", True), ("/WhatsApp Images/Sent/a.jpg", True), ("/Telegram/a.jpg", True),
        ("/p/IMG_1.jpg", False), ("/p/signal.jpg", False), ("/p/photo_1.jpg", False), ("/Signals/a.jpg", False),
        ("/my whatsapp/a.jpg", False),
    ],
)  # fmt: skip
def test_what_messengers_sent_is_known_by_the_name_or_the_folder(path: str, is_sent: bool) -> None:
    assert is_from_messenger(PurePosixPath(path)) is is_sent
