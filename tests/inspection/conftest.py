"""What the tests of inspection share."""

from collections.abc import Iterator

import cv2  # noqa: F401 - its threads are limited only where it is loaded
import pytest

from py_image_dedup.signature.blas import single_threaded_blas


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Run BLAS and OpenCV in one thread, as the workers do: the tests themselves run side by side."""
    with single_threaded_blas:
        yield
