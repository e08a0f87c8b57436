"""The model card."""

import re
from dataclasses import asdict
from typing import Any

import pytest

from tiny.card import TERMS, card
from tiny.quality import Figure
from tiny.recipe import Recipe
from tiny.shards import FREE

FIGURES = {
    "textures": Figure(81.24, 1.26, 1234),
    "objects": Figure(55.0, 2.0, 77),
    "random sentences": Figure(50.1, 0.4, 1311),
    "materials, top-1 of 54": Figure(53.1, 2.7, 341),
    "caption to image, recall at 5 of 250": Figure(31.2, 2.9, 250),
}
SETS = {"hazelnut_toy": Figure(99.7, 0.5, 37), "mean": Figure(69.64, 8.4, 673)}


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "sources": list(FREE),
        "recipe": asdict(Recipe(damage_steps=321, seed=17)),
        "images": 5019,
        "seconds": 1500,
        "machine": "x86_64, 2 threads, torch 2.15.0",
        "text": {
            "vocabulary": 12288,
            "sentences": 98825,
            "cosine_held_sentences": 0.9547,
            "cosine_held_words": 0.7449,
            "cosine_research_captions": None,
        },
    }


def test_every_figure_is_there_with_its_error_and_number_of_images(record: dict[str, Any]) -> None:
    page = card(record, 15.81, FIGURES, SETS)
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) ± ([\d.]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert rows == [
        ("damaged textures, image AUROC", "81.2", "1.3", "1,234"),
        ("damaged objects, image AUROC", "55.0", "2.0", "77"),
        ("the same with random sentences, mean AUROC", "50.1", "0.4", "1,311"),
        ("materials, top-1 of 54", "53.1", "2.7", "341"),
        ("caption to image, recall at 5 of 250", "31.2", "2.9", "250"),
        ("hazelnut_toy", "99.7", "0.5", "37"),
        ("mean", "69.6", "8.4", "673"),
    ]


def test_terms_and_recipe_are_told(record: dict[str, Any]) -> None:
    page = card(record, 15.81, FIGURES, {})
    assert set(TERMS) == set(FREE)
    for terms in (*TERMS.values(), "all-MiniLM-L6-v2 (Apache-2.0)", "## Licence\n\nApache-2.0"):
        assert terms in page
    for name, value in record["recipe"].items():
        assert f"{name.replace('_', ' ')} {value:g}" in page
    for number in ("5,019 images", "98,825 sentences", "12,288 word pieces", "(15.8 MB"):
        assert number in page
    for number in ("0.955", "0.745", "n/a on captions"):
        assert number in " ".join(page.split())


def test_other_sources_are_named_and_only_those_used(record: dict[str, Any]) -> None:
    page = card({**record, "sources": ["ambientcg", "my_parts"]}, 1.0, FIGURES, {})
    assert "- my_parts\n" in page
    assert TERMS["ambientcg"] in page
    assert TERMS["caltech101"] not in page


def test_where_no_sets_were_measured_none_are_spoken_of(record: dict[str, Any]) -> None:
    assert "prompts only" not in card(record, 1.0, FIGURES, {})
    assert "prompts only" in card(record, 1.0, FIGURES, SETS)


def test_the_time_is_told_where_it_is_known(record: dict[str, Any]) -> None:
    assert "Trained in 25 minutes (x86_64, 2 threads" in card(record, 1.0, FIGURES, {})
    assert "Trained in several runs (x86_64" in card({**record, "seconds": None}, 1.0, {}, {})


def test_no_path_of_the_machine_is_told(record: dict[str, Any]) -> None:
    page = card(record, 15.81, FIGURES, SETS)
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|mnt|Users|var)/", page)
