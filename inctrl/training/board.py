"""The losses of a training for TensorBoard, where somebody asked for them."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from inctrl.errors import MissingModel
from inctrl.files.whole import writing
from inctrl.training.loop import Row

COUNTED = ("step", "epoch")


@contextlib.contextmanager
def board(folder: Path | None) -> Iterator[Callable[[Row], None]]:
    """What takes the rows of the loop; nothing is done with them where no folder is given.

    MissingModel where TensorBoard is not installed.
    """
    if folder is None:
        yield lambda _: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingModel(
            "--tensorboard needs the package tensorboard; install inctrl[tensorboard]"
        ) from None

    with writing(folder):
        opened = SummaryWriter(str(folder))
    with opened as writer:

        def report(row: Row) -> None:
            part = "epoch" if "epoch" in row else "step"
            for name, value in row.items():
                if name not in COUNTED:
                    writer.add_scalar(f"{part}/{name}", value, row["step"])

        yield report
