"""Writes the man page from the help of the commands: `docs/man/py-image-dedup.1`. A part of `make tables`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from py_image_dedup.cli.main import COMMANDS, EXIT_CODE_HELP, application
from tools.tables import PROJECT, with_subcommands

PAGE = PROJECT / "docs" / "man" / "py-image-dedup.1"
DOCUMENTATION = "https://github.com/py-image-dedup/py-image-dedup/tree/main/docs"


def escaped(text: str) -> str:
    """Return text for troff: backslashes, hyphens that people copy, and lines that look like requests."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> Iterator[str]:
    r"""Yield the requests of a help text; a paragraph after ``\b`` keeps its lines."""
    for paragraph in text.strip().split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            lines = [line for line in paragraph.replace("\b", "").splitlines() if line.strip()]
            yield ".PP\n.nf\n" + "\n".join(escaped(line) for line in lines) + "\n.fi"
        else:
            yield ".PP\n" + escaped(" ".join(paragraph.split()))


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the options of a command."""
    for param in command.params:
        record = param.get_help_record(context)
        if record is not None and record[1]:
            names, meaning = record
            yield f".TP\n\\fB{escaped(names)}\\fR\n{escaped(' '.join(meaning.split()))}"


def commands(root: click.Context) -> Iterator[str]:
    """Yield a section for each command and its subcommands."""
    for name in COMMANDS:
        command = application.get_command(root, name)
        if command is None:
            raise LookupError(name)
        for each, context in with_subcommands(command, click.Context(command, root, name)):
            usage = " ".join(each.collect_usage_pieces(context))
            yield f".SS {context.command_path.removeprefix('py-image-dedup ')}"
            yield f".PP\n\\fB{escaped(context.command_path)}\\fR {escaped(usage)}"
            yield from paragraphs(each.help or "")
            yield from options(each, context)
            examples = (each.epilog or "").replace(EXIT_CODE_HELP, "").strip("\n")
            if examples:
                yield from paragraphs(examples)


def man_page() -> str:
    """Return the whole page."""
    root = click.Context(application, info_name="py-image-dedup", **application.context_settings)
    first, _, rest = (application.help or "").partition("\n\n")
    codes = re.findall(r"^  (\d+) +(.+)$", EXIT_CODE_HELP, re.MULTILINE)
    parts = [
        f'.TH PY\\-IMAGE\\-DEDUP 1 "" "py-image-dedup {version("py-image-dedup")}" "User Commands"',
        ".SH NAME\npy\\-image\\-dedup \\- find the duplicates of a photo library and remove them safely",
        ".SH SYNOPSIS\n\\fBpy\\-image\\-dedup\\fR [OPTIONS] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        *paragraphs(first),
        *paragraphs(rest),
        ".SH OPTIONS",
        *options(application, root),
        ".SH COMMANDS",
        *commands(root),
        ".SH EXIT STATUS",
        *(f".TP\n\\fB{code}\\fR\n{escaped(meaning)}" for code, meaning in codes),
        ".SH ENVIRONMENT\n.TP\n\\fBPY_IMAGE_DEDUP_SECTION_KEY\\fR",
        "Sets a key of the configuration, such as PY_IMAGE_DEDUP_ANALYSIS_THREADS=2.",
        ".SH FILES\n.TP\n\\fBpy_image_dedup.yaml\\fR\nThe configuration, in ./, ~/.config/ or ~/;",
        "\\fBpy\\-image\\-dedup config reference\\fR prints all options.",
        f".SH SEE ALSO\n{DOCUMENTATION}",
    ]
    return "\n".join(parts) + "\n"


def write_man_page() -> Path:
    """Write the page and return its path."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(man_page(), encoding="utf-8")
    return PAGE
