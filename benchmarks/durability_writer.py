"""A process that writes all that a store holds until it is killed, and what is expected of it."""

import hashlib
import json
import os
import random
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inctrl.errors import InctrlError, NotStored
from inctrl.images import Picture
from inctrl.store import Reply, ScoreRecord, Store, open_store

Line = dict[str, Any]
CREATED = "2026-01-01T00:00:00+00:00"


def noise(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """An image that no other one equals."""
    return rng.integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_until_killed(folder: Path, seed: str, out: int) -> None:
    """Never ends by itself; `out` takes what it tells."""
    Writer(folder, out, seed).write()


class Writer:
    """Writes everything a store can hold, at random, until it is killed."""

    def __init__(self, folder: Path, out: int, seed: str) -> None:
        self._rng = random.Random(seed)  # noqa: S311
        self._noise = np.random.default_rng(self._rng.getrandbits(64))
        self._out = out
        self._own: list[str] = []
        self._prefix = uuid.uuid4().hex[:12]
        self._store = open_store(folder)

    def write(self) -> None:
        steps = [self.create, self.add, self.drop, self.confirm, self.score, self.context]
        steps += [self.reply, self.job, self.remove, self.share]
        while True:
            self._rng.choice(steps)()

    def create(self) -> None:
        gone = [name for name in self._own if name.startswith("-")]
        name = gone[0][1:] if gone else f"{self._prefix}-{len(self._own)}"
        self.tell("begin", name)
        version = self._store.sets.create(name, self.pictures(self._rng.randint(1, 4)))
        self._own = [own for own in self._own if own != f"-{name}"] + [name]
        self.tell("version", name, key=version.version, value=version.digest)

    def add(self) -> None:
        for name in self.one():
            self.tell("begin", name)
            version = self._store.sets.add(name, self.pictures(self._rng.randint(1, 3)))
            self.tell("version", name, key=version.version, value=version.digest)

    def drop(self) -> None:
        for name in self.one():
            shots = self._store.sets.get(name).shots
            if len(shots) > 1:
                self.tell("begin", name)
                version = self._store.sets.drop(name, [shots[0].sha256])
                self.tell("version", name, key=version.version, value=version.digest)

    def confirm(self) -> None:
        for name in self.one():
            self.tell("begin", name)
            (picture,) = self.pictures(1)
            self.tell("defect", name, key=self._store.feedback.confirm(name, picture))

    def context(self) -> None:
        for name in self.one():
            key, tensors = uuid.uuid4().hex, self._noise.bytes(self._rng.randint(1, 60_000))
            version = self._store.sets.get(name).version
            self.tell("begin", name)
            self._store.contexts.put(key, name, version, {"of": key}, tensors)
            self.tell("context", name, key=key, value=hashlib.sha256(tensors).hexdigest())

    def score(self) -> None:
        ids = [uuid.uuid4().hex for _ in range(self._rng.randint(1, 20))]
        model = {"backbone": f"tiny-{self._rng.randint(0, 3)}"}
        self.tell("begin", "")
        self._store.history.add(
            ScoreRecord(
                *(id, "2026-01-01T00:00:00+00:00", "any", 1, "object", "0" * 64, "query.png"),
                *(0.5, 0.4, 0.1, "anomalous", model, {"scores": [0.1, 0.2]}),
            )
            for id in ids
        )
        for id in ids:
            self.tell("score", "", key=id)

    def reply(self) -> None:
        key, body = uuid.uuid4().hex, self._noise.bytes(self._rng.randint(0, 5000))
        self.tell("begin", "")
        self._store.replies.begin(key, "digest")
        self._store.replies.finish(key, Reply(200, {"content-type": "x"}, body))
        self.tell("reply", "", key=key, value=hashlib.sha256(body).hexdigest())

    def job(self) -> None:
        self.tell("begin", "")
        self.tell("job", "", key=self._store.jobs.add("folder", {"path": "x" * 100}).id)

    def remove(self) -> None:
        for name in self.one() if self._rng.random() < 0.5 else ():
            self.tell("begin remove", name)
            self._store.sets.remove(name)
            self._own = [own for own in self._own if own != name] + [f"-{name}"]
            self.tell("remove", name)

    def share(self) -> None:
        """All writers at one set, which is not to grow without end."""
        self.tell("begin", "")
        sets = self._store.sets
        with self._store.database.transaction():
            try:
                shots = sets.get("shared").shots
            except NotStored:
                version = sets.create("shared", self.pictures(2))
            else:
                old = [shot.sha256 for shot in shots[:6]]
                few = len(shots) <= 12
                version = sets.add("shared", self.pictures(1)) if few else sets.drop("shared", old)
        self.tell("version", "shared", key=version.version, value=version.digest)

    def one(self) -> tuple[str, ...]:
        names = [name for name in self._own if not name.startswith("-")]
        return (self._rng.choice(names),) if names else ()

    def pictures(self, count: int) -> list[Picture]:
        return [
            Picture(noise(self._noise, self._rng.randint(8, 96)), f"{i}.png") for i in range(count)
        ]

    def tell(self, do: str, name: str, **more: Any) -> None:
        os.write(self._out, json.dumps({"do": do, "name": name, **more}).encode() + b"\n")


@dataclass
class Expected:
    """The acknowledged writes of a round, by set; those of a set end with its removal."""

    written: int = 0
    found: dict[str, dict[tuple[str, Any], Any]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, reported: Iterable[list[Line]]) -> "Expected":
        """From what each writer reported before it was killed."""
        expected = cls()
        for lines in reported:
            for line in lines:
                expected._learn(line)
            if lines and lines[-1]["do"] == "begin remove":
                expected.doubtful.add(lines[-1]["name"])
        return expected

    def _learn(self, line: Line) -> None:
        if line["do"].startswith("begin"):
            return
        self.written += 1
        if line["do"] == "failed":
            self.failures.append(line["name"])
        elif line["do"] == "remove":
            self.found.pop(line["name"], None)
        else:
            self.found.setdefault(line["name"], {})[line["do"], line["key"]] = line.get("value")

    def missing(self, store: Store) -> Iterator[str]:
        """The acknowledged writes that are not there, in words."""
        yield from self.failures
        for name, writes in self.found.items():
            lost = [key for key, value in writes.items() if not is_there(store, name, *key, value)]
            if name in self.doubtful and len(lost) == len(writes):
                continue  # its removal was not acknowledged, but is whole
            yield from (f"{key} of {name!r} is lost" for key in lost)


def is_there(store: Store, name: str, kind: str, key: Any, value: Any) -> bool:
    try:
        if kind == "version":
            return bool(store.sets.get(name, key).digest == value)
        if kind == "context":
            kept = store.contexts.get(key)
            return kept is not None and hashlib.sha256(kept[1]).hexdigest() == value
        if kind == "reply":
            reply = store.replies.begin(key, "digest")
            return reply is not None and hashlib.sha256(reply.body).hexdigest() == value
        get = {"defect": store.feedback.get, "score": store.history.get, "job": store.jobs.get}
        get[kind](key)
        return True
    except InctrlError:
        return False
