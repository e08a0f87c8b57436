import pytest

from inctrl.errors import UsageError
from inctrl.registry import lookup
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
