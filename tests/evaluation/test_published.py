import re
from pathlib import Path

import pytest

from inctrl.evaluation.published import CATEGORIES, PUBLISHED, published
from inctrl.maths.metrics import METRICS


def test_a_published_figure_is_found_by_data_set_figure_and_number_of_shots() -> None:
    row = published("elpv", "image_auroc")[8]
    assert (row.mean, row.sd) == (0.872, 0.013)
    assert published("visa", "image_ap")[4].mean == 0.902


@pytest.mark.parametrize("name", ["mvtec", "MVTec AD", "mvtec_anomaly_detection", "MVTec-AD"])
def test_the_folder_of_a_data_set_may_be_written_in_several_ways(name: str) -> None:
    assert published(name, "image_auroc")[2].mean == 0.940


def test_what_was_not_published_is_not_there() -> None:
    assert published("mvtec", "image_ap") == {}
    assert published("visa", "pixel_auroc") == {}
    assert published("my visa copy", "image_auroc") == {}
    assert published("", "image_auroc") == {}


def test_every_figure_is_a_share_with_a_source_and_stands_once() -> None:
    places = {(row.dataset, row.metric, row.k) for row in PUBLISHED}
    assert len(places) == len(PUBLISHED) == 15
    for row in PUBLISHED:
        assert 0.7 < row.mean < 1
        assert row.sd is None or 0 < row.sd < 0.05
        assert row.metric in METRICS
        assert re.search(r"as (transcribed|quoted) in GitHub \w+", row.source)
    # More shots never made a published figure worse: a slip of the pen would.
    for name, metric in {(row.dataset, row.metric) for row in PUBLISHED}:
        means = [row.mean for _, row in sorted(published(name, metric).items())]
        assert means == sorted(means)


def test_the_number_of_categories_of_every_published_mean_is_known() -> None:
    assert set(CATEGORIES) == {row.dataset for row in PUBLISHED}
    assert (CATEGORIES["visa"], CATEGORIES["mvtec"]) == (12, 15)


def test_the_setting_of_the_figures_is_said() -> None:
    from inctrl.evaluation import published as module

    assert "ViT-B-16-plus-240" in Path(module.__file__).read_text("utf-8").split('"""')[1]
    assert "trained" in module.SETTING
