"""Few-shot visual anomaly detection: k normal images in, score, verdict and heat map out.

import inctrl
fitted = inctrl.Inspector.load().fit(["ok1.png", "ok2.png"])
for result in fitted.inspect(["query.png"]):
    print(result.verdict, result.score)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inctrl.backbones import load_backbone as load_backbone
    from inctrl.client import Client as Client
    from inctrl.decoding import open_image as open_image
    from inctrl.errors import InctrlError as InctrlError
    from inctrl.inspection.fitted import FittedInspector as FittedInspector
    from inctrl.inspection.inspector import Inspector as Inspector
    from inctrl.inspection.saved import load_context as load_context
    from inctrl.inspection.saved import save_context as save_context
    from inctrl.types import Failure as Failure
    from inctrl.types import Result as Result

from inctrl.version import __version__

_HOMES = {
    "Client": "inctrl.client",
    "FittedInspector": "inctrl.inspection.fitted",
    "Failure": "inctrl.types",
    "InctrlError": "inctrl.errors",
    "Inspector": "inctrl.inspection.inspector",
    "Result": "inctrl.types",
    "load_backbone": "inctrl.backbones",
    "load_context": "inctrl.inspection.saved",
    "open_image": "inctrl.decoding",
    "save_context": "inctrl.inspection.saved",
}
__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """Public names are loaded on first use: importing inctrl loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'inctrl' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
