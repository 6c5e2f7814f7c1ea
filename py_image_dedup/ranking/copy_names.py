"""Does a file's name say that it is a copy? In the words of many systems and languages."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

_LETTER = r"[^\W\d_]"
_WORDS = (
    "copy", "copies",  # English: "x copy 2", "x - Copy", "Copy of x", "x (3rd copy)"
    "kopie", "kopien",  # German, Dutch, Czech
    "copie", "copies",  # French, Romanian
    "copia", "copias", "cópia", "còpia",  # Italian, Spanish, Portuguese, Catalan
    "kopia", "kópia", "kopi", "kopio", "kopya",  # Polish, Swedish, Slovak, Danish, Norwegian, Finnish, Turkish
    "kopija", "koopia", "másolat",  # Slovene, Croatian, Lithuanian, Estonian, Hungarian
    "копия", "копія", "копие", "αντίγραφο",  # Russian, Ukrainian, Bulgarian, Greek
)  # fmt: skip
_IDEOGRAPHS = ("コピー", "副本", "复制", "複製", "拷贝", "복사본", "사본")
_MESSENGERS = (
    r"-WA\d{4}",  # WhatsApp
    r"^signal-[\d-]+",
    r"^(?:photo|image)_[\d-]+_[\d-]+",  # Telegram
    r"^(?:received|FB_IMG)_\d+",  # Facebook
)

_MARK = re.compile(
    rf"(?<!{_LETTER})(?:{'|'.join(_WORDS)})(?!{_LETTER})"  # a word of its own: neither "photocopy" nor "copyright"
    rf"|{'|'.join(_IDEOGRAPHS)}"
    r"|[(\[]\d{1,2}[)\]]$"  # "x (1)" of Windows and browsers; four digits are a year
    r"|~\d{1,2}$"  # "x~2" of Android galleries
    rf"|(?:(?:{'|'.join(_MESSENGERS)})_\d{{1,2}}|(?:{'|'.join(_MESSENGERS)})-\d)$",
    re.IGNORECASE,
)


def find_copy_marker(name: str) -> str | None:
    """Return the part of a file name that says "copy", or ``None``.

    Words count only on their own, so a copyright or a photocopy is no copy. A bare number at the end ("IMG_1") is
    how cameras count, so it counts only after the name that a messenger gives.
    """
    mark = _MARK.search(unicodedata.normalize("NFC", PurePath(name).stem))
    return mark.group() if mark else None
