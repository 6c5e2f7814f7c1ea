"""Markers of copies in the names of files and folders, as systems, galleries and messengers write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache
from pathlib import PurePath
from typing import Final

_LETTER: Final = r"[^\W\d_]"
_SEPARATOR: Final = r"[\s_.~+\-\u2010-\u2015]"

_WORDS: Final = (
    "copy", "copies", "copied", "duplicate", "duplicated", "dupe",  # English
    "kopie", "kopien", "duplikat",  # German, Dutch, Czech
    "copie", "copies", "doublon",  # French, Romanian
    "copia", "copias", "copie", "cópia", "cópias", "còpia", "duplicado", "duplicato",  # Spanish, Italian, Portuguese
    "kopia", "kópia", "kopio", "kopya", "kopyas\u0131", "kopje",  # Polish, Swedish, Finnish, Turkish, Albanian
    "kopija", "koopia", "afrit", "másolat", "másolata",  # South Slavic, Baltic, Estonian, Icelandic, Hungarian
    "копия", "копія", "копие", "копија", "дубликат",  # Russian, Ukrainian, Bulgarian, Serbian
    "αντίγραφο", "bản sao", "salinan",  # Greek, Vietnamese, Indonesian
    "نسخة", "نسخه", "کپی", "עותק", "कॉपी", "प्रतिलिपि", "สำเนา",  # Arabic, Persian, Hebrew, Hindi, Thai
)  # fmt: skip
_AMBIGUOUS: Final = ("kopi",)
"""Danish and Norwegian for a copy, Indonesian and Malay for coffee: a marker only after a dash or a number."""

_IDEOGRAPHS: Final = ("コピー", "副本", "复制", "複製", "複本", "拷贝", "拷貝", "복사본", "사본")
_OF: Final = (
    "of", "von", "van", "de", "du", "des", "di", "do", "da", "del", "av", "af", "z", "för", "pro", "pliku",
)  # fmt: skip
_NOT_BEFORE: Final = ("hard", "soft", "carbon")
"""A hard copy is a print, not a copy of a file."""

_NUMBERS: Final = rf"(?:{_SEPARATOR}*[(\[]?\d{{1,3}}[)\]]?)*"
"""What may follow a marker: ``copy 2``, ``copy (2)``, ``COPY2``."""

_CAMERA: Final = r"[a-z]{0,4}[_\-]?\d+"
"""A name that a camera gives, after a marker that stands first: ``Copy IMG_1``."""

_WORD: Final = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_ALONE: Final = rf"(?<!{_LETTER})(?:{_WORD})(?!{_LETTER})"
"""A word of its own: neither a photocopy nor a copyright."""

_ORDINAL: Final = r"(?:[\w.ªº]+\s+)?"
_MARKERS: Final = re.compile(
    rf"(?P<last>{_ALONE}{_NUMBERS})$"
    rf"|(?P<dash>\s[-\u2010-\u2015]\s?(?:{_WORD}|{'|'.join(_AMBIGUOUS)})(?!{_LETTER}){_NUMBERS})"
    rf"|(?P<after_number>(?<=\d)[\s_\-](?:{'|'.join(_AMBIGUOUS)}){_NUMBERS})$"
    rf"|(?P<brackets>[(\[]{_ORDINAL}(?:{_WORD}|{'|'.join(_AMBIGUOUS)})(?:\s\d{{1,3}})?[)\]])"
    rf"|^(?P<of>(?:{_WORD}|{'|'.join(_AMBIGUOUS)}){_NUMBERS}{_SEPARATOR}+(?:{'|'.join(_OF)}){_SEPARATOR})"
    rf"|^(?P<first>(?:{_WORD})){_SEPARATOR}+{_CAMERA}$"
    rf"|^(?P<first_dash>(?:{_WORD})\s[-\u2010-\u2015]\s)"
    rf"|(?:^|(?<=[\W\d_a-zA-Z])|(?<=の)|(?<=的)|(?<=의))(?P<ideographs>(?:{'|'.join(_IDEOGRAPHS)}){_NUMBERS})"
    rf"(?=$|[)\]]|{_SEPARATOR}|[\uff5e\u301c])"
    r"|(?P<counter>[(\[]\d{1,2}[)\]])$",  # Windows, browsers, Android and Google; four digits are a year
    re.IGNORECASE,
)
_MESSENGER_NAMES: Final = (
    r"-WA\d{4}",  # WhatsApp
    r"^signal-[\d-]+",
    r"^(?:photo|image)_[\d-]+_[\d-]+",  # Telegram
    r"^(?:received|FB_IMG)_\d+",  # Facebook
)
_FROM_MESSENGER: Final = re.compile(
    "|".join((*_MESSENGER_NAMES, r"^whatsapp (?:image|video)", r"^mmexport\d+", r"^viber_image")), re.IGNORECASE
)
_MESSENGER_FOLDER: Final = re.compile(r"^(?:whatsapp|telegram|signal|viber|wechat|weixin|threema)\b", re.IGNORECASE)
_MESSENGER_COUNTER: Final = re.compile(
    rf"(?:(?:{'|'.join(_MESSENGER_NAMES)})(_\d{{1,2}})|(?:{'|'.join(_MESSENGER_NAMES)})(-\d))$", re.IGNORECASE
)
_EDITED: Final = re.compile(
    r"-(?:edited|bearbeitet|modifié|editado|modificato|bewerkt|edytowane|編集済み)$", re.IGNORECASE
)
"""Google's suffix of an edited version, which is no copy of the photo."""

_BARE_COUNTER: Final = re.compile(r"(?P<plain>.+?)(?P<counter>[ _~-][1-9]\d?)$")
"""Numbers of macOS, iOS, Android, Lightroom and exports; cameras write them too."""


def find_copy_marker(name: str, plain_names: Collection[str] = frozenset()) -> str | None:
    """Return the part of a file name that marks a copy, or ``None``.

    A bare number at the end (``IMG_1``, ``IMG 2``, ``IMG~2``) is how cameras count too. It marks a copy only if the
    name without it is among the plain names.

    Args:
        name: The file's name with its suffix.
        plain_names: Names of the files of the group, each as ``plain_name`` returns it.
    """
    stem = _EDITED.sub("", unicodedata.normalize("NFC", PurePath(name).stem))
    found = _MARKERS.search(stem)
    if found is not None and not stem[: found.start()].rstrip(" _-.").casefold().endswith(_NOT_BEFORE):
        return next(text for text in found.groups() if text).strip(" _-\u2013\u2014")
    counter = _MESSENGER_COUNTER.search(stem)
    if counter is not None:
        return next(text for text in counter.groups() if text)
    bare = _BARE_COUNTER.match(stem)
    return bare["counter"] if bare and bare["plain"].casefold() in plain_names else None


def is_from_messenger(path: PurePath) -> bool:
    """Return whether the name of a file or of one of its folders is one that a messenger gives to what it received."""
    return bool(_FROM_MESSENGER.search(path.stem)) or any(map(_MESSENGER_FOLDER.match, path.parent.parts))


def plain_name(name: str) -> str:
    """Return a file name without its suffix and its case, as ``find_copy_marker`` compares it."""
    return unicodedata.normalize("NFC", PurePath(name).stem).casefold()


_FOLDER_WORDS: Final = (
    # backups
    "backup", "backups", "back-up", "back-ups", "bak", "sicherung", "sicherungen", "sicherungskopie", "sauvegarde",
    "sauvegardes", "respaldo", "respaldos", "copia de seguridad", "copias de seguridad", "cópia de segurança",
    "cópias de segurança", "reservekopie", "reservekopieën", "kopia zapasowa", "kopie zapasowe", "záloha",
    "zálohy", "varmuuskopio", "varmuuskopiot", "säkerhetskopia", "säkerhetskopior", "sikkerhedskopi",
    "sikkerhedskopier", "sikkerhetskopi", "sikkerhetskopier", "biztonsági mentés", "yedek", "yedekler", "бэкап",
    "резерв", "резервная копия", "резервные копии", "резервна копія", "cadangan", "sao lưu", "نسخ احتياطي", "גיבוי",
    # inboxes
    "inbox", "incoming", "posteingang", "eingang", "boîte de réception", "bandeja de entrada", "caixa de entrada",
    "posta in arrivo", "in arrivo", "postvak in", "skrzynka odbiorcza", "doručená pošta", "inkorg", "innboks",
    "indbakke", "saapuneet", "gelen kutusu", "входящие",
    # downloads
    "download", "downloads", "downloaded", "heruntergeladen", "téléchargement", "téléchargements", "descarga",
    "descargas", "transferências", "scaricati", "pobrane", "stažené", "letöltések", "hämtningar", "nedlastinger",
    "overførsler", "lataukset", "ladatut", "indirilenler", "загрузки", "завантаження", "unduhan", "tải xuống",
    "تنزيلات", "הורדות",
    # not sorted yet
    "unsorted", "to sort", "unsortiert", "non trié", "non triés", "à trier", "sin clasificar", "sin ordenar",
    "por ordenar", "por organizar", "da ordinare", "ongesorteerd", "nieposortowane", "do posortowania", "netříděné",
    "osorterat", "osorterade", "usorteret", "usortert", "lajittelemattomat", "несортированное", "разобрать",
    # for a while
    "tmp", "temp", "temporary", "temporär", "temporaire", "temporal", "temporario", "temporário", "temporaneo",
    "tijdelijk", "tymczasowe", "dočasné", "tillfälligt", "midlertidig", "geçici", "временные", "временное",
)  # fmt: skip
_FOLDER_IDEOGRAPHS: Final = (
    "备份", "備份", "バックアップ", "백업", "收件箱", "收件匣", "受信箱", "受信トレイ", "받은편지함", "下载", "下載",
    "ダウンロード", "다운로드", "未分类", "未分類", "未整理", "미분류", "临时", "臨時", "一時", "임시",
)  # fmt: skip
_FOLDER_WORD: Final = "|".join(
    sorted(map(re.escape, (*_WORDS, *_AMBIGUOUS, *_FOLDER_WORDS)), key=len, reverse=True)
)  # the longest first, so that a word does not hide a phrase that begins with it
_COPY_FOLDER: Final = re.compile(
    rf"(?<!{_LETTER})(?:{_FOLDER_WORD})(?!{_LETTER})|{'|'.join((*_IDEOGRAPHS, *_FOLDER_IDEOGRAPHS))}", re.IGNORECASE
)


@lru_cache(maxsize=4096)
def is_copy_folder(name: str) -> bool:
    """Return whether a folder's name says backup, copy, inbox, download, unsorted or temporary, in many languages."""
    return _COPY_FOLDER.search(unicodedata.normalize("NFC", name)) is not None


def copy_folders(path: PurePath) -> tuple[str, ...]:
    """Return the names of the folders above a file that say so, the outermost first."""
    return tuple(name for name in path.parts[:-1] if is_copy_folder(name))
