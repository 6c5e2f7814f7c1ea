"""Writes the tables of the README that the code knows better: `python tools/tables.py`.

A test fails when a table is not what the code says.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from prometheus_client.metrics_core import Metric

from py_image_dedup.cli.main import COMMANDS, application
from py_image_dedup.config.sources import OPTIONS
from py_image_dedup.media.formats import EXTENSIONS
from py_image_dedup.metrics.instruments import Instruments
from py_image_dedup.ranking.rules import DEFAULT_RULES, PARAMETRIC_RULES, RULES

README = Path(__file__).resolve().parents[1] / "README.md"


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
        rows.append((f"`{name}`", " ".join(first.split())))
    return table(("command", "what it does"), rows)


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
            default = "the list below"
        rows.append((f"`{'.'.join(path)}`", default, option.description))
    return table(("key", "default", "meaning"), rows)


def rules() -> str:
    """The default rules in their order, and all others."""
    listed = "\n".join(f"{place}. `{name}`" for place, name in enumerate(DEFAULT_RULES, 1))
    others = ", ".join(f"`{name}`" for name in RULES if name not in DEFAULT_RULES)
    shapes = ", ".join(f"`{choice.example}`" for choice in PARAMETRIC_RULES.values())
    return f"{listed}\n\nOthers: {others}; and with arguments: {shapes}."


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
    """Every extension that is looked at by default."""
    return ", ".join(f"`{extension}`" for extension in sorted(EXTENSIONS))


TABLES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "configuration": configuration,
    "rules": rules,
    "metrics": metrics,
    "formats": formats,
}


def filled(text: str) -> str:
    """Return a text with every marked table written anew."""
    for name, make in TABLES.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        text = pattern.sub(lambda marks, make=make: f"{marks[1]}{make()}\n{marks[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    """Write the README."""
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
