"""The library's own training on the k normals; nothing is written."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from inctrl.detectors.anomalib.models import Model


def train(module: Any, images: Tensor, model: Model, steps: int, batch: int) -> None:
    """Fit a module to images k 3 S S that are already transformed, in so many steps of a batch."""
    loader = _loader(images, model, batch)
    _trainer(module, model, len(loader), steps).fit(module, datamodule=_data(loader))
    # The trainer would keep the optimiser's moments and the images alive in the context.
    module.trainer = None


def _loader(images: Tensor, model: Model, batch: int) -> "DataLoader[tuple[Tensor, ...]]":
    count = len(images)
    size = model.batch or min(max(count, 2), batch)
    # Steps of one image alone would end in batch normalisations without a variance.
    total = math.ceil(count / size) * size if model.steps else max(count, model.seen)
    return DataLoader(
        TensorDataset(images[torch.arange(total) % count]),
        batch_size=size,
        shuffle=bool(model.steps),
        collate_fn=_batch,
    )


def _data(loader: "DataLoader[tuple[Tensor, ...]]") -> Any:
    from lightning.pytorch import LightningDataModule

    data = LightningDataModule()
    data.train_dataloader = data.val_dataloader = lambda: loader
    data.train_batch_size = loader.batch_size
    return data


def _trainer(module: Any, model: Model, an_epoch: int, steps: int) -> Any:
    """A trainer with the arguments that the module asks for; `an_epoch` is its steps."""
    from lightning.pytorch import Trainer

    given: dict[str, Any] = {"num_sanity_val_steps": 0, "devices": 1}
    given.update(module.trainer_arguments)
    if model.steps:
        given["max_epochs"] = given["check_val_every_n_epoch"] = math.ceil(steps / an_epoch)
    # EfficientAD sets the scales of its maps where others would be validated.
    given["limit_val_batches"] = 1.0 if model.loads == "teacher" else 0
    return Trainer(
        **given,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _batch(rows: list[tuple[Tensor]]) -> Any:
    """Normals as the library's batch: labels and masks are empty."""
    from anomalib.data import ImageBatch

    images = torch.stack([row[0] for row in rows])
    return ImageBatch(
        image=images,
        gt_label=torch.zeros(len(images), dtype=torch.bool),
        gt_mask=torch.zeros(len(images), *images.shape[-2:], dtype=torch.bool),
    )
