"""XMP packets: the descriptive properties in one, and a packet to which some were added.

A packet is RDF in XML (XMP specification, part 1). lxml reads and writes it, without network, entities and document
types, and keeps everything else in it as it is. Only the properties of ``KINDS`` are read and written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from lxml import etree

from py_image_dedup.xmp.properties import KINDS, LISTS, Kind, Properties, XmpError

Element: TypeAlias = etree._Element  # noqa: SLF001 - the class has no other name

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_X: Final = "adobe:ns:meta/"
_MWG: Final = "http://www.metadataworkinggroup.com/schemas/regions/"
_DIMENSIONS: Final = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_NAMESPACES: Final = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "mwg-rs": _MWG,
}
_LONGEST: Final = 16 << 20
"""Bytes of a packet; those with thousands of brush strokes reach a few MiB."""


def read(packet: bytes) -> dict[str, tuple[str, ...]]:
    """Return the properties of a packet that have a value.

    Args:
        packet: The packet, or the content of a sidecar; nothing if empty.

    Raises:
        XmpError: It cannot be read.
    """
    if not packet.strip(b"\0 \t\r\n"):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for description in _descriptions(_rdf(_parse(packet))):
        for name, kind in KINDS.items():
            values = _values(description, name, kind)
            if values:
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *values)))
    return found


def merged(packet: bytes, properties: Properties, size: tuple[int, int]) -> bytes:
    """Return a packet with further properties, and with everything that was in it.

    A list gets the values that it lacks; of the other properties, those that the packet has stay as they are. The same
    arguments give the same bytes, and a packet that has everything is returned as it is.

    Args:
        packet: A packet; a new one if empty.
        properties: What to add.
        size: Width and height of the picture as it is stored, which regions lie in.

    Raises:
        XmpError: The packet cannot be read, or cannot take the properties.
    """
    present = read(packet)
    lacking = {name: values for name, values in properties.items() if _lack(present.get(name, ()), name, values)}
    if not lacking:
        return packet
    root = _parse(packet) if packet.strip(b"\0 \t\r\n") else _empty()
    rdf = _rdf(root)
    descriptions = _descriptions(rdf)
    target = descriptions[0] if descriptions else etree.SubElement(rdf, _rdf_name("Description"))
    if not descriptions:
        target.set(_rdf_name("about"), "")
    for name, values in lacking.items():
        if any(each.get(_qualified(name)) is not None for each in descriptions):
            raise XmpError(f"{name} is no list in it")
        own = next((each for each in descriptions if each.find(_qualified(name)) is not None), None)
        _add(target if own is None else own, name, values, size)
    if not present and not descriptions:
        etree.indent(root)
    is_declared = packet.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml")
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=is_declared)


def region_name(region: str) -> str:
    """Return the name of the person in a region; empty if it has none."""
    element = _parse(region.encode())
    for each in element.iter():
        name = each.get(f"{{{_MWG}}}Name") if isinstance(each.tag, str) else None
        if name is not None:
            return name
        if each.tag == f"{{{_MWG}}}Name":
            return (each.text or "").strip()
    return ""


def lacking_values(present: Sequence[str], name: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a property that are not there yet.

    Args:
        present: The values that are there.
        name: The name of the property.
        values: The values of another picture.
    """
    if KINDS[name] not in LISTS:
        return () if present else tuple(values)
    if KINDS[name] is not Kind.REGIONS:
        return tuple(value for value in values if value not in present)
    names = {region_name(each) for each in present}
    return tuple(each for each in values if region_name(each) not in names)


def _lack(present: Sequence[str], name: str, values: Sequence[str]) -> bool:
    return bool(lacking_values(present, name, values))


def _parse(packet: bytes) -> Element:
    if len(packet) > _LONGEST:
        raise XmpError(f"it has {len(packet) / 2**20:,.0f} MiB")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(packet.strip(b"\0 \t\r\n"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmpError(f"it is no XML: {error}") from error
    if root.getroottree().docinfo.doctype:
        raise XmpError("it has a document type, which XMP has not")
    return root


def _empty() -> Element:
    root = etree.Element(f"{{{_X}}}xmpmeta", nsmap={"x": _X})
    root.set(f"{{{_X}}}xmptk", "py-image-dedup")
    etree.SubElement(root, _rdf_name("RDF"), nsmap={"rdf": _RDF})
    root.addprevious(etree.ProcessingInstruction("xpacket", 'begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"'))
    root.addnext(etree.ProcessingInstruction("xpacket", 'end="w"'))
    return root


def _rdf(root: Element) -> Element:
    if root.tag == _rdf_name("RDF"):
        return root
    found = root.find(_rdf_name("RDF"))
    if found is None:
        raise XmpError("it is no XMP: there is no rdf:RDF in it")
    return found


def _descriptions(rdf: Element) -> list[Element]:
    return rdf.findall(_rdf_name("Description"))


def _rdf_name(name: str) -> str:
    return f"{{{_RDF}}}{name}"


def _qualified(name: str) -> str:
    prefix, local = name.split(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}"


def _values(description: Element, name: str, kind: Kind) -> tuple[str, ...]:
    attribute = description.get(_qualified(name))
    if attribute is not None:
        return (attribute.strip(),) if attribute.strip() else ()
    element = description.find(_qualified(name))
    if element is None:
        return ()
    if kind is Kind.REGIONS:
        return tuple(etree.tostring(each, encoding="unicode", with_tail=False) for each in _region_items(element))
    container = next((each for each in element if each.tag in _CONTAINERS), None)
    if container is None:
        text = (element.text or "").strip()
        return (text,) if text and not len(element) else ()
    items = [each for each in container if each.tag == _rdf_name("li")]
    if kind is Kind.LANGUAGES:
        items = sorted(items, key=lambda item: item.get(_LANG) != "x-default")[:1]
    return tuple(text for item in items if (text := (item.text or "").strip()))


_CONTAINERS: Final = frozenset({f"{{{_RDF}}}{name}" for name in ("Bag", "Seq", "Alt")})
_REGION_LIST: Final = f"{{{_MWG}}}RegionList"


def _region_items(element: Element) -> Iterable[Element]:
    regions = next(element.iter(_REGION_LIST), None)
    container = None if regions is None else next((each for each in regions if each.tag in _CONTAINERS), None)
    return () if container is None else container.findall(_rdf_name("li"))


def _add(description: Element, name: str, values: Sequence[str], size: tuple[int, int]) -> None:
    kind, present = KINDS[name], description.find(_qualified(name))
    if present is not None and kind in LISTS:
        known = _values(description, name, kind)
        container = _container_of(present, kind)
        if container is None:
            raise XmpError(f"{name} is no list in it")
        _fill(container, kind, lacking_values(known, name, values))
        return
    prefix = name.split(":")[0]
    if present is not None:
        description.remove(present)  # it is there, and has no value
    element = etree.SubElement(description, _qualified(name), nsmap={prefix: _NAMESPACES[prefix]})
    if kind is Kind.TEXT:
        element.text = values[0]
    elif kind is Kind.REGIONS:
        element.set(_rdf_name("parseType"), "Resource")
        _fill(_new_region_list(element, size), kind, values)
    else:
        _fill(etree.SubElement(element, _rdf_name(kind.value)), kind, values)


def _container_of(element: Element, kind: Kind) -> Element | None:
    inside = next(element.iter(_REGION_LIST), None) if kind is Kind.REGIONS else element
    return None if inside is None else next((each for each in inside if each.tag in _CONTAINERS), None)


def _new_region_list(element: Element, size: tuple[int, int]) -> Element:
    names = {"stDim": _DIMENSIONS}
    applied = etree.SubElement(element, f"{{{_MWG}}}AppliedToDimensions", nsmap=names)
    for key, value in (("w", str(size[0])), ("h", str(size[1])), ("unit", "pixel")):
        applied.set(f"{{{_DIMENSIONS}}}{key}", value)
    return etree.SubElement(etree.SubElement(element, _REGION_LIST), _rdf_name("Bag"))


def _fill(container: Element, kind: Kind, values: Iterable[str]) -> None:
    for value in values:
        if kind is Kind.REGIONS:
            container.append(_parse(value.encode()))
            continue
        item = etree.SubElement(container, _rdf_name("li"))
        if kind is Kind.LANGUAGES:
            item.set(_LANG, "x-default")
        item.text = value
