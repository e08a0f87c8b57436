"""Replies under idempotency keys: what was asked twice is done once."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from inctrl.errors import Conflict, UsageError
from inctrl.store.database import Database, ago, insert, now

SCHEMA = """
CREATE TABLE replies (
  key TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  created TEXT NOT NULL,
  status INTEGER,
  headers TEXT,
  body BLOB,
  owner TEXT NOT NULL DEFAULT ''
);
"""


class KeyReused(UsageError):
    """The idempotency key has served another request."""


class InFlight(Conflict):
    """The first request with this idempotency key is still at work."""


@dataclass(frozen=True)
class Reply:
    """A reply as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Replies:
    """begin -> the work -> finish; best finished in one transaction with what the work writes.

    owner   stands for whoever begins work here, among all that share the store
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.owner = uuid.uuid4().hex

    def begin(self, key: str, digest: str) -> Reply | None:
        """The reply of the first time, or None: now is the first time.

        digest    of the request; KeyReused where another one came under the key
        InFlight where the first time has not ended.
        """
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT digest, status, headers, body FROM replies WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                row = {"key": key, "digest": digest, "created": now(), "owner": self.owner}
                insert(db, "replies", row)
                return None
        known, status, headers, body = row
        if known != digest:
            raise KeyReused("this idempotency key has served another request; choose a new one")
        if status is None:
            raise InFlight("the first request with this idempotency key is still at work")
        return Reply(status, json.loads(headers), bytes(body))

    def finish(self, key: str, reply: Reply) -> None:
        """Keep the reply; the first one kept stays."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE replies SET status = ?, headers = ?, body = ? "
                "WHERE key = ? AND status IS NULL",
                (reply.status, json.dumps(dict(reply.headers)), reply.body, key),
            )

    def abandon(self, key: str) -> None:
        """Forget that it was begun, so that it may be tried again."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM replies WHERE key = ? AND status IS NULL", (key,))

    def prune(self, hours: float = 24) -> int:
        """Remove those older than so many hours; gives how many."""
        with self._database.transaction() as db:
            return db.execute("DELETE FROM replies WHERE created < ?", (ago(hours=hours),)).rowcount

    def clear_in_flight(self, alive: Collection[str] = ()) -> int:
        """Forget what was begun by owners that are not alive: it has died with them."""
        kept = ", ".join("?" * len(alive))
        with self._database.transaction() as db:
            return db.execute(
                f"DELETE FROM replies WHERE status IS NULL AND owner NOT IN ({kept})",  # noqa: S608
                tuple(alive),
            ).rowcount
