"""The errors users meet: one root, and a leaf for each thing they can do about it.

Every message is one line that names the file or argument, says what was seen and what to do.
What needs lines of its own (an expected tree) is the error's `detail`.
"""


class InctrlError(Exception):
    """Root of all expected failures; `exit_code` is what the command line ends with."""

    exit_code = 1
    detail = ""


class UsageError(InctrlError):
    """An argument is wrong, or names something that does not exist."""

    exit_code = 2


class UnreadableImage(InctrlError):
    """An input is not an image that can be scored."""

    exit_code = 4


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


class OutputError(InctrlError):
    """Results cannot be written."""

    exit_code = 7
