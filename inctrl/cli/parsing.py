"""The parser of commands: what it refuses it says in one line, with the name that was meant."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from inctrl.errors import UsageError
from inctrl.registry import listed, meant, unknown

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""What programs for texts make of hyphens."""
COMMA = re.compile(r"invalid (?!int\b)\w+ value: '(-?\d*),(\d+)'$")
MISSING = re.compile("the following arguments are required: (.*)")


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print its usage and end the process."""

    _given: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        hint = ""
        if comma := COMMA.search(message):
            hint = f" (write a point: {comma[1]}.{comma[2]})"
        elif missing := MISSING.match(message):
            hint = self._hint(missing[1])
        raise UsageError(f"{message}{hint}; `{self.prog} --help` explains")

    def _hint(self, missing: str) -> str:
        """What to do about words that are missing."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return f" (known: {listed(sorted(action.choices))})"
            for option in action.option_strings:
                if action.nargs == "+" and option in self._given and missing.isupper():
                    return f" ({option} takes all that follows it; put {missing} before)"
        return ""

    def parse_known_args(  # type: ignore[override]  # of the overloads that it has
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse does, but what is not known is an error of the command it stands behind.

        It is looked for first: a wrong name comes before what is missing because of it.
        """
        self._given = given = list(sys.argv[1:] if args is None else args)
        for text in given:
            if text == "--" or (self._subparsers and not text.startswith(("-", *DASHES))):
                break
            self._refuse_unknown(text)
        namespace, rest = super().parse_known_args(given, namespace)
        if rest:
            raise UsageError(
                f"{rest[0]!r} is one word more than `{self.prog}` takes here; "
                f"`{self.prog} --help` explains"
            )
        return namespace, rest

    def _refuse_unknown(self, text: str) -> None:
        known = self._option_string_actions
        name = text.partition("=")[0]
        bare = name.lstrip(DASHES + "-")
        if text[0:1] in tuple(DASHES):
            for option in (f"--{bare}", f"-{bare}"):
                if option in known:
                    raise UsageError(f"{name!r} begins with a dash of texts; write {option}")
        if not re.match("--?[A-Za-z]", name) or " " in name or name in known:
            return
        if not name.startswith("--") and name[:2] in known:
            return  # -oKEY=VALUE
        more = "; options of a command stand behind it" if self._subparsers else ""
        options = [option for option in known if option.startswith("--")]
        raise UsageError(
            f"unknown option {name!r}{meant(name, options)}{more} (`{self.prog} --help` lists them)"
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            kind = action.option_strings[0] if action.option_strings else str(action.metavar)
            raise unknown(str(value), map(str, action.choices), kind.lower())
