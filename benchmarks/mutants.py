"""Ten thousand damaged images through the decoders of the service, or through a running service.

    python -m benchmarks.mutants [--count 10000] [--seed 0]
    python -m benchmarks.mutants --url http://127.0.0.1:8000 --set NAME

Honest images of every format and mode are flipped, cut, spliced, reordered and given other sizes.
Without --url each mutant is read by `inctrl.decoding.decode` in a process of its own too, and every
disagreement is printed. Ends with 1 on an answer slower than 2 s, a disagreement, or an answer
that is neither a result nor a refusal.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np

from benchmarks.machine import describe
from inctrl.decoding import decode
from inctrl.errors import UnreadableImage
from inctrl.images import Picture, stored_digest
from inctrl.service.sandbox.decoding import Decoders
from tests import hostile

SLOWEST = 2.0  # seconds within which each mutant must be answered
PIXELS = 40_000_000
DECODERS, CLIENTS = 2, 4
"""Children of the service, each kept busy; requests at a time to a running one."""
DEMOS = Path(__file__).parent.parent / "demos" / "images"
SIZES = (0, 1, 3, 4, 5, 127, 255, 1_000, 3_000, 6_000, 6_325, 16_383, 65_535, 2**31 - 1, 2**32 - 1)

Values = np.random.Generator
Ask = Callable[[bytes, str], Awaitable[tuple[float, str]]]
"""(bytes, name) -> seconds until the answer, and the answer."""


@dataclass
class Tally:
    """What came back; `odd` are answers that should not be."""

    answers: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")


def seeds(values: Values) -> list[tuple[str, bytes]]:
    """What mutants are made of."""
    demos = sorted(DEMOS.rglob("*.png"))[:6]
    return [*hostile.honest(values).items(), *((path.name, path.read_bytes()) for path in demos)]


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes); the name tells the recipe."""
    values = np.random.default_rng(seed)
    originals = seeds(values)
    for index in range(count):
        name, data = originals[values.integers(len(originals))]
        recipes = [list(RECIPES)[i] for i in values.integers(len(RECIPES), size=2)]
        for recipe in recipes[: 1 + int(values.integers(2))]:
            _, other = originals[values.integers(len(originals))]
            data = RECIPES[recipe](data, other, values)
        if data.startswith(hostile.PNG_MAGIC) and values.random() < 0.7:
            data = mended(data)
        yield f"{index:05d}-{'-'.join(recipes)}-{name}", data


def flip(data: bytes, _: bytes, values: Values) -> bytes:
    """A few bits anywhere."""
    mutant = np.frombuffer(data, np.uint8).copy()
    for at in values.integers(len(mutant), size=values.integers(1, 20)) if len(mutant) else ():
        mutant[at] ^= 1 << int(values.integers(8))
    return mutant.tobytes()


def flip_early(data: bytes, other: bytes, values: Values) -> bytes:
    """A few bits in the header."""
    return flip(data[:64], other, values) + data[64:]


def cut(data: bytes, _: bytes, values: Values) -> bytes:
    return data[: values.integers(len(data) + 1)]


def drop(data: bytes, _: bytes, values: Values) -> bytes:
    start, end = sorted(values.integers(len(data) + 1, size=2))
    return data[:start] + data[end:]


def repeat(data: bytes, _: bytes, values: Values) -> bytes:
    start, end = sorted(values.integers(len(data) + 1, size=2))
    return data[:end] + data[start:end] * int(values.integers(1, 4)) + data[end:]


def fill(data: bytes, _: bytes, values: Values) -> bytes:
    """A stretch of the same byte, or of noise."""
    start = int(values.integers(len(data) + 1))
    size = min(int(values.integers(1, 64)), len(data) - start)
    stretch = (b"\0" * size, b"\xff" * size, values.bytes(size))[values.integers(3)]
    return data[:start] + stretch + data[start + size :]


def splice(data: bytes, other: bytes, values: Values) -> bytes:
    """The head of one file and the tail of another, often of another format."""
    return data[: values.integers(len(data) + 1)] + other[values.integers(len(other) + 1) :]


def swap(data: bytes, _: bytes, values: Values) -> bytes:
    """Two neighbouring stretches change places; of a PNG whole chunks do."""
    chunks = _chunks(data)
    if len(chunks) > 1:
        first, second = values.integers(len(chunks), size=2)
        chunks[first], chunks[second] = chunks[second], chunks[first]
        return data[:8] + b"".join(chunks)
    a, b, c = sorted(values.integers(len(data) + 1, size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def resize(data: bytes, _: bytes, values: Values) -> bytes:
    """Wherever the header seems to hold the width or the height it says something else."""
    size = SIZES[values.integers(len(SIZES))]
    for side in (40, 56) if values.random() < 0.5 else (56,):
        for form in ("<I", ">I", "<H", ">H"):
            new = struct.pack(form, min(size, 256 ** struct.calcsize(form) - 1))
            data = data[:400].replace(struct.pack(form, side), new, 1) + data[400:]
    return data


RECIPES: dict[str, Callable[[bytes, bytes, Values], bytes]] = {
    recipe.__name__: recipe
    for recipe in (flip, flip_early, cut, drop, repeat, fill, splice, swap, resize)
}


def mended(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks ought to have: past them lies the decoder."""
    return data[:8] + b"".join(hostile.png_chunk(c[4:8], c[8:-4]) for c in _chunks(data))


def _chunks(data: bytes) -> list[bytes]:
    chunks, at = [], 8
    while data.startswith(hostile.PNG_MAGIC) and at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        chunks.append(data[at:end])
        at = end
    return [chunk for chunk in chunks if len(chunk) >= 12]


async def tally(count: int, seed: int, ask: Ask, askers: int) -> Tally:
    """Ask for every mutant, a few at a time."""
    result, work = Tally(), mutants(count, seed)

    async def worker() -> None:
        for name, data in work:
            seconds, answer = await ask(data, name)
            result.answers[answer.partition(":")[0]] += 1
            result.slowest = max(result.slowest, (seconds, name))
            if seconds > SLOWEST:
                result.slow.append(f"{seconds:.2f} s {name}: {answer}")
            if answer.startswith("odd"):
                result.odd.append(f"{name}: {answer}")

    await asyncio.gather(*(worker() for _ in range(askers)))
    return result


def summary(picture: Picture) -> str:
    return f"accepted: {picture.pixels.dtype} {stored_digest(picture)} {picture.notes}"


def read(data: bytes, name: str) -> str:
    """What this process makes of it."""
    try:
        return summary(decode(data, name, pixels=PIXELS))
    except UnreadableImage as error:
        return f"refused: {error}"
    except MemoryError:
        return "refused: memory"


async def through_decoders(count: int, seed: int) -> Tally:
    """The decoders of the service, and in-process reading beside them.

    Only the answer of the decoders is timed; a mutant that kills the other process is counted.
    """
    answers: dict[str, str] = {}
    async with Decoders(DECODERS, pixels=PIXELS) as decoders:

        async def ask(data: bytes, name: str) -> tuple[float, str]:
            started = time.perf_counter()
            try:
                picture = (await decoders.decode(data, name)).picture
                seconds = time.perf_counter() - started
                answers[name] = summary(picture)  # its hash is not the service's time
            except UnreadableImage as error:
                seconds, answers[name] = time.perf_counter() - started, f"refused: {error}"
            return seconds, answers[name]

        result = await tally(count, seed, ask, DECODERS)
        result.answers.update(
            {f"children replaced ({why})": n for why, n in decoders.replaced.items()}
        )
        result.answers["children's memory at the end, MB"] = max(map(_resident, decoders.pids))
    _compare(mutants(count, seed), answers, result)
    return result


def _compare(work: Iterator[tuple[str, bytes]], answers: dict[str, str], result: Tally) -> None:
    """Read each mutant again in a process of its own; only reasons of a refusal may differ."""
    pool = _other_process()
    for name, data in work:
        try:
            expected = pool.submit(read, data, name).result()
        except BrokenProcessPool:
            expected, pool = "odd: it killed its process", _other_process()
        both = f"{name}: service {answers[name]!r}, in-process {expected!r}"
        if expected == answers[name]:
            result.answers["the same in-process"] += 1
        elif expected.startswith("refused") and answers[name].startswith("refused"):
            result.answers["refused in-process in other words"] += 1
            print(both)
        else:
            result.odd.append(both)
    pool.shutdown()


def _other_process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_silence)


def _silence() -> None:
    """libtiff complains on stderr."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


async def through_service(count: int, seed: int, url: str, normal_set: str) -> Tally:
    """POST /v1/detect with each mutant as the query: 200, or 4xx."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:

        async def ask(data: bytes, name: str) -> tuple[float, str]:
            started = time.perf_counter()
            try:
                reply = await client.post(
                    "/v1/detect", data={"set": normal_set}, files={"queries": (name, data)}
                )
            except httpx2.HTTPError as error:
                return time.perf_counter() - started, f"odd: {type(error).__name__}"
            status = reply.status_code
            sound = status == 200 or 400 <= status < 500
            answer = f"{status}" if sound else f"odd {status}: {reply.text[:200]}"
            return time.perf_counter() - started, answer

        return await tally(count, seed, ask, CLIENTS)


def _resident(pid: int | str = "self") -> int:
    """Memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 10**6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", help="of a running service")
    parser.add_argument("--set", default="mutants", help="the normal set to ask that service for")
    given = parser.parse_args()
    print(f"{describe()}; {given.count} mutants, seed {given.seed}")
    before, started = _resident(), time.perf_counter()
    if given.url:
        result = asyncio.run(through_service(given.count, given.seed, given.url, given.set))
    else:
        result = asyncio.run(through_decoders(given.count, given.seed))
    for answer, number in sorted(result.answers.items()):
        print(f"{answer:36}{number:8}")
    seconds, name = result.slowest
    print(f"{'slowest, s':36}{seconds:8.2f}  {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 10**6
    print(f"{'this process, MB':36}{before:8} before, {_resident()} after, {peak} at most")
    print(f"{'in all, s':36}{time.perf_counter() - started:8.0f}")
    for line in [*result.slow, *result.odd][:50]:
        print(line)
    print(f"{len(result.slow)} slow, {len(result.odd)} odd")
    sys.exit(bool(result.slow or result.odd))


if __name__ == "__main__":
    main()
