"""XMP packets: what is read of them, and what is kept when something is added."""

from __future__ import annotations

import pytest
from lxml import etree

from py_image_dedup.xmp.packet import merged, read, region_name
from py_image_dedup.xmp.properties import KINDS, XmpError, words_of

SIZE = (400, 300)
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
EDITOR = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF {RDF}>
  <!-- written by an editor -->
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmp:Rating="3"
   darktable:auto_presets_applied="1">
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="exposure" darktable:params="gz03eJxjYGBg&#xA;x"/>
    </rdf:Seq>
   </darktable:history>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>lake</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()


def face(name: str, x: float = 0.5) -> str:
    return (
        f'<rdf:li {RDF} xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
        f'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"><rdf:Description mwg-rs:Name="{name}" mwg-rs:Type="Face">'
        f'<mwg-rs:Area stArea:x="{x}" stArea:y="0.4" stArea:w="0.1" stArea:h="0.1" stArea:unit="normalized"/>'
        "</rdf:Description></rdf:li>"
    )


def test_every_property_is_read_back_from_a_new_sidecar() -> None:
    properties = {name: (f"{name} of a photo",) for name in KINDS} | {"mwg-rs:Regions": (face("Ada"),)}
    packet = merged(b"", properties, SIZE)
    found = read(packet)
    assert {name: values for name, values in found.items() if name != "mwg-rs:Regions"} == {
        name: values for name, values in properties.items() if name != "mwg-rs:Regions"
    }
    assert [region_name(each) for each in found["mwg-rs:Regions"]] == ["Ada"]
    assert b'stDim:w="400" stDim:h="300"' in packet


def test_everything_in_a_sidecar_stays_and_only_what_it_lacks_is_added() -> None:
    packet = merged(EDITOR, {"dc:subject": ("lake", "summer"), "xmp:Rating": ("5",), "dc:title": ("The lake",)}, SIZE)
    assert read(packet) == {"dc:title": ("The lake",), "dc:subject": ("lake", "summer"), "xmp:Rating": ("3",)}
    assert packet.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    assert b"<!-- written by an editor -->" in packet
    before, after = (etree.fromstring(each) for each in (EDITOR, packet))
    kept = {(each.tag, tuple(each.attrib.items())) for each in before.iter()}
    assert kept <= {(each.tag, tuple(each.attrib.items())) for each in after.iter()}


def test_a_sidecar_that_lacks_nothing_is_returned_as_it_is() -> None:
    assert merged(EDITOR, {"dc:subject": ("lake",), "xmp:Rating": ("1",)}, SIZE) == EDITOR
    once = merged(EDITOR, {"dc:title": ("x",)}, SIZE)
    assert merged(once, {"dc:title": ("x",)}, SIZE) == once


def test_people_whose_faces_are_in_the_sidecar_are_not_added_twice() -> None:
    first = merged(b"", {"mwg-rs:Regions": (face("Ada"),)}, SIZE)
    both = merged(first, {"mwg-rs:Regions": (face("Ada", 0.1), face("Grace", 0.9))}, SIZE)
    assert [region_name(each) for each in read(both)["mwg-rs:Regions"]] == ["Ada", "Grace"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no XML"),
        (b"<html/>", "no rdf:RDF"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
    ],
)
def test_what_is_no_xmp_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(XmpError, match=message):
        merged(content, {"dc:title": ("x",)}, SIZE)


def test_a_list_that_is_a_text_in_the_sidecar_is_refused_rather_than_replaced() -> None:
    plain = EDITOR.replace(b'xmp:Rating="3"', b'xmp:Rating="3" dc:creator="me"')
    with pytest.raises(XmpError, match="dc:creator is no list"):
        merged(plain, {"dc:creator": ("you",)}, SIZE)


def test_words_name_each_kind_of_property_once() -> None:
    names = ["exif:GPSLongitude", "exif:GPSLatitude", "photoshop:City", "mwg-rs:Regions", "dc:title"]
    assert words_of(names) == "title, GPS position, place, faces"
