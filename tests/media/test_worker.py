"""A decoder that hangs, crashes or eats memory costs one message."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from py_image_dedup.media.decoder import Decoder, WorkerClient
from py_image_dedup.media.limits import Limits, MediaError, explain
from py_image_dedup.media.opened_file import read_file
from py_image_dedup.media.process import KEPT_BYTES, start_worker
from py_image_dedup.model.failure import FailureReason
from tests.support.pictures import picture, write

HOSTILE = """
import os, signal, sys, time
from py_image_dedup.media.worker import main as worker
worker._GRACE_SECONDS = 0.5
files = 0
def decode(stream, kind, limits, reserve):
    global files
    files += 1
    how = stream.read().rsplit(b"#", 1)[-1]
    stream.seek(0)
    if how == b"hang":
        while True: time.sleep(60)
    if how == b"abort":
        os.abort()
    if how == b"segv" or (how == b"second" and files > 1):
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == b"killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == b"exit":
        os._exit(3)
    if how == b"memory":
        reserve(64 << 20)
        blocks = [bytearray(1 << 20) for _ in range(2000)]
    if how == b"lie":
        return {"facts": {}, "width": 10, "height": 10}, b"short"
    return worker._decode(stream, kind, limits, reserve)
worker.serve({"decode": decode, "digest": worker._digest})
"""
COMMAND = (sys.executable, "-c", HOSTILE)


def hostile(seconds: float = 60.0) -> Decoder:
    limits = Limits(timeout_seconds=seconds)
    return Decoder(limits, client=WorkerClient(limits, COMMAND))


def file(folder: Path, how: str, kind: str = "webp") -> Path:
    path = write(folder / f"{how}.{kind}", picture(1, 64, 48))
    with path.open("ab") as stream:
        stream.write(b"#" + how.encode())
    return path


def refusal(decoder: Decoder, path: Path) -> MediaError:
    with read_file(path) as opened, pytest.raises(MediaError) as caught:
        decoder.decode(opened)
    return caught.value


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_decoder_that_crashes_costs_its_file_whatever_the_format(kind: str, tmp_path: Path) -> None:
    with hostile() as decoder:
        error = refusal(decoder, file(tmp_path, "segv", kind))
        assert error.reason is FailureReason.CRASHED
        assert error.message == "the decoder crashed on this file (signal SIGSEGV)"
        with read_file(write(tmp_path / f"good.{kind}", picture(2, 64, 48))) as opened:
            assert decoder.decode(opened).facts.width == 64


def test_a_file_is_not_blamed_for_a_decoder_that_another_one_broke(tmp_path: Path) -> None:
    with hostile() as decoder:
        for name in ("good", "second"):
            with read_file(file(tmp_path, name, "jpg")) as opened:
                assert decoder.decode(opened).facts.width == 64


def test_memory_is_asked_for_once_although_a_file_is_tried_twice(tmp_path: Path) -> None:
    command = (sys.executable, "-c", HOSTILE.replace("global files", "global files; reserve(100 << 20)"))
    limits = Limits(memory_bytes=110 << 20, timeout_seconds=20)
    with Decoder(limits, client=WorkerClient(limits, command)) as decoder:
        with read_file(file(tmp_path, "good", "jpg")) as opened:
            decoder.decode(opened)
        assert "SIGSEGV" in refusal(decoder, file(tmp_path, "segv", "jpg")).message


def test_a_decoder_that_is_killed_from_outside_is_not_held_against_the_file(tmp_path: Path) -> None:
    with hostile() as decoder:
        error = refusal(decoder, file(tmp_path, "killed", "jpg"))
    assert error.reason is FailureReason.IO_ERROR  # which the next run does not remember
    assert "ended from outside (signal SIGKILL)" in error.message


@pytest.mark.parametrize(
    ("how", "reason", "words"),
    [
        ("abort", FailureReason.CRASHED, "SIGABRT"),
        ("exit", FailureReason.CRASHED, "exit code 3"),
        ("hang", FailureReason.TIMEOUT, "1.5 seconds"),
        ("memory", FailureReason.TOO_LARGE, "memory"),
        ("lie", FailureReason.CRASHED, "invalid answer"),
    ],
)
def test_the_file_gets_a_reason_and_the_next_one_is_decoded(
    how: str, reason: FailureReason, words: str, tmp_path: Path
) -> None:
    if how == "memory" and not Path("/proc/self/statm").exists():
        pytest.skip("this system does not bound memory")
    with hostile(1.5 if how == "hang" else 60) as decoder:
        error = refusal(decoder, file(tmp_path, how))
        assert error.reason is reason
        assert words in error.message
        with read_file(write(tmp_path / "good.webp", picture(2, 64, 48))) as opened:
            assert decoder.decode(opened).facts.width == 64


def test_a_format_whose_decoder_is_not_installed_is_not_called_damaged() -> None:
    error = explain(ModuleNotFoundError("No module named 'pillow_heif'"))
    assert error.reason is FailureReason.UNSUPPORTED
    assert "pillow_heif" in error.message


def test_nothing_is_started_for_what_is_no_picture(tmp_path: Path) -> None:
    limits = Limits()
    with Decoder(limits, client=WorkerClient(limits, ("/nonexistent/program",))) as decoder:
        (tmp_path / "a.txt").write_text("no picture")
        assert refusal(decoder, tmp_path / "a.txt").reason is FailureReason.NOT_AN_IMAGE


def test_a_decoder_that_cannot_be_started_is_not_held_against_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webp", picture(1))
    for command in (("/nonexistent/program",), (sys.executable, "-c", "raise SystemExit(1)")):
        limits = Limits()
        with Decoder(limits, client=WorkerClient(limits, command)) as decoder:
            error = refusal(decoder, path)
        assert error.reason is FailureReason.IO_ERROR
        assert "could not be started" in error.message


def test_a_closed_decoder_leaves_no_process(tmp_path: Path) -> None:
    decoder = Decoder()
    with read_file(write(tmp_path / "a.webp", picture(1))) as opened:
        decoder.decode(opened)
        process = decoder._client._process
        assert process is not None
        assert process.poll() is None
        decoder.close()
        assert process.returncode is not None
        decoder.close()
        assert decoder.decode(opened).facts.format == "WEBP"  # and starts another one when it is needed again
        decoder.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("how", ["idle", "hang"])
def test_the_guarded_process_ends_with_a_killed_parent(how: str, tmp_path: Path) -> None:
    code = f"""
import sys, threading, time
from pathlib import Path
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.decoder import WorkerClient
from py_image_dedup.media.limits import Limits
from py_image_dedup.media.opened_file import read_file
limits = Limits(timeout_seconds=1)
decoder = Decoder(limits, client=WorkerClient(limits, {COMMAND!r}))
decoder.decode(read_file(Path(sys.argv[1])))
print(decoder._client._process.pid, flush=True)
if sys.argv[2] == "hang":
    threading.Thread(target=lambda: decoder.decode(read_file(Path(sys.argv[3])))).start()
time.sleep(60)
"""
    good, bad = write(tmp_path / "good.webp", picture(1)), file(tmp_path, "hang")
    with subprocess.Popen(
        (sys.executable, "-c", code, good, how, bad), stdout=subprocess.PIPE, text=True
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        guard = int(parent.stdout.readline())
        assert alive(guard)
        time.sleep(0.2)
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(guard) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(guard)


FAULTS = """
import resource, socket
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * (36 << 20)
before = faults()
b"x" * (36 << 20)
socket.socket(fileno=0).sendall(str(faults() - before).encode())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other settings")
@pytest.mark.parametrize(("kept_bytes", "is_kept"), [(KEPT_BYTES, False), (128 << 20, True)])
def test_a_worker_does_not_get_memory_anew_that_it_keeps(kept_bytes, is_kept):
    worker = start_worker((sys.executable, "-c", FAULTS), socket.socketpair, kept_bytes)
    try:
        worker.connection.settimeout(20)
        assert (int(worker.connection.recv(20)) < 1000) is is_kept
    finally:
        worker.close()
