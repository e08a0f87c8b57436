"""The schema of a store: what brings its database from each version to the next.

An entry that a release has shipped never changes; what follows is added behind it.
"""

from inctrl.store import defect_scores, feedback, history, jobs, replies, versions
from inctrl.store import kept_contexts as contexts

MIGRATIONS: tuple[str, ...] = (
    "".join(
        part.SCHEMA
        for part in (versions, contexts, defect_scores, feedback, history, replies, jobs)
    ),
)
