"""The child that decodes: `python -m inctrl.service.sandbox.decoder`; `decoding` starts it.

Decoders are C code fed by strangers: here a crash, a bomb or an endless loop ends a process that
holds nothing. It reads requests from stdin and writes replies to stdout, one message each:

HEADER (magic, number of the request, bytes of the head, bytes of the body), a JSON head, the body
request   {"name", "frame"}; body = the file
reply     {"dtype", "shape", "notes", "frames", "seconds"}; body = the pixels, native byte order
          {"refused": why, "frames", "seconds"} or {"memory": true}, after which it ends; no body
"""

import argparse
import contextlib
import ctypes
import importlib
import json
import math
import os
import resource
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from inctrl.decoding import decode
from inctrl.errors import UnreadableImage
from inctrl.service.sandbox.limits import die_with, lower

LATE = (
    "BmpImagePlugin",
    "GifImagePlugin",
    "JpegImagePlugin",
    "MpoImagePlugin",
    "PngImagePlugin",
    "PpmImagePlugin",
    "TiffImagePlugin",
    "WebPImagePlugin",
    "ImageCms",
    "ImageColor",
    "ImagePalette",
)
"""What Pillow imports when a file first needs it: by then this process can open no file."""

MAGIC = b"icd1"
HEADER = struct.Struct("<4sIIQ")
READY = 0
"""Number of the message that the child sends when it can decode."""
_PR_SET_NO_NEW_PRIVS = 38


def message(number: int, head: Mapping[str, Any], body: int = 0) -> bytes:
    """Header and head of a message whose body of so many bytes follows."""
    text = json.dumps(head).encode("ascii")
    return HEADER.pack(MAGIC, number, len(text), body) + text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    parser.add_argument("--pixels", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="of processor, for one image")
    parser.add_argument("--parent", type=int, required=True, help="the process to die with")
    limits = parser.parse_args()
    die_with(limits.parent)
    requests, replies = streams()
    for module in LATE:
        importlib.import_module(f"PIL.{module}")
    confine(limits.memory)
    replies.write(message(READY, {}))
    replies.flush()
    while serve(requests, replies, limits.pixels, limits.seconds):
        pass


def serve(requests: BinaryIO, replies: BinaryIO, pixels: int, seconds: float) -> bool:
    """Answer one request; False where no further one may follow."""
    header = requests.read(HEADER.size)
    if len(header) < HEADER.size:
        return False
    _, number, head, body = HEADER.unpack(header)
    asked = json.loads(requests.read(head))
    data = requests.read(body)
    if len(data) < body:
        return False
    _limit_processor(seconds)
    reply, values = answer(data, asked["name"], asked["frame"], pixels)
    replies.write(message(number, reply, values.nbytes))
    replies.write(values)
    replies.flush()
    return "memory" not in reply


def answer(
    data: bytes, name: str, frame: int | None, pixels: int
) -> tuple[dict[str, Any], memoryview]:
    """Head and body of the reply to one image of a file."""
    started = time.perf_counter()
    reply: dict[str, Any]
    values = memoryview(b"")
    try:
        picture = decode(data, name, frame=frame, pixels=pixels)
        stored = np.ascontiguousarray(picture.pixels)
        values = stored.reshape(-1).view(np.uint8).data
        reply = {"dtype": stored.dtype.name, "shape": stored.shape, "notes": picture.notes}
        reply["frames"] = picture.frames
    except UnreadableImage as error:
        reply = {"refused": str(error), "frames": error.frames}
    except MemoryError:
        # What a decoder leaves behind when it runs out is unknown: one process, one such image.
        return {"memory": True}, values
    return {**reply, "seconds": time.perf_counter() - started}, values


def streams() -> tuple[BinaryIO, BinaryIO]:
    """stdin and stdout for messages alone: what libraries print goes nowhere.

    Nor does what they say on stderr: it may quote the file, and belongs in no log.
    """
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return requests, replies


def confine(memory: int) -> None:
    """Give up everything that decoding does not need, for good."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with contextlib.suppress(OSError):  # should memory run out, this process goes first
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),  # not held for root
        (resource.RLIMIT_NOFILE, 0),  # what is open stays; no file or socket joins it
    ):
        lower(kind, limit)


def _limit_processor(seconds: float) -> None:
    """A second end for an endless loop: the parent's clock comes first, unless it stands still."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    end = math.ceil(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (end, hard))


if __name__ == "__main__":
    main()
