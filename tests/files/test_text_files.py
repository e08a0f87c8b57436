"""Text files as people's programs write them."""

from pathlib import Path

import pytest

from inctrl.cli.main import run
from inctrl.errors import InvalidFile
from inctrl.files.text import read_rows, read_text
from inctrl.prompting import load_bank

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
BANK = """name = "mine"
source = "a test"
normal = ["tadellose {c}"]
anomalous = ["beschädigte {c}"]
templates = ["ein Bild: {s}"]
"""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_unicode_is_read_with_a_mark_in_front_or_without(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x").write_bytes("a = 'größe'\r\n".encode(encoding))
    assert read_text(tmp_path / "x") == "a = 'größe'\r\n"


def test_what_is_no_unicode_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("grö".encode("cp1252"))
    with pytest.raises(ValueError, match=r"no text in UTF-8 \(byte 2\); save it as UTF-8"):
        read_text(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\xff\xfea\0b")
    with pytest.raises(ValueError, match="no text in UTF-16"):
        read_text(tmp_path / "x")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bank_of_sentences_may_be_saved_by_any_editor(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "b.toml").write_bytes(BANK.replace("\n", "\r\n").encode(encoding))
    assert load_bank(str(tmp_path / "b.toml")).anomalous == ("beschädigte {c}",)


def test_a_bank_in_an_old_code_page_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_bytes(BANK.encode("cp1252"))
    with pytest.raises(InvalidFile, match="save it as UTF-8"):
        load_bank(str(tmp_path / "b.toml"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_so_may_the_file_of_defaults(
    tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_bytes('detecto = "x"\r\n'.encode(encoding))
    assert run(["detectors", "--config", str(tmp_path / "c.toml")]) == 2
    assert "unknown setting in" in capsys.readouterr().err
    (tmp_path / "c.toml").write_bytes('fit = "pad"\r\n'.encode(encoding))
    assert run(["detectors", "--config", str(tmp_path / "c.toml")]) == 0


def test_rows_come_with_the_lines_that_they_end_in(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a;b\n\n"1\n1";2,5\n ; \n3;4\n')
    assert read_rows(tmp_path / "x.csv") == [
        (1, ["a", "b"]),
        (4, ["1\n1", "2,5"]),
        (6, ["3", "4"]),
    ]


def test_a_table_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(InvalidFile, match="line 2: field larger than field limit"):
        read_rows(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_bytes(b"")
    assert read_rows(tmp_path / "x.csv") == []
