"""Detectors and prepared sets in memory. All of it is used on the engine's thread alone."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inctrl.adapters import file as adapter_file
from inctrl.backbones import load_backbone
from inctrl.detectors import DETECTORS
from inctrl.files.recent import Recent
from inctrl.images import Picture
from inctrl.inspection.fitted import FittedInspector
from inctrl.inspection.inspector import Inspector
from inctrl.inspection.registered import Registered
from inctrl.protocols import Backbone
from inctrl.registry import unknown
from inctrl.service.effort import refuse_large_set, refuse_many_sent
from inctrl.service.engine import until
from inctrl.service.jobs.folder import JobFolder
from inctrl.service.jobs.specs import TrainJob, adapter_folder, read_spec
from inctrl.service.settings import Settings
from inctrl.store import SetVersion, Store
from inctrl.types import Item
from inctrl.views import Views

INSPECTORS, PREPARED = 4, 32
HEAVIEST = 1_000_000_000
"""Kept in memory, and the bytes of all prepared sets together."""
TRAININGS = 200
"""The newest jobs among which trained adapters are looked for."""


@dataclass(frozen=True)
class Choice:
    """The detector of a request; None: the service's own."""

    detector: str | None = None
    adapter: str | None = None
    alpha: float | None = None

    @property
    def model(self) -> tuple[str | None, str | None]:
        return self.detector, self.adapter


@dataclass(eq=False)
class Inspectors:
    """What a service scores with."""

    settings: Settings
    store: Store
    _inspectors: Recent[Inspector] = field(default_factory=lambda: Recent(INSPECTORS))
    _prepared: Recent[FittedInspector] = field(
        default_factory=lambda: Recent(PREPARED, weight, HEAVIEST)
    )
    _items: Recent[Item] = field(default_factory=lambda: Recent(PREPARED))
    _backbones: Recent[Backbone] = field(default_factory=lambda: Recent(INSPECTORS))

    def inspector(self, choice: Choice) -> Inspector:
        """The detector of a request; UsageError where the service does not offer it."""
        return self._inspectors.get(choice.model, lambda: self._load(choice))

    def ready(self, version: SetVersion, choice: Choice) -> FittedInspector | None:
        """A version that is prepared and in memory, from any thread."""
        found = self._prepared.peek(self._key(version, choice))
        return found and found.with_alpha(choice.alpha)

    def registered(self, version: SetVersion, choice: Choice) -> FittedInspector:
        """A version of a set, prepared; its confirmed defects are those of this moment."""
        inspector = self.inspector(choice)

        def prepared() -> FittedInspector:
            refuse_large_set(version, inspector)
            return Registered(self.store, inspector).prepared(version)

        return self._prepared.get(self._key(version, choice), prepared).with_alpha(choice.alpha)

    def inline(
        self, shots: Sequence[Picture], item: str, choice: Choice, views: Views, deadline: float
    ) -> FittedInspector:
        """Shots that came with a request: prepared for it alone, and not remembered.

        Expired between two of them where the deadline, by time.monotonic, has passed.
        """
        inspector = self.inspector(choice)
        refuse_many_sent(shots, inspector, views)
        about = self._items.get((choice.model, item), lambda: inspector.describe(item))
        return inspector.prepare(until(deadline, shots), about, views=views).with_alpha(
            choice.alpha
        )

    def _key(self, version: SetVersion, choice: Choice) -> Hashable:
        defects = tuple(shot.sha256 for shot in self.store.feedback.defects(version.name))
        return version.name, version.version, version.digest, defects, choice.model

    def adapters(self) -> dict[str, Path]:
        """The adapters at hand: shipped ones and the user's, and of trainings here as job:ID."""
        return adapter_file.installed() | {
            f"job:{row.id}": adapter_folder(spec, JobFolder(self.store.jobs_folder / row.id).result)
            for row in self.store.jobs.list("succeeded", limit=TRAININGS)
            if isinstance(spec := read_spec(row.spec), TrainJob)
        }

    def offered(self, choice: Choice) -> tuple[str | None, str | None]:
        """The detector and the adapter's folder; UsageError where one of them is not at hand."""
        detector, adapter = choice.model
        if choice.model == (None, None):
            detector, adapter = self.settings.detector, self.settings.adapter
        if detector is not None and detector not in DETECTORS:
            raise unknown(detector, DETECTORS, "detector")
        if adapter is None:
            return detector, None
        known = self.adapters()
        if adapter not in known:
            raise unknown(adapter, known, "adapter")
        return detector, str(known[adapter])

    def _load(self, choice: Choice) -> Inspector:
        detector, adapter = self.offered(choice)
        return Inspector.load(
            self.settings.backbone,
            detector=detector,
            adapter=adapter,
            alpha=self.settings.alpha,
            image_size=self.settings.image_size,
            precision=self.settings.precision,
            device=self.settings.device,
            batch=self.settings.batch,
            cache="off",
            allow_network=self.settings.allow_network,
            loader=self._backbone,
        )

    def _backbone(
        self,
        name: str,
        *,
        image_size: int | None,
        layers: Sequence[str] | None,
        precision: str | None,
        device: str,
        allow_network: bool,
    ) -> Backbone:
        """One in memory for all detectors that see it the same way."""
        return self._backbones.get(
            (name, image_size, tuple(layers) if layers else None, precision),
            lambda: load_backbone(
                name,
                image_size=image_size,
                layers=layers,
                precision=precision,
                device=device,
                allow_network=allow_network,
            ),
        )


def weight(fitted: FittedInspector) -> int:
    """Bytes of a prepared set: its tensors, and the shots that evidence shows."""
    tensors = fitted.inspector.detector.pack(fitted.context).values()
    return sum(t.nbytes for t in tensors) + sum(shot.rgb.nbytes for shot in fitted.shots)
