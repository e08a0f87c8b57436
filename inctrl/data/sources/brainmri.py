"""BrainMRI: the Kaggle set `navoneel/brain-mri-images-for-brain-tumor-detection`."""

from pathlib import Path

from inctrl.data.categories import Category, Sample
from inctrl.data.sources.names import images_of
from inctrl.data.sources.source import Source, locate, spot, with_test_quarter
from inctrl.data.sources.unused import unused
from inctrl.data.stored import Stored

# The archive holds everything twice, the second time one folder deeper.
PLACES = ("", "brain_tumor_dataset")
TREE = """
DIR/no/*    images without tumour
DIR/yes/*   images with tumour
or both in DIR/brain_tumor_dataset

A quarter of the normal images becomes the test.
"""


def recognise(root: Path) -> bool:
    return spot(root, PLACES, "no", "yes") is not None


def read(root: Path) -> list[Category]:
    folder = locate(root, PLACES, "no", "yes")
    normal = tuple(Stored(path) for path in images_of(folder / "no"))
    test = tuple(Sample(Stored(path), True, "tumour") for path in images_of(folder / "yes"))
    return [with_test_quarter(Category("brainmri", "brainmri", normal, test, folder, "brain MRI"))]


SOURCE = Source(
    "BrainMRI, slices with and without tumour",
    TREE,
    "see its page on Kaggle",
    "download navoneel/brain-mri-images-for-brain-tumor-detection from kaggle.com and unpack it; "
    "give the folder that holds yes and no",
    recognise,
    read,
    unused,
)
