"""What outlasts a process: normal sets, contexts, feedback, scores, replies and jobs."""

from inctrl.store.feedback import FeedbackRow
from inctrl.store.history import ScorePage, ScoreRecord
from inctrl.store.jobs import JobRow, JobState
from inctrl.store.names import parse_name, parse_reference
from inctrl.store.replies import InFlight, KeyReused, Reply
from inctrl.store.sets import Difference, Summary
from inctrl.store.shots import KeptShots, Shot
from inctrl.store.store import Store, default_folder, open_store
from inctrl.store.versions import Origin, SetVersion, VersionSummary

__all__ = [
    "Difference",
    "FeedbackRow",
    "InFlight",
    "JobRow",
    "JobState",
    "KeptShots",
    "KeyReused",
    "Origin",
    "Reply",
    "ScorePage",
    "ScoreRecord",
    "SetVersion",
    "Shot",
    "Store",
    "Summary",
    "VersionSummary",
    "default_folder",
    "open_store",
    "parse_name",
    "parse_reference",
]
