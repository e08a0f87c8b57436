"""What shots and test images must not share: their content, or a group; and what adapters saw."""

import re
from collections.abc import Callable, Sequence

from inctrl.data.categories import Category
from inctrl.data.stored import Stored
from inctrl.errors import UsageError
from inctrl.evaluation.content import Content
from inctrl.evaluation.plan import Plan, counted

DIGITS = 16
"""Hex digits of an image's digest that an adapter keeps (adapters/file.py)."""


def refuse_leaks(plan: Plan, contents: Sequence[Content]) -> None:
    """UsageError where a shot of any seed is a test image too, or is of the group of one."""
    equal = [
        f"{category.name}: {shot} = {twin}"
        for category, content in zip(plan.categories, contents, strict=True)
        for shot, twin in _equal(content)
    ]
    if equal:
        raise UsageError(
            f"{counted(equal, 'shot is a test image', 'shots are test images')} too, and would "
            "be scored against itself; take it out of one of the two"
        )
    if not plan.group_by:
        return
    shared = [pair for category in plan.categories for pair in _of_one_group(plan, category)]
    if shared:
        raise UsageError(
            f"{counted(shared, 'shot is', 'shots are')} of a test image's group "
            f"(grouped by {plan.group_by!r}); divide the set by its groups"
        )


def repeated(category: Category, content: Content) -> list[str]:
    """Shots that are one image, which counts once: said, as k is then less than it seems."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(pixels, name), name) for name, pixels in content.shots.items()]
    return [
        f"{category.dataset}/{category.name}: shots {one} and {other} are one image, counted once"
        for one, other in pairs
        if one != other
    ]


def learned(plan: Plan, contents: Sequence[Content]) -> list[str]:
    """Test images that an adapter was trained on: said, as scores of these show nothing."""
    return [
        f"{entrant.contender.label} was trained on {seen} of {len(content.test)} test images of "
        f"{category.dataset}/{category.name}: its figures there say nothing"
        for entrant in plan.entrants
        for category, content in zip(plan.categories, contents, strict=True)
        if (seen := sum(pixels[:DIGITS] in entrant.seen for pixels in content.test.values()))
    ]


def _equal(content: Content) -> list[tuple[str, str]]:
    named = {pixels: name for name, pixels in content.shots.items()}
    return [(named[pixels], name) for name, pixels in content.test.items() if pixels in named]


def _of_one_group(plan: Plan, category: Category) -> list[str]:
    group_of = _grouping(plan.group_by, category)
    tests = {group_of(sample.image): category.short(sample.image) for sample in category.test}
    shots = [category.train[i] for i in plan.drawn(category)]
    return [
        f"{category.name}: {category.short(shot)} and {tests[group]}, {group!r}"
        for shot, group in ((shot, group_of(shot)) for shot in shots)
        if group in tests
    ]


def _grouping(rule: str, category: Category) -> Callable[[Stored], str]:
    """What tells the group of an image; it raises UsageError for an image that has none."""

    def given(stored: Stored) -> str:
        if stored.group is None:
            raise UsageError(
                f"the layout of {category.dataset!r} names no group of "
                f"{category.short(stored)!r}; group by a regular expression"
            )
        return stored.group

    def searched(stored: Stored) -> str:
        match = pattern.search(category.short(stored))
        if match is None or match[pattern.groups] is None:
            raise UsageError(
                f"the rule of groups {rule!r} finds nothing in {category.short(stored)!r}; every "
                "image needs a group"
            )
        return str(match[pattern.groups])

    if rule == "group":
        return given
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"the rule of groups {rule!r} is no regular expression ({error})"
        ) from None
    if pattern.groups > 1:
        raise UsageError(
            f"the rule of groups {rule!r} has {pattern.groups} groups; mark one with (...)"
        )
    return searched
