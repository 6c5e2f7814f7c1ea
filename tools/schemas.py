"""Makes the JSON Schemas in ``docs/schemas`` from the types that the program reads and writes; part of ``make tables``.

The schemas describe what the program writes: every field that is always written is required, and there are no others.
The program itself reads more: it ignores fields that it does not know.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from py_image_dedup.matching.rejections import REJECTIONS_NAME, RejectionsRecord
from py_image_dedup.removal.journal import JOURNAL_RECORDS
from py_image_dedup.removal.quarantine import ManifestRecord
from py_image_dedup.removal.serialization import PlanRecord
from py_image_dedup.removal.undo import RESTORED_NAME, RestoredRecord
from py_image_dedup.report.result_records import ResultRecord
from py_image_dedup.review.decisions import DecisionsRecord

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "schemas"

SCHEMAS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "plan": ("plan.json", (PlanRecord,)),
    "journal": ("journal.jsonl, one line", tuple(dict.fromkeys(JOURNAL_RECORDS.values()))),
    "manifest": (".py-image-dedup-manifest.jsonl, one line", (ManifestRecord,)),
    "result": ("result.json", (ResultRecord,)),
    "decisions": ("decisions.json", (DecisionsRecord,)),
    "not-duplicates": (REJECTIONS_NAME, (RejectionsRecord,)),
    "restored": (RESTORED_NAME, (RestoredRecord,)),
}
"""By the name of the schema: its title, and the types that a file or a line may have."""


def schema_text(name: str) -> str:
    """Return the text of a schema."""
    title, kinds = SCHEMAS[name]
    made, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    described = {each.__name__: each for each in _classes(msgspec.inspect.multi_type_info(kinds))}
    for key, component in components.items():
        component.pop("title", None)
        if "description" in component:
            component["description"] = _first_sentence(component["description"])
        if "properties" in component:
            _complete(component, _attributes(described[key]))
    shown = [key.removesuffix("Record") for key in components]
    if len(set(shown)) < len(shown):
        raise ValueError(f"two types of {name} have one name without 'Record': {sorted(shown)}")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": "See docs/formats.md.",
        **({"oneOf": list(made)} if len(made) > 1 else made[0]),
        "$defs": dict(zip(shown, components.values(), strict=True)),
    }
    text = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return re.sub(r'("#/\$defs/\w+?)Record"', r'\1"', text)


def _complete(component: dict[str, Any], descriptions: Mapping[str, str]) -> None:
    """Require the fields that are always written, allow no others, and describe them."""
    required = set(component.get("required", ()))
    # A field that may be left out has no default: it is UNSET.
    component["required"] = [
        name for name, field in component["properties"].items() if name in required or "default" in field
    ]
    component["additionalProperties"] = False
    for name, field in component["properties"].items():
        field.pop("default", None)
        if name in descriptions and "description" not in field:
            field["description"] = descriptions[name]


def _classes(below: Any) -> Iterator[type]:
    """Yield the records and dataclasses that a description of types by msgspec has."""
    if isinstance(below, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
        yield below.cls
    if isinstance(below, tuple | list):
        for each in below:
            yield from _classes(each)
    elif isinstance(below, msgspec.Struct):
        for name in below.__struct_fields__:
            yield from _classes(getattr(below, name))


def _attributes(described: type) -> dict[str, str]:
    """Return the descriptions of the attributes of a class, by the names in JSON."""
    found: dict[str, str] = {}
    for base in reversed(described.__mro__):
        _, _, below = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        for name, words in re.findall(r"^    (\w+): (.*(?:\n      .*)*)", below, re.MULTILINE):
            found[name] = re.sub(r"\s+", " ", words).replace("``", "`")
    names = dict(
        zip(
            getattr(described, "__struct_fields__", ()), getattr(described, "__struct_encode_fields__", ()), strict=True
        )
    )
    return {names.get(name, name): words for name, words in found.items()}


def _first_sentence(documentation: str) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join(inspect.cleandoc(documentation).partition("\n\n")[0].split()).replace("``", "`")


def write_schemas() -> None:
    """Write every schema."""
    for name in SCHEMAS:
        (FOLDER / f"{name}.schema.json").write_text(schema_text(name), encoding="utf-8")
