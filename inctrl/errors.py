"""The errors users meet: one root, and a leaf for each thing they can do about it.

Every message is one line that names the file or argument, says what was seen and what to do.
What needs lines of its own (an expected tree) is the error's `detail`.
Where the next step has another name for each who asks (an option, an argument, a field), the
message does not name it: `fix` says which step it is, and each face words it.
"""

from typing import Literal

Fix = Literal[
    "name an adapter",
    "leave the adapter out",
    "give normals",
    "allow the network",
    "use another cache",
    "read subfolders",
    "use another store",
    "name a store",
    "name a folder",
    "overwrite",
]


class InctrlError(Exception):
    """Root of all expected failures; `exit_code` is what the command line ends with."""

    exit_code = 1
    detail = ""
    fix: Fix | None = None

    def __init__(self, message: str, fix: Fix | None = None) -> None:
        super().__init__(message)
        self.fix = fix


class UsageError(InctrlError):
    """An argument is wrong, or names something that does not exist."""

    exit_code = 2


class NotStored(UsageError):
    """The store has no set, version, score or job of this name."""


class UnreadableImage(InctrlError):
    """An input is not an image that can be scored.

    name     of the image, where it is known: FILE#2 is the second of a file
    frames   how many images the file holds
    """

    exit_code = 4
    name = ""
    frames = 1


class MissingModel(InctrlError):
    """Weights or files of a model are not at hand and may not be fetched."""

    exit_code = 5


class MissingData(InctrlError):
    """A data set is not at hand, or not in the layout that its publisher gives it.

    detail   the expected tree, the licence and the way to get it, in lines; may be empty
    """

    exit_code = 5

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class InvalidFile(InctrlError):
    """A model, adapter or context file is there but does not hold what it should."""

    exit_code = 5


class ContextMismatch(InctrlError):
    """A context or adapter was made for another backbone or detector."""

    exit_code = 6


class Conflict(InctrlError):
    """Something else is at work on the same thing."""

    exit_code = 6


class Busy(InctrlError):
    """There is more work than can be done in time; `retry_after` is in seconds."""

    exit_code = 6

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutputError(InctrlError):
    """Results cannot be written."""

    exit_code = 7


class NoSpace(OutputError):
    """The disk is full."""


class Unauthorised(InctrlError):
    """The service wants a token, or does not know the one that was sent."""

    exit_code = 2


class Unreachable(InctrlError):
    """No service answers at the address, or not in time."""

    exit_code = 6


class ServiceFailed(InctrlError):
    """The service met a fault of its own, or what answered is no service of inctrl."""
