"""The oracle: image-match itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from py_image_dedup.signature.arrays import Int8Array, UInt8Array
from tests.conftest import IN_CI

REQUIREMENT = "image-match==1.1.2"
FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "oracle" / REQUIREMENT.replace("==", "-")
MODULE = FOLDER / "image_match" / "goldberg.py"

Oracle = Callable[[UInt8Array], Int8Array]


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """image-match's own signature of a grey array, at the scale 0 to 1 that its constants are made for.

    The package pins a scikit-image that no longer builds, so it is installed alone, into a cache folder, and given the
    two names that it imports from there. Its ``rgb2gray`` leaves a two-dimensional array as it is.
    """
    generator = _load(_installed()).ImageSignature()
    return lambda grey: generator.generate_signature(grey / 255.0)


def _installed() -> Path:
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER.with_suffix(".lock")):
        if not MODULE.exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", FOLDER, REQUIREMENT]
            done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
            if done.returncode or not MODULE.exists():
                reason = f"{REQUIREMENT} could not be installed as the oracle: {done.stderr.strip()[-500:]}"
                if IN_CI:
                    pytest.fail(reason)
                pytest.skip(reason)
    return MODULE


def _load(path: Path) -> Any:
    colour, files = types.ModuleType("skimage.color"), types.ModuleType("skimage.io")
    colour.rgb2gray = np.ascontiguousarray  # type: ignore[attr-defined]
    files.imread = None  # type: ignore[attr-defined]
    fakes = {"skimage": types.ModuleType("skimage"), "skimage.color": colour, "skimage.io": files}
    spec = importlib.util.spec_from_file_location("image_match_goldberg", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, fake in fakes.items():
            patch.setitem(sys.modules, name, fake)
        spec.loader.exec_module(module)
    return module
