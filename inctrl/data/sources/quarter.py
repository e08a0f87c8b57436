"""The split of sets that come without one."""

from dataclasses import replace

from inctrl.data.categories import Category, Sample
from inctrl.errors import MissingData

SHARE = 0.25
SEED = 42


def with_test_quarter(category: Category) -> Category:
    """The category with a quarter of its training images as normal test images.

    This is the split of InCTRL's conversion scripts. It depends on the order of the images alone,
    and both parts keep that order. MissingData where there are fewer than two images to split.
    """
    from sklearn.model_selection import train_test_split  # takes a second to import

    normals = category.train
    if len(normals) < 2:
        raise MissingData(
            f"{category.name} has {len(normals)} normal images, at least 2 are needed"
        )
    kept, held = train_test_split(range(len(normals)), test_size=SHARE, random_state=SEED)
    tested = tuple(Sample(normals[i], anomalous=False) for i in sorted(held))
    return replace(
        category, train=tuple(normals[i] for i in sorted(kept)), test=tested + category.test
    )
