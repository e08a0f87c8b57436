"""What a command said, without the paths of the machine."""

import re
from collections.abc import Mapping
from pathlib import Path

_ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:[^/\s'\"<>|:;,()]+/)+")
"""The folders of an absolute path; of an address (http://...) nothing."""
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")


class Hiding:
    """Takes known folders off paths, and of all other absolute paths leaves the last part."""

    def __init__(self, known: Mapping[Path, str]) -> None:
        """`known` says what stands for a folder: `.` where paths in it are told from it on."""
        forms = {form: word for p, word in known.items() for form in (p, p.resolve())}
        # Of a root folder there is nothing to hide.
        both = {str(form): word for form, word in forms.items() if len(form.parts) > 1}
        self._known = sorted(both.items(), key=lambda pair: -len(pair[0]))

    def __call__(self, text: str) -> str:
        for folder, word in self._known:
            inside = "" if word == "." else f"{word}/"
            text = text.replace(f"{folder}/", inside)
            text = re.sub(rf"{re.escape(folder)}(?![\w.-])", word, text)
        return _CONTROLS.sub(" ", _ABSOLUTE.sub(".../", text))
