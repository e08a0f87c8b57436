"""The engine: one thread, first come first served, batches of what waits and no more."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest
from fakes import FakeBackbone

from inctrl.decoding import decode
from inctrl.detectors import build_detector
from inctrl.errors import Busy
from inctrl.images import Picture
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.service.effort import looks_at
from inctrl.service.engine import Engine, Expired, until
from inctrl.types import Failure, Result

T = TypeVar("T")
FAR = float("inf")


def picture(seed: int) -> Picture:
    return decode(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def fitted(backbone: FakeBackbone, seed: int = 0, **views: Any) -> FittedInspector:
    inspector = Inspector(backbone, build_detector("incontext", {}, None))
    return inspector.fit([picture(seed + i) for i in range(3)], **views)


def with_engine(work: Callable[[Engine], Coroutine[Any, Any, T]], **options: Any) -> T:
    async def run() -> T:
        engine = Engine(**options)
        engine.start()
        try:
            return await work(engine)
        finally:
            await asyncio.to_thread(engine.close)

    return asyncio.run(run())


async def queued(engine: Engine, number: int) -> None:
    """Until so many wait."""
    async with asyncio.timeout(60):
        while len(engine) < number:
            await asyncio.sleep(0.005)


class Hold:
    """Keeps the engine at work until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        assert self.go.wait(10)


def test_what_waits_goes_through_together_and_scores_as_alone() -> None:
    backbone, sizes = FakeBackbone(), list[int]()
    one, other = fitted(backbone), fitted(backbone, 100)

    async def work(engine: Engine) -> list[Result | Failure]:
        hold = Hold()
        held = asyncio.ensure_future(engine.call(hold))
        await asyncio.to_thread(hold.begun.wait)
        queries = [
            asyncio.ensure_future(engine.inspect([one, other][i % 2], picture(50 + i), FAR))
            for i in range(6)
        ]
        await queued(engine, 6)
        hold.go.set()
        await held
        return await asyncio.gather(*queries)

    outcomes = with_engine(work, batch=4, sizes=sizes.append)
    assert sizes == [4, 2]
    for i, outcome in enumerate(outcomes):
        alone = [one, other][i % 2].inspect([picture(50 + i)])[0]
        assert isinstance(outcome, Result)
        assert outcome.score == pytest.approx(alone.score, abs=1e-6)
        assert outcome.threshold == alone.threshold
        np.testing.assert_allclose(outcome.anomaly_map, alone.anomaly_map, atol=1e-6)


def test_a_query_in_tiles_counts_as_so_many_in_a_batch_and_in_the_pace() -> None:
    backbone, sizes = FakeBackbone(), list[int]()
    tiled, whole = fitted(backbone, tiles=2), fitted(backbone)
    assert looks_at(tiled, picture(50)) == 4
    assert looks_at(whole, picture(50)) == 1

    async def work(engine: Engine) -> list[Result | Failure]:
        hold = Hold()
        held = asyncio.ensure_future(engine.call(hold))
        await asyncio.to_thread(hold.begun.wait)
        order = [tiled, tiled, tiled, whole, whole, tiled]
        queries = [
            asyncio.ensure_future(
                engine.inspect(one, picture(50 + i), FAR, looks_at(one, picture(0)))
            )
            for i, one in enumerate(order)
        ]
        await queued(engine, 6)
        hold.go.set()
        await held
        return await asyncio.gather(*queries)

    outcomes = with_engine(work, batch=8, sizes=sizes.append)
    assert sizes == [2, 3, 1]  # of 8, of 4 + 1 + 1 and of 4 looks
    alone = tiled.inspect([picture(50)])[0]
    assert isinstance(outcomes[0], Result)
    assert outcomes[0].score == pytest.approx(alone.score, abs=1e-6)


def test_a_query_that_waits_for_nothing_is_not_held_back() -> None:
    sizes = list[int]()
    ready = fitted(FakeBackbone())

    async def work(engine: Engine) -> None:
        for i in range(3):
            await engine.inspect(ready, picture(50 + i), FAR)

    with_engine(work, sizes=sizes.append)
    assert sizes == [1, 1, 1]


def test_one_bad_query_fails_alone() -> None:
    backbone = FakeBackbone()
    ready = fitted(backbone)
    encode = backbone.encode_images

    def failing(pixels: Any) -> Any:
        if any(float(p.max() - p.min()) < 1e-6 for p in pixels):
            raise RuntimeError("cannot see this")
        return encode(pixels)

    backbone.encode_images = failing  # type: ignore[method-assign]
    flat = decode(np.full((40, 50, 3), 7, np.uint8))

    async def work(engine: Engine) -> list[Any]:
        hold = Hold()
        held = asyncio.ensure_future(engine.call(hold))
        await asyncio.to_thread(hold.begun.wait)
        queries = [engine.inspect(ready, p, FAR) for p in (picture(50), flat, picture(51))]
        gathered = asyncio.gather(*queries, return_exceptions=True)
        await queued(engine, 3)
        hold.go.set()
        await held
        return list(await gathered)

    first, bad, last = with_engine(work)
    assert isinstance(first, Result)
    assert isinstance(bad, RuntimeError)
    assert isinstance(last, Result)


def test_expired_and_cancelled_work_is_never_done() -> None:
    backbone = FakeBackbone()
    ready = fitted(backbone)
    encoded = backbone.encoded

    async def work(engine: Engine) -> None:
        hold = Hold()
        held = asyncio.ensure_future(engine.call(hold))
        await asyncio.to_thread(hold.begun.wait)
        late = asyncio.ensure_future(engine.inspect(ready, picture(1), time.monotonic() + 0.02))
        gone = asyncio.ensure_future(engine.inspect(ready, picture(2), FAR))
        await queued(engine, 2)
        gone.cancel()
        await asyncio.sleep(0.05)
        hold.go.set()
        await held
        with pytest.raises(Expired):
            await late
        with pytest.raises(asyncio.CancelledError):
            await gone

    with_engine(work)
    assert backbone.encoded == encoded


def test_what_a_call_raises_reaches_its_caller_and_the_engine_goes_on() -> None:
    def broken() -> None:
        raise ValueError("no")

    async def work(engine: Engine) -> int:
        with pytest.raises(ValueError, match="no"):
            await engine.call(broken)
        return await engine.call(lambda: 7)

    assert with_engine(work) == 7


def test_closing_finishes_what_waits_and_takes_nothing_more() -> None:
    async def run() -> None:
        engine, done = Engine(), list[int]()
        engine.start()
        hold = Hold()
        calls = [asyncio.ensure_future(engine.call(hold))]
        calls += [asyncio.ensure_future(engine.call(lambda i=i: done.append(i))) for i in range(3)]
        await asyncio.to_thread(hold.begun.wait)
        await queued(engine, 3)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await engine.call(lambda: None)
        hold.go.set()
        await asyncio.gather(closing, *calls)
        assert done == [0, 1, 2]

    asyncio.run(run())


def test_the_pace_follows_what_is_measured() -> None:
    backbone = FakeBackbone()
    ready = fitted(backbone)
    encode = backbone.encode_images

    def slow(pixels: Any) -> Any:
        time.sleep(0.3)
        return encode(pixels)

    backbone.encode_images = slow  # type: ignore[method-assign]

    async def work(engine: Engine, looks: int = 1) -> tuple[float, float]:
        before = engine.pace
        await engine.inspect(ready, picture(50), FAR, looks)
        return before, engine.pace

    before, after = with_engine(work)
    assert after > before + 0.02
    before, after = with_engine(partial(work, looks=100))  # the pace is that of one look
    assert after < before


def test_the_shots_of_a_request_are_encoded_until_its_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone, clock = FakeBackbone(), [0.0]
    monkeypatch.setattr("inctrl.service.engine.time.monotonic", lambda: clock[0])

    def a_second_each() -> Iterator[Picture]:
        for seed in range(9):
            clock[0] += 1
            yield picture(seed)

    inspector = Inspector(backbone, build_detector("incontext", {}, None))
    with pytest.raises(Expired, match="send less"):
        inspector.fit(until(3.5, a_second_each()))
    assert backbone.encoded == 3
