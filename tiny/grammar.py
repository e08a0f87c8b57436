"""A grammar of everyday and of inspection English: each function draws one sentence.

Chances are chosen so that short labels, captions of the length people write, and statements on
the state of a thing all occur often; nothing is learnt from any caption.
"""

from collections.abc import Sequence
from random import Random

from tiny.words import does, doing, lists, plural, with_article


def person(r: Random) -> str:
    """A person, sometimes with an adjective or a garment."""
    e = lists()["everyday"]
    noun = r.choice(e["people"])
    if r.random() < 0.12:
        noun = f"{r.choice(e['adjectives'])} {noun}"
    named = with_article(noun) if r.random() < 0.9 else f"the {noun}"
    if r.random() < 0.35:
        named += f" {r.choice(('in', 'wearing', 'in', 'with'))} {garment(r)}"
        if r.random() < 0.35:
            named += f" and {garment(r)}"
    return named


def garment(r: Random) -> str:
    e = lists()["everyday"]
    colour = f"{r.choice(e['colours'])} " if r.random() < 0.8 else ""
    if r.random() < 0.35:
        return colour + str(r.choice(e["plural_clothes"]))
    return with_article(colour + r.choice(e["clothes"]))


def animal(r: Random) -> str:
    e = lists()["everyday"]
    noun = r.choice(e["animals"])
    if r.random() < 0.3:
        noun = f"{r.choice((r.choice(e['adjectives']), r.choice(e['colours'])))} {noun}"
    return with_article(noun) if r.random() < 0.85 else f"the {noun}"


def thing(r: Random) -> str:
    e = lists()["everyday"]
    noun = r.choice(e["things"] if r.random() < 0.7 else e["vehicles"])
    if r.random() < 0.4:
        noun = f"{r.choice((r.choice(e['adjectives']), r.choice(e['colours'])))} {noun}"
    if r.random() < 0.15:
        return f"{r.choice(('two', 'three', 'some', 'several', 'many', 'a row of'))} {plural(noun)}"
    return with_article(noun)


def caption(r: Random) -> str:
    """Somebody or something that does something somewhere, as in captions of photographs."""
    e = lists()["everyday"]
    kind = r.random()
    if kind < 0.4:
        words = _one_acts(r, person(r), e["people_actions"])
    elif kind < 0.55:
        words = _many_act(r, r.choice(e["crowds"]), e["people_actions"])
    elif kind < 0.72:
        words = _one_acts(r, animal(r), e["animal_actions"])
    elif kind < 0.8:
        words = _many_act(r, r.choice(e["animal_crowds"]), e["animal_actions"])
    elif kind < 0.86:
        words = _one_acts(r, with_article(r.choice(e["vehicles"])), e["vehicle_actions"])
    elif kind < 0.91:
        words = _one_acts(r, thing(r), e["thing_actions"])
    else:
        words = _two_things(r)
    if r.random() < 0.55:
        words += f" {r.choice(e['places'])}"
    if r.random() < 0.12:
        words += _meanwhile(r)
    return words


def _one_acts(r: Random, subject: str, actions: Sequence[str]) -> str:
    action, form = r.choice(actions), r.random()
    if form < 0.35:
        return f"{subject} is {doing(action)}"
    if form < 0.65:
        return f"{subject} {does(action)}"
    return f"{subject} {doing(action)}"


def _many_act(r: Random, subject: str, actions: Sequence[str]) -> str:
    action, form = r.choice(actions), r.random()
    if form < 0.35:
        return f"{subject} are {doing(action)}"
    return f"{subject} {action if form < 0.65 else doing(action)}"


def _two_things(r: Random) -> str:
    relation = r.choice(("next to", "on", "near", "behind", "and", "with", "in front of", "under"))
    start = r.choice(("", "", "there is ", "a photo of ", "a view of "))
    return f"{start}{thing(r)} {relation} {r.choice((thing, person, animal))(r)}"


def _meanwhile(r: Random) -> str:
    e = lists()["everyday"]
    link = r.choice((" while ", " as ", " and "))
    if r.random() < 0.5:
        other = r.choice(
            (person(r), r.choice(("another", "her child", "his friend", "another man")))
        )
        return link + _one_acts(r, other, e["people_actions"])
    return link + _one_acts(r, r.choice((animal(r), "his dog")), e["animal_actions"])


def label(r: Random, noun: str) -> str:
    """A name in one of the phrases that go with a picture."""
    e = lists()["everyday"]
    if r.random() < 0.2:
        noun = f"{r.choice((r.choice(e['adjectives']), r.choice(e['colours'])))} {noun}"
    view = r.choice(e["views"])
    bare = "a large {n}" in view or "the {n}" in view or r.random() < 0.15
    words = str(view.format(n=noun if bare else with_article(noun)))
    return f"{words} {r.choice(e['places'])}" if r.random() < 0.12 else words


def material(r: Random, noun: str) -> str:
    m = lists()["materials"]
    finish = f"{r.choice(m['finishes'])} " if r.random() < 0.5 else ""
    return str(r.choice(m["views"]).format(m=finish + noun))


def state(noun: str, phrase: str, template: str) -> str:
    """A noun in a state in a template, with the article that fits."""
    words = template.format(s=phrase.format(c=noun))
    return words.replace(" a an ", " an ").replace(" a a ", " a ")


def lexicon(r: Random, words: Sequence[str]) -> str:
    """Frequent words out of a vocabulary, so that every one of them is learnt in some company."""
    a, b, c = (r.choice(words) for _ in range(3))
    e = lists()["everyday"]
    forms = (
        f"{a}", f"{a} {b}", f"a photo of {with_article(a)}", f"{with_article(a)} {b}",
        f"a {r.choice(e['adjectives'])} {a}", f"{a} and {b}", f"the {a} of the {b}",
        f"{with_article(a)} {r.choice(e['places'])}", f"a photo of {a} {b}",
        f"{person(r)} with {with_article(a)}", f"{a} {b} {c}", f"the {a} is {b}",
    )  # fmt: skip
    return r.choice(forms)
