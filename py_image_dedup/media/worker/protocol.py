"""The protocol between the program and its decoder workers: a length, a JSON object, and bytes.

Nothing is executed or unpickled: a hostile file may have taken over the process that sent a message.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from py_image_dedup.model.photo import PhotoFacts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Message: TypeAlias = Mapping[str, object]

_HEADER = struct.Struct(">II")
_MAX_JSON = 1 << 20
_MAX_BODY = 1 << 30


class Closed(Exception):  # noqa: N818 - a state of the connection
    """The connection was closed by the other side."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A photo inside a picture, as on a page or in a collage; see ``media.worker.panels``.

    Attributes:
        left: Its left edge, share of the picture's width, 0 to 1.
        top: Its upper edge, share of the picture's height.
        right: Its right edge, share of the picture's width.
        bottom: Its lower edge, share of the picture's height.
        width: Width of its canonical image, pixels.
        height: Height of its canonical image, pixels.
        pixels: Its canonical image, one byte a pixel, row by row. It may be finer than that of the whole picture.
    """

    left: float
    top: float
    right: float
    bottom: float
    width: int
    height: int
    pixels: bytes

    @property
    def canonical(self) -> npt.NDArray[np.uint8]:
        """The canonical image: uint8, shape ``(height, width)``, C-contiguous, read-only."""
        return _array(self.width, self.height, self.pixels)


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A picture that was decoded whole.

    Attributes:
        facts: What the file says about the picture.
        width: Width of the canonical image, pixels.
        height: Height of the canonical image, pixels.
        pixels: The canonical image, one byte a pixel, row by row.
        extras: What the worker computed from the canonical image; empty by default, see ``media.worker.main``.
        image_data_digest: Digest of the compressed image data, 32 bytes, if the format has one; see
            ``media.worker.image_data``.
        panels: Photos inside the picture, the largest first; only if they were asked for, and not beside extras.
    """

    facts: PhotoFacts
    width: int
    height: int
    pixels: bytes
    extras: tuple[bytes, ...] = ()
    image_data_digest: bytes | None = None
    panels: tuple[Panel, ...] = ()

    @property
    def canonical(self) -> npt.NDArray[np.uint8]:
        """The canonical image: uint8, shape ``(height, width)``, C-contiguous, read-only."""
        return _array(self.width, self.height, self.pixels)


def _array(width: int, height: int, pixels: bytes) -> npt.NDArray[np.uint8]:
    # Not at the top: a worker that only decodes does without NumPy.
    import numpy as np

    return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width)


def send(connection: socket.socket, message: Message, body: bytes | memoryview = b"") -> None:
    """Send a message and its bytes.

    Raises:
        Closed: The other side closed the connection.
        TimeoutError: The connection's timeout passed.
    """
    text = json.dumps(message).encode()
    data = _HEADER.pack(len(text), len(body)) + text
    try:
        sent = connection.sendmsg([data, body])
        if sent < len(data):
            connection.sendall(data[sent:])
        if sent < len(data) + len(body):
            connection.sendall(memoryview(body)[max(0, sent - len(data)) :])
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def send_file(connection: socket.socket, message: Message, descriptor: int) -> None:
    """Send a message and an open file.

    Raises:
        Closed: The other side closed the connection.
        TimeoutError: The connection's timeout passed.
    """
    text = json.dumps(message).encode()
    data = _HEADER.pack(len(text), 0) + text
    try:
        sent = socket.send_fds(connection, [data], [descriptor])
        connection.sendall(data[sent:])
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def receive_file(connection: socket.socket) -> tuple[Message, int]:
    """Receive a message and an open file, which the caller must close.

    Raises:
        Closed: The other side closed the connection, or sent anything else.
    """
    try:
        header, descriptors, _, _ = socket.recv_fds(connection, _HEADER.size, 1)
    except ConnectionResetError as error:
        raise Closed from error
    if len(descriptors) != 1:
        raise Closed
    header += _exactly(connection, _HEADER.size - len(header))
    return _message(connection, *_HEADER.unpack(header))[0], descriptors[0]


def receive(connection: socket.socket) -> tuple[Message, bytes]:
    """Receive a message and its bytes.

    Raises:
        Closed: The other side closed the connection, or sent anything else.
        TimeoutError: The connection's timeout passed.
    """
    return _message(connection, *_HEADER.unpack(_exactly(connection, _HEADER.size)))


def _message(connection: socket.socket, text_length: int, body_length: int) -> tuple[Message, bytes]:
    if text_length > _MAX_JSON or body_length > _MAX_BODY:
        raise Closed
    try:
        message = json.loads(_exactly(connection, text_length))
    except ValueError as error:
        raise Closed from error
    if not isinstance(message, dict):
        raise Closed
    return cast("Message", message), _exactly(connection, body_length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    got = 0
    while got < length:
        try:
            count = connection.recv_into(view[got:])
        except ConnectionResetError as error:
            raise Closed from error
        if count == 0:
            raise Closed
        got += count
    return bytes(data)
