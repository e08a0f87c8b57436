import pytest

from inctrl.errors import UsageError
from inctrl.registry import lookup, nearest, unknown
from inctrl.resources import folder


def test_a_name_in_the_table_is_found() -> None:
    assert lookup({"a": 1}, "a", "thing") == 1


def test_a_wrong_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown thing 'patchcor'; did you mean 'patchcore'\? \(known: padim, patchcore\)",
    ):
        lookup({"patchcore": 1, "padim": 2}, "patchcor", "thing")


def test_shipped_data_is_found_from_a_checkout() -> None:
    assert (folder("prompts") / "inctrl.toml").is_file()
    assert (folder("adapters") / "README.md").is_file()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("patchcor", "patchcore"),
        ("PatchCore", "patchcore"),
        ("PADIM", "padim"),
        ("core", "patchcore"),
        ("adim", "padim"),
        ("spdae", "spade"),
        ("tyni", "tiny"),
        ("p", None),
        ("xyz", None),
    ],
)
def test_the_nearest_name_is_found_in_any_case_and_by_a_part(
    written: str, meant: str | None
) -> None:
    assert nearest(written, ["patchcore", "padim", "spade", "tiny"]) == meant


def test_of_very_many_names_the_first_are_listed() -> None:
    names = [f"model{number:03}" for number in range(200)]
    text = str(unknown("model19x", names, "model"))
    assert "did you mean 'model19" in text
    assert text.endswith("model029 and 170 more)")
