"""Writes what the documents have from the code: `python -m tools.tables`, or `make tables`.

Generated are the tables of ``docs/reference/`` and the example of the README, each between two comments with its name,
the schemas in ``docs/schemas``, and the man page.
A test fails when one of them is not what the program says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from PIL import Image
from prometheus_client.metrics_core import Metric

from py_image_dedup.cli.main import COMMANDS, application
from py_image_dedup.config.sources import OPTIONS
from py_image_dedup.media.formats import FORMATS, NEVER_READ, VIDEO_EXTRA, VIDEO_SUFFIXES
from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.ranking.rules import DEFAULT_RULES, PARAMETRIC_RULES, RULES, SHORT_NAMES
from tests.support.photographs import photograph
from tests.support.pictures import write
from tools.schemas import write_schemas

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"
REFERENCE = PROJECT / "docs" / "reference"
PAGES = {
    "example": README,
    "commands": REFERENCE / "command-line.md",
    "options": REFERENCE / "command-line.md",
    "configuration": REFERENCE / "configuration.md",
    "rules": REFERENCE / "rules.md",
    "metrics": REFERENCE / "metrics.md",
    "formats": REFERENCE / "formats.md",
    "unread": REFERENCE / "formats.md",
    "videos": REFERENCE / "formats.md",
}
"""The page of each generated part."""

HOME = "/home/you/Pictures"
"""The folder that the example shows instead of a temporary one."""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def commands() -> str:
    """Every command and what it does."""
    rows = []
    for name in COMMANDS:
        command = application.get_command(None, name)  # type: ignore[arg-type] # the group asks no context
        first = (command.help if command and command.help else "").strip().split("\n\n", 1)[0]
        rows.append((f"[`{name}`](#{name})", " ".join(first.split())))
    return table(("command", "what it does"), rows)


def options() -> str:
    """Every command with its options and those of its subcommands."""
    # With its settings: click keeps the help option that a command has in its first context.
    root = click.Context(application, info_name="py-image-dedup", **application.context_settings)
    parts = ["## Global options", table(("option", "meaning"), help_records(application, root))]
    for name in COMMANDS:
        command = application.get_command(root, name)
        if command is None:
            raise LookupError(name)
        parts.append(f"## {name}")
        for each, context in with_subcommands(command, click.Context(command, root, name)):
            parts.append(f"`{context.command_path} {' '.join(each.collect_usage_pieces(context))}`")
            parts.append(paragraphs(each))
            records = help_records(each, context)
            if records:
                parts.append(table(("option", "meaning"), records))
    return "\n\n".join(parts)


def with_subcommands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Return a command and the commands below it, each with its context."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from with_subcommands(below, click.Context(below, context, name))


def paragraphs(command: click.Command) -> str:
    """Return a command's help text, a line a paragraph."""
    text = (command.help or "").replace("\b", "").strip()
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def help_records(command: click.Command, context: click.Context) -> list[tuple[str, ...]]:
    """Return the options of a command and their meanings, as its help shows them."""
    records = (param.get_help_record(context) for param in command.params)
    found = [(f"`{names}`", " ".join(meaning.split())) for names, meaning in filter(None, records)]
    return [(names, meaning) for names, meaning in found if meaning]  # arguments have none; the usage line shows them


def configuration() -> str:
    """Every option, its default and its meaning."""
    rows = []
    for path, option in OPTIONS.items():
        default = option.default_words
        if not default and not callable(option.default):
            written = option.value_type.write(option.default) if option.default not in (None, ()) else ""
            default = ", ".join(map(str, written)) if isinstance(written, list) else str(written).strip()
            default = default.lower() if isinstance(option.default, bool) else default
        if path[-1] == "prioritization_rules":
            default = "[the default rules](rules.md)"
        rows.append((f"`{'.'.join(path)}`", default, option.description))
    return table(("key", "default", "meaning"), rows)


def rules() -> str:
    """The default rules in their order, and all others."""
    listed = "\n".join(f"{place}. `{name}`" for place, name in enumerate(DEFAULT_RULES, 1))
    others = "\n".join(f"- `{name}`" for name in RULES if name not in DEFAULT_RULES)
    shapes = "\n".join(f"- `{choice.example}`" for choice in PARAMETRIC_RULES.values())
    short = ", ".join(f"`{each}` for `{name}`" for each, name in SHORT_NAMES.items())
    return f"{listed}\n\nOther rules:\n\n{others}\n\nShort names: {short}.\n\nRules with arguments:\n\n{shapes}"


def metrics() -> str:
    """Every metric with its kind and labels."""
    rows = []
    for metric in Instruments("0").registry.collect():
        if metric.name.startswith("process_"):
            continue
        rows.append((f"`{metric_name(metric)}`", metric.type, labels(metric), metric.documentation))
    return table(("metric", "kind", "labels", "meaning"), rows)


def metric_name(metric: Metric) -> str:
    """Return the name that queries use."""
    return {"counter": f"{metric.name}_total", "info": f"{metric.name}_info"}.get(metric.type, metric.name)


def labels(metric: Metric) -> str:
    """Return the names of a metric's labels."""
    found: set[str] = set()
    for sample in metric.samples:
        found |= sample.labels.keys() - {"version"}
    return ", ".join(f"`{name}`" for name in sorted(found))


def formats() -> str:
    """Every format that is decoded, with the extensions that are read by default, and what it needs."""
    rows = [
        (
            each.name,
            ", ".join(f"`{suffix}`" for suffix in each.suffixes),
            f"`py-image-dedup[{each.extra.name}]`" if each.extra else "",
            each.note,
        )
        for each in FORMATS
    ]
    return table(("format", "extensions", "needs", "remarks"), sorted(rows))


def videos() -> str:
    """The containers of videos that are compared, with their extensions, and what they need."""
    extensions = ", ".join(f"`{suffix}`" for suffix in VIDEO_SUFFIXES)
    note = "In MP4, MOV, 3GP, Matroska, WebM, AVI and MPEG transport streams, with any codec that FFmpeg decodes."
    rows = [("video", extensions, f"`py-image-dedup[{VIDEO_EXTRA.name}]`", note)]
    return table(("kind", "extensions", "needs", "remarks"), rows)


def unread() -> str:
    """Every kind of file that is listed and not read."""
    rows = [(each.name, ", ".join(f"`{suffix}`" for suffix in each.suffixes), each.reason) for each in NEVER_READ]
    return table(("kind", "extensions", "why"), rows)


def example() -> str:
    """Run the program over four generated pictures and return what it prints."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "Pictures"
        beach = write(folder / "beach.jpg", photograph(11, 1600, 1200))
        (folder / "backup").mkdir()
        shutil.copy2(beach, folder / "backup" / "beach copy.jpg")
        with Image.open(beach) as photo:
            turned = photo.resize((800, 600)).transpose(Image.Transpose.ROTATE_90)
            write(folder / "messenger" / "IMG-WA0001.jpg", turned, quality=60)
            write(folder / "avatar.jpg", photo.crop((800, 300, 1400, 900)))
        done = subprocess.run(  # noqa: S603 - the program under documentation
            [sys.executable, "-m", "py_image_dedup", "--state-directory", f"{temporary}/state", "deduplicate", folder],
            cwd=temporary, env=clean_environment(temporary), capture_output=True, text=True, check=True,
        )  # fmt: skip
    return f"```text\n{done.stdout.replace(str(folder), HOME).strip()}\n```"


def clean_environment(home: str) -> dict[str, str]:
    """Return the environment without what configures the program, so that the example shows its defaults."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PY_IMAGE_DEDUP_")}
    return {**own, "HOME": home, "PYTHONPATH": str(PROJECT)}


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "options": options,
    "configuration": configuration,
    "rules": rules,
    "metrics": metrics,
    "formats": formats,
    "unread": unread,
    "videos": videos,
}
"""The parts that are the same on every machine."""


def part(name: str, text: str) -> str | None:
    """Return what a text has between the comments of a name, or ``None`` if it does not have them."""
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    return found[1] if found else None


def filled(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """Return a text with every marked part written anew."""
    for name, make in parts.items():
        old = part(name, text)
        if old is not None:
            start = text.index(f"<!-- {name} -->\n") + len(f"<!-- {name} -->\n")
            text = f"{text[:start]}{make()}\n{text[start + len(old) :]}"
    return text


def without_measurements(output: str) -> str:
    """Leave out what differs by encoder, machine and day: sizes, distances, times and the phases that took any."""
    return re.sub(r"\d+", "0", re.sub(r"^Time .*", "Time", output.strip(), flags=re.MULTILINE))


def main() -> int:
    """Write all pages; the example only if more than its measurements changed."""
    for page in sorted(set(PAGES.values())):
        text = page.read_text(encoding="utf-8")
        parts = dict(TABLES)
        shown = part("example", text)
        if shown is not None:
            made = example()
            if without_measurements(made) != without_measurements(shown):
                parts["example"] = lambda made=made: made  # type: ignore[misc]
        page.write_text(filled(text, parts), encoding="utf-8")
    write_schemas()
    # Not at the top: it uses this module.
    from tools.manpage import write_man_page

    write_man_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
