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
    """

    facts: PhotoFacts
    width: int
    height: int
    pixels: bytes
    extras: tuple[bytes, ...] = ()
    image_data_digest: bytes | None = None

    @property
    def canonical(self) -> npt.NDArray[np.uint8]:
        """The canonical image: uint8, shape ``(height, width)``, C-contiguous, read-only."""
        # Not at the top: a worker that only decodes does without NumPy.
        import numpy as np

        return np.frombuffer(self.pixels, dtype=np.uint8).reshape(self.height, self.width)


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
