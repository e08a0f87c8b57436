"""How long and how strongly each part is trained; what the shipped weights were trained with."""

from dataclasses import dataclass

from tiny.distil import STEPS


@dataclass(frozen=True)
class Recipe:
    """Steps, batch sizes, and rates of AdamW.

    feature_dropout   of pooled features in the content's training
    class_noise       deviations of real images added to the pseudo-images of classes
    statistic_noise   standard deviations of Gaussian noise on the statistics: without it the
                      state fits the drawn defects and helps less on real ones
    meaning_noise     the same on sentence embeddings, a number of their length
    """

    text_steps: int = STEPS
    content_steps: int = 400
    damage_steps: int = 500
    wording_steps: int = 800
    batch: int = 256
    content_rate: float = 1e-3
    content_decay: float = 0.2
    feature_dropout: float = 0.3
    class_noise: float = 0.7
    damage_rate: float = 1e-3
    damage_decay: float = 0.05
    statistic_noise: float = 1.0
    wording_rate: float = 3e-3
    wording_decay: float = 0.01
    meaning_noise: float = 0.03
    sentences: int = 8000
    seed: int = 0


SMOKE = Recipe(
    text_steps=12,
    content_steps=8,
    damage_steps=8,
    wording_steps=8,
    batch=16,
    sentences=64,
)
"""Every stage, nothing learnt."""
