"""What commands print on stdout; a reader that leaves early (`| head`) ends no run."""

import os
import sys


def prepare_stdout() -> None:
    """Names that the terminal's encoding lacks are shown escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Write to stdout; once nobody reads it any more, quietly to nowhere."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
