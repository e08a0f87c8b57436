"""The table of the library's models, and what each wants."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inctrl.registry import lookup


@dataclass(frozen=True)
class Model:
    """A model of the library, and what it wants.

    path         module and class under `anomalib.models.image`
    tower        whose weights it stands on; empty: none
    takes        arguments of the class that the options `backbone` and `layers` set
    settings     further arguments, from the side of the images and the number of normals
    steps        of training by default; 0: fitted in one pass
    least        normals it can be fitted to
    seen         images a pass must hold; fewer normals are seen more than once
    batch        images a step where the model demands it; 0: the option
    multiple     the side is rounded down to a multiple of it
    smallest     side that it works with
    localises    whether it gives a map
    shift        added to scores and maps that begin at -shift, as limits want them from 0 on
    loads        part of the model that the weights file is for, where it is no tower
    images_as    argument of the class that the option `images` sets
    """

    path: str
    tower: str = ""
    takes: tuple[str, ...] = ()
    settings: Callable[[int, int], dict[str, Any]] = lambda _side, _count: {}
    steps: int = 0
    least: int = 1
    seen: int = 1
    batch: int = 0
    multiple: int = 32
    smallest: int = 32
    localises: bool = True
    shift: float = 0.0
    loads: str = ""
    images_as: str = ""


CNN, ENCODER = ("backbone", "layers"), ("encoder_name",)
RESNET18, RESNET50, WIDE = "resnet18", "resnet50", "wide_resnet50_2"
DINO_S, DINO_B = "vit_small_patch14_dinov2", "vit_base_patch14_dinov2"
DINO_REG = "vit_base_patch14_reg4_dinov2"

MODELS: Mapping[str, Model] = {
    "anomaly_dino": Model("anomaly_dino:AnomalyDINO", DINO_S, ENCODER, multiple=14),
    "cfa": Model("cfa:Cfa", WIDE, steps=200),
    "cflow": Model(
        "cflow:Cflow",
        WIDE,
        CNN,
        lambda side, _: {"fiber_batch_size": min(64, (side // 32) ** 2)},
        steps=200,
    ),
    "csflow": Model("csflow:Csflow", "efficientnet_b5", steps=200, multiple=128),
    "dfkde": Model(
        "dfkde:Dfkde",
        RESNET18,
        CNN,
        lambda _, count: {"n_pca_components": min(16, count - 1)},
        least=2,
        localises=False,
    ),
    "dfm": Model("dfm:Dfm", RESNET50, ("backbone", "layer"), least=2, multiple=64),
    "dinomaly": Model("dinomaly:Dinomaly", DINO_REG, ENCODER, steps=200, multiple=14),
    "draem": Model("draem:Draem", steps=200, images_as="dtd_dir"),
    "dsr": Model("dsr:Dsr", "dsr_vq_model", steps=200, loads="discrete_latent_model"),
    "efficient_ad": Model(
        "efficient_ad:EfficientAd",
        "efficientad_teacher_small",
        steps=1000,
        batch=1,
        smallest=256,
        loads="teacher",
        images_as="imagenet_dir",
    ),
    "fastflow": Model("fastflow:Fastflow", RESNET18, ("backbone",), steps=200, shift=1),
    "foundad": Model(
        "foundad:FoundAD",
        DINO_B,
        settings=lambda side, _: {"image_size": side},
        steps=200,
        multiple=14,
    ),
    "fre": Model(
        "fre:Fre",
        RESNET50,
        settings=lambda side, _: {"input_dim": 1024 * (side // 32) ** 2},
        steps=200,
    ),
    "ganomaly": Model("ganomaly:Ganomaly", steps=200, localises=False),
    "general_ad": Model(
        "general_ad:GeneralAD", "vit_large_patch14_dinov2", CNN, steps=200, multiple=14
    ),
    "glass": Model(
        "glass:Glass",
        WIDE,
        settings=lambda side, _: {"input_shape": (side, side)},
        steps=200,
        images_as="anomaly_source_path",
    ),
    "inp_former": Model("inp_former:InpFormer", DINO_REG, ENCODER, steps=200, multiple=14),
    "l2bt": Model("l2bt:L2BT", DINO_REG, steps=200, multiple=14),
    "mh_patchcore": Model("mh_patchcore:MHPatchcore", WIDE, CNN),
    "padim": Model("padim:Padim", RESNET18, CNN, seen=2),
    "patchcore": Model("patchcore:Patchcore", WIDE, CNN),
    "patchflow": Model(
        "patchflow:Patchflow", "tf_efficientnet_b5", ("backbone",), steps=200, shift=1
    ),
    "rad": Model("rad:Rad", "vit_base_patch16_dinov3", CNN, multiple=16),
    "reverse_distillation": Model("reverse_distillation:ReverseDistillation", WIDE, CNN, steps=200),
    "stfpm": Model("stfpm:Stfpm", RESNET18, CNN, steps=200),
    "super_add": Model(
        "super_add:SuperADD",
        "vit_huge_plus_patch16_dinov3",
        CNN,
        lambda side, _: {"patch_size": min(side, 448)},
        multiple=16,
    ),
    "supersimplenet": Model("supersimplenet:Supersimplenet", WIDE, CNN, steps=200, smallest=128),
    "uflow": Model(
        "uflow:Uflow",
        WIDE,
        ("backbone",),
        # The library's default stands on two towers, and one file of weights holds one.
        lambda _side, _count: {"backbone": WIDE},
        steps=200,
    ),
    "uninet": Model("uninet:UniNet", WIDE, steps=200),
}
"""Steps are the library's training cut down to a few images; they are not tuned."""


def find_model(name: str) -> Model:
    """A line of the table; UsageError with the nearest name for an unknown one."""
    return lookup(MODELS, name, "anomalib model")
