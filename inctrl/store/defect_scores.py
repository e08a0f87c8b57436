"""The scores of confirmed defects under a context, so that they are computed once."""

from inctrl.store.database import Database

SCHEMA = """
CREATE TABLE defect_scores (
  key TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  score REAL NOT NULL,
  PRIMARY KEY (key, sha256)
);
CREATE TRIGGER defect_scores_end AFTER DELETE ON contexts
BEGIN DELETE FROM defect_scores WHERE key = OLD.key; END;
"""


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
