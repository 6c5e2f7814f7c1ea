"""What can be wrong with a file, as one exception."""

from __future__ import annotations

from py_image_dedup.model.failure import FailureReason


class MediaError(Exception):
    """A file cannot be read, is no picture, or is not whole.

    Attributes:
        reason: The kind of failure.
        message: The cause in words for a person; does not repeat the path, which the caller knows.
    """

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def explain(error: Exception) -> MediaError:
    """Say in our own terms what a decoder complained about.

    Decoders raise nearly every exception there is when a file is broken, so this sorts by what is known of them and
    calls the rest corrupt.

    Args:
        error: What Pillow, one of its plugins, or reading the file raised.

    Returns:
        The error to raise instead; a ``MediaError`` is returned as it is.
    """
    if isinstance(error, MediaError):
        return error
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, MemoryError):
        return MediaError(FailureReason.TOO_LARGE, "decoding it needs more memory than a file may use")
    if isinstance(error, OSError) and error.errno is not None:
        return MediaError(FailureReason.IO_ERROR, f"reading it failed: {error.strerror or words}")
    if isinstance(error, ImportError):
        return MediaError(FailureReason.UNSUPPORTED, f"what decodes this format is not installed: {words}")
    if isinstance(error, EOFError) or any(sign in words.lower() for sign in _CUT_OFF):
        return MediaError(FailureReason.TRUNCATED, f"the file ends too early: {words}")
    if isinstance(error, NotImplementedError) or any(sign in words.lower() for sign in _NOT_HANDLED):
        return MediaError(FailureReason.UNSUPPORTED, f"this variant of the format cannot be decoded: {words}")
    return MediaError(FailureReason.CORRUPT, f"the file is damaged: {words}")


_CUT_OFF = ("truncated", "unexpected end", "premature end", "not enough image data", "unexpected eof", "end of file")
_NOT_HANDLED = ("unsupported", "not supported", "cannot handle", "unknown compression", "unknown pixel mode")
