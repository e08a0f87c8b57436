"""What has to be settled before Gradio is imported: it talks to nobody, and its files are private.

Gradio reads these variables when it is imported or when a component is made; with analytics on it
asks two outside hosts.
"""

import atexit
import functools
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",
}


def prepare() -> None:
    """Call it before the first import of Gradio; calling it again does nothing."""
    if "gradio" not in sys.modules:
        os.environ.update(QUIET)
    private_folder()
    with warnings.catch_warnings():
        # Of other packages' names for things, which nobody here can change.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        import gradio  # noqa: F401


@functools.cache
def private_folder() -> Path:
    """Where uploads and pictures of the page lie: of this user alone, gone with the process."""
    folder = Path(tempfile.mkdtemp(prefix="inctrl-page-")).resolve()  # made with mode 0700
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def discard() -> None:
    """Remove the folder now: a service that is told to stop by a signal has no exit of Python's."""
    shutil.rmtree(private_folder(), ignore_errors=True)
    private_folder.cache_clear()
