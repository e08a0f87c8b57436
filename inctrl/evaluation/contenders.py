"""Who takes part: detectors as a command line names them, loaded.

    NAME[:KEY=VALUE,...][@BACKBONE]        patchcore:keep_shots=0@cnn:resnet18/tag

A trained adapter takes part by its name; its kind tells the detector.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from inctrl.backbones import load_backbone
from inctrl.backbones.cache import Remembers
from inctrl.backbones.features import Tally
from inctrl.errors import UsageError
from inctrl.evaluation.results import Contender
from inctrl.inspection.inspector import Inspector
from inctrl.protocols import Backbone
from inctrl.views import AS_THEY_ARE, Views

SPEC = re.compile(r"(?P<name>(?:anomalib:)?[^:@]+)(?::(?P<options>[^@]*))?(?:@(?P<backbone>.+))?")
FORM = "NAME[:KEY=VALUE,...][@BACKBONE]"


@dataclass(frozen=True)
class Spec:
    """What is asked for; `label` is how tables will call it."""

    label: str
    detector: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    backbone: str | None = None
    adapter: str | None = None


@dataclass(frozen=True, eq=False)
class Entrant:
    """A contender, and what does its work.

    identity   hash of all that its scores depend on besides data, shots and seed; not the label
    views      how it sees shots and queries
    seen       digests of the images that its adapter was trained on, as the adapter tells them
    """

    contender: Contender
    inspector: Inspector
    identity: str
    seen: frozenset[str] = frozenset()
    views: Views = AS_THEY_ARE


def read_spec(text: str) -> Spec:
    """A detector as the command line names it; UsageError where it is not of the form."""
    match = SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"detector {text!r} is not {FORM}")
    pairs = [part.partition("=") for part in (match["options"] or "").split(",") if part.strip()]
    for key, equals, _ in pairs:
        if not equals:
            raise UsageError(f"detector {text!r}: {key!r} is not KEY=VALUE; the form is {FORM}")
    options = {key.strip(): value.strip() for key, _, value in pairs}
    return Spec(text, match["name"], options, match["backbone"])


def adapter_spec(name: str) -> Spec:
    """A trained adapter by name or folder; it is called by its detector and its folder."""
    return Spec(f"adapter {Path(name).name}", adapter=name)


def load_entrants(
    specs: Sequence[Spec],
    cache: Remembers | None,
    tally: Tally,
    views: Views = AS_THEY_ARE,
    **how: Any,
) -> tuple[Entrant, ...]:
    """Load all that are asked for; a backbone that several use is loaded once.

    views   how all of them see shots and queries; UsageError where one cannot
    how     further arguments of Inspector.load, for all of them
    """
    shared = {**how, "loader": sharing(load_backbone)}
    loaded = [_load(spec, cache, tally, shared, views) for spec in specs]
    entrants = tuple(_distinguished(specs, loaded))
    labels = [entrant.contender.label for entrant in entrants]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"contender {label!r} is named twice; leave one out")
    return entrants


def sharing(load: Callable[..., Backbone]) -> Callable[..., Backbone]:
    """A loader that gives the same backbone for the same arguments."""
    loaded: dict[str, Backbone] = {}

    def shared(*args: Any, **options: Any) -> Backbone:
        # Layers are a list or a tuple, and mean the same.
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        key = repr((args, sorted(plain.items())))
        if key not in loaded:
            loaded[key] = load(*args, **options)
        return loaded[key]

    return shared


def enter(inspector: Inspector, label: str, views: Views = AS_THEY_ARE) -> Entrant:
    """An inspector as a contender.

    Images are encoded one by one: which of them were remembered must not decide in which batches
    the others are encoded, or scores would differ in their last digits from run to run.
    """
    identity = inspector.identity
    adapter = Path(identity.adapter).name if identity.adapter else None
    named = {**asdict(identity), "adapter": adapter}
    contender = Contender(label=label, **named, **asdict(views))
    unusual = [asdict(views)] if views != AS_THEY_ARE else []  # keys of before know of none
    key = identity.key(float(inspector.alpha), *unusual)
    return Entrant(contender, replace(inspector, batch=1), key, views=views)


def _load(
    spec: Spec, cache: Remembers | None, tally: Tally, how: Mapping[str, Any], views: Views
) -> Entrant:
    own = {"backbone": spec.backbone} if spec.backbone else {}
    inspector = Inspector.load(
        **{**how, **own},
        detector=spec.detector,
        adapter=spec.adapter,
        options=spec.options,
        cache="off",
    )
    inspector = replace(inspector, cache=cache, tally=tally)
    inspector.seeing(views)  # refuses before anything is read what would fail on every category
    adapter = inspector.adapter
    if adapter is None:
        return enter(inspector, spec.label, views)
    label = f"{inspector.detector.name} ({Path(adapter.path).name})"
    return replace(enter(inspector, label, views), seen=frozenset(adapter.config.images.split()))


def _distinguished(specs: Sequence[Spec], entrants: Sequence[Entrant]) -> Iterator[Entrant]:
    """Different adapters whose folders have one name are called by their paths, as given."""
    labels = Counter(entrant.contender.label for entrant in entrants)
    adapters = Counter(_place(entrant) for entrant in entrants)
    for spec, entrant in zip(specs, entrants, strict=True):
        one = entrant.contender
        if spec.adapter and labels[one.label] > 1 and adapters[_place(entrant)] == 1:
            label = f"{one.detector} ({Path(spec.adapter).as_posix()})"
            yield replace(entrant, contender=replace(one, label=label))
        else:
            yield entrant


def _place(entrant: Entrant) -> str | None:
    """Where the adapter of a contender lies."""
    return entrant.inspector.identity.adapter
