"""Prepared contexts, kept once for all: what a detector made of a set version, and the scores
of confirmed defects under it.
"""

import json
import logging
from typing import Any

from inctrl.errors import InvalidFile
from inctrl.store.blobs import Blobs
from inctrl.store.database import Database, now

logger = logging.getLogger("inctrl")

SCHEMA = """
CREATE TABLE contexts (
  key TEXT PRIMARY KEY,
  set_name TEXT NOT NULL,
  version INTEGER NOT NULL,
  created TEXT NOT NULL,
  document TEXT NOT NULL,
  blob TEXT NOT NULL,
  FOREIGN KEY (set_name, version) REFERENCES versions (set_name, version) ON DELETE CASCADE
);
CREATE INDEX contexts_by_version ON contexts (set_name, version);
CREATE TABLE defect_scores (
  key TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  score REAL NOT NULL,
  PRIMARY KEY (key, sha256)
);
CREATE TRIGGER defect_scores_end AFTER DELETE ON contexts
BEGIN DELETE FROM defect_scores WHERE key = OLD.key; END;
"""


class KeptContexts:
    """Contexts under keys that name all they depend on; the tensors are a blob."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def get(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        """Its index and tensors; None where there is none, or none undamaged any more."""
        with self._database.read() as db:
            row = db.execute("SELECT document, blob FROM contexts WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        document, blob = row
        try:
            return json.loads(document), self._blobs.read(blob)
        except InvalidFile as error:
            logger.warning("a kept context is made again: %s", error)
        with self._database.transaction() as db:
            db.execute("DELETE FROM contexts WHERE key = ? AND blob = ?", (key, blob))
        return None

    def put(self, key: str, name: str, version: int, index: dict[str, Any], tensors: bytes) -> None:
        """Keep it, once for a key; nothing is kept for a version that was removed meanwhile."""
        document = json.dumps(index)
        blob = self._blobs.put(tensors)
        with self._database.transaction() as db:
            if not self._blobs.has(blob):  # swept at this very moment
                self._blobs.put(tensors)
            db.execute(
                "INSERT OR IGNORE INTO contexts (key, set_name, version, created, document, blob) "
                "SELECT ?, set_name, version, ?, ?, ? FROM versions "
                "WHERE set_name = ? AND version = ?",
                (key, now(), document, blob, name, version),
            )

    def count(self, name: str) -> int:
        """How many are kept for the versions of a set."""
        with self._database.read() as db:
            row = db.execute("SELECT count(*) FROM contexts WHERE set_name = ?", (name,)).fetchone()
        return int(row[0])


class DefectScores:
    """By context key, then by the identity of the image; they end with the context."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, key: str) -> dict[str, float]:
        with self._database.read() as db:
            rows = db.execute("SELECT sha256, score FROM defect_scores WHERE key = ?", (key,))
            return dict(rows.fetchall())

    def remember(self, key: str, sha256: str, score: float) -> None:
        """`score` is a finite number; the last one given counts."""
        with self._database.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO defect_scores (key, sha256, score) VALUES (?, ?, ?)",
                (key, sha256, score),
            )
