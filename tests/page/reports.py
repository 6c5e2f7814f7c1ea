"""Reports for the browser: a small library with everything, and a large one made up."""

from __future__ import annotations

import base64
import io
import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from py_image_dedup.api import find_duplicates
from py_image_dedup.model.result import RunResult
from py_image_dedup.report.html import page_template, write_page
from py_image_dedup.report.page_content import as_script
from tests.support.clips import Clip, encode, pan
from tests.support.pictures import picture, write

HOSTILE = "<script>alert(1)</script>.jpg".replace("/", "\u2215")
QUOTED = "\"onerror='alert(2)'&lt;.jpg"
BIDI = "photo\u202egpj.exe.jpg"
BROKEN_LINE = "line\nbreak\t.jpg"
NOT_UTF8 = "not\udcff\udcfeutf8.jpg"
SIDECAR = '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
HOSTILE_NAMES = (HOSTILE, QUOTED, BIDI, BROKEN_LINE, NOT_UTF8)


@dataclass(frozen=True)
class Report:
    """A report and what it is about.

    Attributes:
        page: The file.
        result: Of the run.
        plan: Its plan.
    """

    page: Path
    result: RunResult
    plan: Path


def make_report(top: Path) -> Report:
    """Copies by bytes, turned, smaller and cropped photos, a photo of two files, a film, and hostile names."""
    folder = top / "Pictures"
    for seed in range(1, 6):
        first = write(folder / "2019" / f"photo {seed}.jpg", picture(seed, 640, 480))
        (folder / "Backup").mkdir(exist_ok=True)
        shutil.copyfile(first, folder / "Backup" / f"photo {seed}.jpg")
    turned = Image.open(folder / "2019" / "photo 1.jpg").transpose(Image.Transpose.ROTATE_270)
    write(folder / "Edited" / "turned.png", turned)
    small = ImageOps.mirror(picture(2, 640, 480)).resize((320, 240))
    write(folder / "Edited" / "small mirrored.jpg", small, quality=70)
    write(folder / "Edited" / "crop.jpg", picture(3, 640, 480).crop((90, 60, 560, 420)))
    for place, name in enumerate(HOSTILE_NAMES):
        path = write(folder / "named" / f"named {place}.jpg", picture(20 + place, 320, 240))
        path = path.rename(path.with_name(name))
        shutil.copyfile(path, folder / "named" / f"copy of {place}.jpg")
    for place in ("Raw", "Backup/Raw"):
        write(folder / place / "DSC_0001.jpg", picture(40, 320, 240))
        (folder / place / "DSC_0001.xmp").write_text(SIDECAR)
    write(folder / "2019" / "beach.jpg", picture(41, 640, 480))
    write(folder / "WhatsApp" / "IMG-20190401-WA0001.jpg", picture(41, 640, 480).resize((320, 240)))
    film = encode(Clip(pan(1, 2)))
    for place in ("Films", "Backup/Films"):
        (folder / place).mkdir(parents=True)
        (folder / place / "film.mp4").write_bytes(film)
    state = top / "state"
    result = find_duplicates(folder, state_directory=state)
    assert result.error is None
    page = top / "duplicates.html"
    write_page(result, page, threads=2)
    plain = RunResult(**{each.name: getattr(result, each.name) for each in fields(RunResult)})  # without the open index
    return Report(page, plain, state / "runs" / result.run / "plan.json")


def make_large_report(path: Path, groups: int) -> Path:
    """A made-up report: so many groups of three, each file with a thumbnail of usual size."""
    image = picture(1, 320, 240)
    ImageDraw.Draw(image).text((20, 20), "one of many", fill="white")
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=80)
    thumbnail = base64.b64encode(stream.getvalue()).decode()
    files = [
        {
            "id": number, "name": f"IMG_{number:05}.jpg", "folder": number % 40, "size": 3_000_000 + number * 7,
            "width": 4000, "height": 3000, "format": "JPEG", "modified": 1_500_000_000 + number * 3600, "exif": 40,
            "gps": False, "frames": 1, "digest": f"{number:064x}", "camera": "Nokia 3",
        }
        for number in range(groups * 3)
    ]  # fmt: skip
    member = {
        "class": "similar", "distance": 0.1, "orientation": 1, "words": ["re-encoded"], "rule": "higher-pixel-count",
        "why": "It has more pixels: 4000 x 3000 against 2000 x 1500.", "action": "quarantine", "outcome": "planned",
        "message": None, "found": "", "original": "", "regions": [],
    }  # fmt: skip
    content = {
        "version": 1, "run": f"large-{groups}", "started": "2025-01-02T03:04:05+00:00", "dry_run": True,
        "roots": ["/photos"], "base": "/photos", "compared": True, "files_searched": groups * 10, "unreadable": 0,
        "folders": [{"name": f"/photos/{number}", "files": 400, "address": f"file:///photos/{number}"}
                    for number in range(40)],
        "files": files,
        "groups": [
            {"id": number, "keeper": number * 3, "reported": False,
             "members": [member | {"file": number * 3 + 1}, member | {"file": number * 3 + 2, "class": "identical"}]}
            for number in range(groups)
        ],
    }  # fmt: skip
    template = page_template().with_sources("data: file:", "'none'")
    with path.open("w", encoding="utf-8") as stream_out:
        stream_out.write(template.head + as_script(json.loads(json.dumps(content))) + template.middle)
        for number in range(groups * 3):
            stream_out.write(f'<script type="text/plain" id="p{number}">{thumbnail}</script>\n')
        stream_out.write(template.tail)
    return path
