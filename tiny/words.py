"""The word lists of the training sentences, and how their verbs and nouns are inflected."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from timm.data import ImageNetInfo

from inctrl.errors import InvalidFile

VOWELS = "aeiou"


@cache
def lists() -> dict[str, Any]:
    """What `words.toml` holds: table -> name -> words."""
    try:
        return tomllib.loads(files("tiny").joinpath("words.toml").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFile(
            f"the word lists of the training sentences cannot be read ({error}); reinstall inctrl"
        ) from None


@cache
def class_labels() -> tuple[str, ...]:
    """The first name of each class of ImageNet-1k, in the order of a classifier's outputs."""
    info = ImageNetInfo()
    return tuple(
        str(info.index_to_description(index)).split(", ")[0] for index in range(info.num_classes())
    )


@cache
def class_names(subset: str = "imagenet-1k", lemmas: int = 9) -> tuple[str, ...]:
    """Names of the classes of a subset of ImageNet in words: up to `lemmas` for each, in order."""
    info = ImageNetInfo(subset)
    names = [
        name.lower()
        for index in range(info.num_classes())
        for name in str(info.index_to_description(index)).split(", ")[:lemmas]
    ]
    return tuple(dict.fromkeys(names))


def with_article(noun: str) -> str:
    """`a` or `an` before a noun, by its first letter."""
    return f"an {noun}" if noun[0] in VOWELS else f"a {noun}"


def doing(phrase: str) -> str:
    """The -ing form of a verb phrase whose first word is the bare verb: `ride a bike`."""
    verb, space, rest = phrase.partition(" ")
    if verb in lists()["inflection"]["doubled"]:
        verb += verb[-1]
    elif verb.endswith("ie"):
        verb = verb[:-2] + "y"
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return f"{verb}ing{space}{rest}"


def does(phrase: str) -> str:
    """The third person singular of a verb phrase whose first word is the bare verb."""
    verb, space, rest = phrase.partition(" ")
    if verb.endswith(("s", "sh", "ch", "x", "o", "z")):
        verb += "es"
    elif verb.endswith("y") and verb[-2] not in VOWELS:
        verb = verb[:-1] + "ies"
    else:
        verb += "s"
    return f"{verb}{space}{rest}"


def plural(noun: str) -> str:
    """The plural of a noun phrase whose last word is the noun."""
    head, space, last = noun.rpartition(" ")
    irregular: dict[str, str] = lists()["inflection"]["irregular_plurals"]
    if last in irregular:
        last = irregular[last]
    elif last.endswith(("s", "sh", "ch", "x", "z")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in VOWELS:
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head}{space}{last}"


@cache
def held_out_words() -> re.Pattern[str]:
    """Matches every sentence that has a word held out from training, its plural included."""
    held = lists()["held_out"]
    states = (word for state in (*held["normal"], *held["anomalous"]) for word in state.split())
    usual = {"{c}", "with", "without"}
    words = {*held["nouns"], *map(plural, held["nouns"]), *states} - usual
    return re.compile(rf"\b(?:{'|'.join(sorted(words))})s?\b", re.IGNORECASE)
