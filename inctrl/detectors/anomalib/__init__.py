"""The image models of the anomalib library (2.7, Apache-2.0), trained on the k normals alone.

`anomalib:NAME` wants the backbone `pixels` and the extra `inctrl[anomalib]`, in an environment of
its own; the library is looked for when a detector is made, not before. Its own modules, optimisers
and training steps are run; scores and maps are its raw ones, before thresholds and min-max
normalisation.

    models      the table: what each model wants
    options     what users may set, and the arguments it becomes
    towers      whose weights the library's towers hold
    assembly    a module of the library, as it is before training
    training    the library's own training on the k normals
    contained   nothing of the library reaches beyond a call
    detector    the detector

Left out: WinCLIP and VLM-AD (sentences), AnomalyVFM (needs no normals), CFM (needs point clouds).
"""

from inctrl.detectors.anomalib.detector import Anomalib, make
from inctrl.detectors.anomalib.models import MODELS, Model, find_model
from inctrl.detectors.anomalib.options import AnomalibOptions

__all__ = ["MODELS", "Anomalib", "AnomalibOptions", "Model", "find_model", "make"]
