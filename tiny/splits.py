"""What is never trained on. It follows from names alone, so it is the same in every run."""

from collections.abc import Sequence
from dataclasses import dataclass

from inctrl.data.defects import KINDS
from tiny.shards import Captioned, held_out_names, share

OBJECTS, MATERIALS = "caltech101", "ambientcg"
HELD_OUT_KINDS = ("crack", "dent", "fibre", "missing")
SEEN_KINDS = tuple(kind for kind in KINDS if kind not in HELD_OUT_KINDS)
HELD_OUT_OBJECTS, HELD_OUT_MATERIALS = 20, 8
HELD_OUT_IMAGES = 0.25
"""Share of the images of every material that the content is tested on."""


@dataclass(frozen=True)
class Split:
    """Labels of objects and of materials that no head is trained on the state of.

    The objects are not paired with any sentence either.
    """

    objects: frozenset[str]
    materials: frozenset[str]

    @classmethod
    def of(cls, records: Sequence[Captioned]) -> "Split":
        def held_out(source: str, count: int, salt: str) -> frozenset[str]:
            labels = {r.label for r in records if r.source == source and r.label}
            return held_out_names(labels, min(count, len(labels) // 4), salt)

        return cls(
            held_out(OBJECTS, HELD_OUT_OBJECTS, "object"),
            held_out(MATERIALS, HELD_OUT_MATERIALS, "material"),
        )

    def trains_state(self, record: Captioned) -> bool:
        """Whether damaged versions of the image are trained on."""
        return record.free and record.label not in self._of(record)

    def trains_content(self, record: Captioned) -> bool:
        """Whether the image is paired with its label or captions."""
        if not record.free or (record.source == OBJECTS and record.label in self.objects):
            return False
        return not tests_material(record)

    def tests_state(self, record: Captioned) -> bool:
        return record.free and record.label in self._of(record)

    def tests_object(self, record: Captioned) -> bool:
        return record.source == OBJECTS and record.label in self.objects

    def _of(self, record: Captioned) -> frozenset[str]:
        return self.objects if record.source == OBJECTS else self.materials


def tests_material(record: Captioned) -> bool:
    """Whether the content is tested, and never trained, on the image of a material."""
    return record.source == MATERIALS and share(record.name, "image") < HELD_OUT_IMAGES
