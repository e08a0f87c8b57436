"""What a score depends on besides the images: named, compared and hashed in one place."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from inctrl.types import Fit, Options

if TYPE_CHECKING:
    from inctrl.inspection.inspector import Inspector


@dataclass(frozen=True)
class Identity:
    """Everything of an inspector that a context depends on, by the names of the card's fields.

    Two are equal where their contexts are: names and sizes only explain the fingerprint, and the
    folder of the adapter its hash.

    text_prior    the sentence bank, or why there is none
    text_sha256   of its sentences, or of the learned prompts; None where no text takes part
    """

    fingerprint: str
    detector: str
    options: Options
    adapter_sha256: str | None
    fit: Fit
    text_prior: str
    text_sha256: str | None
    backbone: str = field(compare=False)
    image_size: int = field(compare=False)
    layers: tuple[str, ...] = field(compare=False)
    adapter: str | None = field(compare=False)

    @property
    def compared(self) -> dict[str, Any]:
        """The fields that make two of them differ, as JSON gives them back."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    def key(self, *others: object) -> str:
        """A hash of it, and of whatever else something depends on."""
        told = json.dumps([*others, self.compared], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def described(self) -> dict[str, Any]:
        """All fields by name."""
        return asdict(self)


def identity_of(inspector: "Inspector") -> Identity:
    """The identity of an inspector as it is now."""
    backbone, detector, adapter = inspector.backbone, inspector.detector, inspector.adapter
    prior, sha256 = _text(inspector)
    return Identity(
        fingerprint=backbone.fingerprint,
        detector=detector.name,
        options=dict(detector.options),
        adapter_sha256=adapter.sha256 if adapter else None,
        fit=inspector.fit_mode,
        text_prior=prior,
        text_sha256=sha256,
        backbone=backbone.name,
        image_size=backbone.image_size,
        layers=tuple(backbone.layers),
        adapter=adapter.path if adapter else None,
    )


def _text(inspector: "Inspector") -> tuple[str, str | None]:
    """Whether a text prior takes part, in words, and the hash of what it says."""
    if not inspector.backbone.has_text:
        return f"off: backbone {inspector.backbone.name!r} has no text tower", None
    if inspector.learned is not None:
        return "learned prompts of the adapter", inspector.learned.sha256
    if not inspector.detector.uses_text:
        return "off: not used by the detector", None
    return f"bank {inspector.bank.name!r}", inspector.bank.sha256
