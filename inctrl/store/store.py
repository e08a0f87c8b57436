"""A store: one folder with all that outlasts a process."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from inctrl.errors import NoSpace, NotStored, OutputError
from inctrl.files.places import data_folder, expanded
from inctrl.files.private import private_folder
from inctrl.files.whole import writing
from inctrl.store import feedback, history, jobs, kept_contexts, replies, versions
from inctrl.store.blobs import ORPHAN_SECONDS, Blobs
from inctrl.store.database import FILE, Database
from inctrl.store.feedback import Feedback
from inctrl.store.history import History
from inctrl.store.jobs import Jobs
from inctrl.store.kept_contexts import DefectScores, KeptContexts
from inctrl.store.replies import Replies
from inctrl.store.sets import NormalSets

MIGRATIONS: tuple[str, ...] = (
    "".join(part.SCHEMA for part in (versions, kept_contexts, feedback, history, replies, jobs)),
    versions.VIEWS,
)
"""From each version of the schema to the next: what a release has shipped never changes, and what
follows is added behind it.
"""
REFERENCED = """
SELECT blob FROM shots
UNION SELECT blob FROM contexts
UNION SELECT blob FROM feedback WHERE blob IS NOT NULL
"""


@dataclass(frozen=True)
class Store:
    """The parts of a store; threads and processes may share its folder."""

    folder: Path
    database: Database
    blobs: Blobs
    sets: NormalSets
    contexts: KeptContexts
    defect_scores: DefectScores
    feedback: Feedback
    history: History
    replies: Replies
    jobs: Jobs

    @property
    def features_folder(self) -> Path:
        """Where image features are kept."""
        return self.folder / "features"

    @property
    def jobs_folder(self) -> Path:
        """Where each job has a folder of its own."""
        return self.folder / "jobs"

    def referenced(self) -> set[str]:
        """The blobs that any row names."""
        with self.database.read() as db:
            return {blob for (blob,) in db.execute(REFERENCED)}

    def sweep(self, older_than: float = ORPHAN_SECONDS) -> int:
        """Remove the blobs that nothing names for so many seconds; gives how many."""
        with self.database.transaction():
            return self.blobs.sweep(self.referenced(), older_than)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(folder: str | Path | None = None, *, make: bool = True) -> Store:
    """The store in a folder (default: `INCTRL_STORE`, else in the user's data).

    make    create one where there is none; else that is NotStored

    What is below the folder is closed to other users; the rights of the folder itself are kept.
    """
    named = folder or os.environ.get("INCTRL_STORE")
    path = (expanded(named) if named else default_folder()).absolute()
    if not make and not (path / FILE).exists():
        raise NotStored(f"{str(path)!r} holds no store; `inctrl sets add` makes one")
    try:
        with writing(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OutputError as error:
        raise type(error)(str(error), fix="name a store") from None
    blobs = Blobs(path / "blobs")
    database = Database(path, MIGRATIONS)
    store = Store(
        folder=path,
        database=database,
        blobs=blobs,
        sets=NormalSets(database, blobs),
        contexts=KeptContexts(database, blobs),
        defect_scores=DefectScores(database),
        feedback=Feedback(database, blobs),
        history=History(database),
        replies=Replies(database),
        jobs=Jobs(database),
    )
    for below in (store.features_folder, store.jobs_folder):
        with contextlib.suppress(NoSpace, OutputError):  # a full or a read-only disk is still read
            private_folder(below)
    return store


def default_folder() -> Path:
    """In the user's data; UsageError where the user has no home folder, for a store must last."""
    return data_folder("store", "a store", "name a store")
