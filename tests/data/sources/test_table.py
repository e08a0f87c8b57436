from pathlib import Path

import numpy as np
import pytest
from trees import COLUMNS, ROWS, lines, table

from inctrl.data.folders import confined
from inctrl.data.masks import read_mask
from inctrl.data.sources import read_data
from inctrl.errors import MissingData


def test_every_column_is_used(tmp_path: Path) -> None:
    bolt, nut = read_data(table(tmp_path))
    assert (nut.dataset, nut.name, nut.words) == ("parts", "nut", "metal nut")
    assert [(nut.short(image), image.group) for image in nut.train] == [
        ("a/1.png", "p1"),
        ("a/2.png", "p2"),
    ]
    assert [(s.anomalous, s.kind, s.image.group) for s in nut.test] == [
        (False, "", "p1"),
        (True, "bent", "p3"),
    ]
    assert np.argwhere(read_mask(nut.test[1], (8, 8))).tolist() == [[5, 6]]
    assert (bolt.words, bolt.train[0].group, bolt.test[0].kind) == ("bolt", None, "rust")


def test_three_columns_are_enough_and_the_category_is_the_file(tmp_path: Path) -> None:
    table(tmp_path)
    short = lines(tmp_path / "all.csv", [COLUMNS[:3], *(row[:3] for row in ROWS)])
    [category] = read_data(short)
    assert (category.name, len(category.train), len(category.test)) == ("all", 3, 3)


def test_a_mark_at_the_start_as_spreadsheets_write_it_is_no_column(tmp_path: Path) -> None:
    file = table(tmp_path)
    file.write_text("\ufeff" + file.read_text(), encoding="utf-8")
    assert len(read_data(file)) == 2


@pytest.mark.parametrize("head", ["", "Unnamed: 0"])
def test_the_index_that_pandas_writes_in_front_is_no_column(head: str, tmp_path: Path) -> None:
    rows = [(head, *COLUMNS), *((str(i), *row) for i, row in enumerate(ROWS))]
    assert len(read_data(lines(table(tmp_path), rows))) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a/9.png", "normal", "train"), "line 8: there is no file '.*a/9.png'"),
        (("a/1.png", "fine", "train"), "line 8: label 'fine' and split 'train' are not"),
        (("a/1.png", "normal", "val"), "line 8: label 'normal' and split 'val' are not"),
        (("a/1.png", "normal"), "line 8: label 'normal' and split '' are not"),
        (("a/1.png", "1", "train"), "line 8: an anomalous image in train"),
        (("a/4.png", "1", "test", "m/9.png"), "line 8: there is no file '.*m/9.png'"),
        (("a/1.png", "0", "test", "", "nut"), "line 8: '.*a/1.png' is in line 2 too"),
        (("b/../a/1.png", "0", "test", "", "nut"), "line 8: '.*a/1.png' is in line 2 too"),
        (("b/1.png", "0", "test", "", "nut", "nut"), "line 8: category 'nut' has two items"),
        (("b/1.png", "0", "test", "", "", "", "", "", "x"), "line 8: more values than columns"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(
    tmp_path: Path, row: tuple[str, ...], message: str
) -> None:
    file = table(tmp_path)
    lines(file, [COLUMNS, *ROWS, row])
    with pytest.raises(MissingData, match=message):
        read_data(file)


def test_columns_that_are_unknown_or_lack_are_named(tmp_path: Path) -> None:
    file = table(tmp_path)
    lines(file, [("path", "lable", "split")])
    with pytest.raises(MissingData, match="unknown column 'lable'; did you mean 'label'"):
        read_data(file)
    lines(file, [("path", "label")])
    with pytest.raises(MissingData, match="line 1: no column split"):
        read_data(file)
    file.write_text("")
    with pytest.raises(MissingData, match="line 1: no column path, label, split"):
        read_data(file)
    lines(file, [COLUMNS])
    with pytest.raises(MissingData, match="no category found"):
        read_data(file)


def written(root: Path, text: str, encoding: str = "utf-8") -> Path:
    """The table of `trees.py` (three columns) as another program would save it."""
    table(root)
    file = root / "all.csv"
    file.write_bytes(text.encode(encoding))
    return file


def plain(delimiter: str = ",", end: str = "\r\n") -> str:
    rows = [COLUMNS[:3], *(row[:3] for row in ROWS)]
    return "".join(delimiter.join(row) + end for row in rows)


def counts(file: Path) -> tuple[int, int, int]:
    """Images to draw shots from, normal test images and anomalous ones: 3, 1 and 2 of the table."""
    [category] = read_data(file)
    anomalous = sum(sample.anomalous for sample in category.test)
    return len(category.train), len(category.test) - anomalous, anomalous


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_a_table_is_read_however_a_spreadsheet_saves_it(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    assert counts(written(tmp_path, plain(delimiter), encoding)) == (3, 1, 2)
    marked = "\ufeff" + plain(delimiter)
    if encoding in ("utf-16-le", "utf-16-be"):
        assert counts(written(tmp_path, marked, encoding)) == (3, 1, 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_matter(tmp_path: Path, end: str) -> None:
    assert counts(written(tmp_path, plain(";", end))) == (3, 1, 2)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\n" + plain(";"),
        '"sep=;"\r\n' + plain(";"),
        "sep=\t\r\n" + plain("\t"),
        "\r\n;;\r\n" + plain(";"),
        plain(";", ";;\r\n"),
        plain(";").replace("\r\n", "\r\n \r\n;;\r\n"),
        plain(";", " \r\n").replace(";", " ; "),
        plain().replace("path,label,split", " Path ,LABEL,Split"),
        plain(", "),
        "\r\n".join(",".join(f'"{v}"' for v in row.split(",")) for row in plain().splitlines()),
        plain().replace("a/", "a\\").replace("b/", ".\\b\\"),
        plain().replace("a/1.png", '"""a/1.png"""'),
    ],
    ids=lambda text: repr(text[:24]),
)
def test_separators_blank_rows_case_and_quotes_do_not_matter(tmp_path: Path, text: str) -> None:
    assert counts(written(tmp_path, text)) == (3, 1, 2)


@pytest.mark.parametrize(
    ("normal", "anomalous"),
    [
        *(("good", "bad"), ("OK", "NG"), ("Normal", "ANOMALOUS"), ("pass", "Fail")),
        *(("False", "True"), ("FALSE", "TRUE"), ("0.0", "1.0"), ("ok", "not OK")),
        ("normal", "abnormal"),
    ],
)
def test_labels_are_known_by_many_words(tmp_path: Path, normal: str, anomalous: str) -> None:
    text = plain().replace("anomalous", "1").replace("normal", "0")
    text = text.replace(",0,", f",{normal},").replace(",1,", f",{anomalous} ,")
    assert counts(written(tmp_path, text.replace("test", "Test"))) == (3, 1, 2)


def test_letters_of_an_old_code_page_are_read_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = plain(";").replace("a/1.png", "gr\u00f6\u00dfe/1.png")
    (tmp_path / "gr\u00f6\u00dfe").mkdir()
    file = written(tmp_path, text, "cp1252")
    (tmp_path / "a/1.png").rename(tmp_path / "gr\u00f6\u00dfe/1.png")
    assert counts(file) == (3, 1, 2)
    assert "read as Windows-1252; better save it as UTF-8" in caplog.text


def test_letters_composed_in_the_other_way_name_the_same_file(tmp_path: Path) -> None:
    text = plain().replace("a/1.png", "u\u0308/1.png")  # as macOS takes names apart
    file = written(tmp_path, text)
    (tmp_path / "\u00fc").mkdir()
    (tmp_path / "a/1.png").rename(tmp_path / "\u00fc/1.png")
    assert counts(file) == (3, 1, 2)


def test_a_linked_table_finds_its_images_beside_the_original(tmp_path: Path) -> None:
    file = written(tmp_path / "set", plain())
    (tmp_path / "link.csv").symlink_to(file)
    assert counts(tmp_path / "link.csv") == (3, 1, 2)


def test_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    text = "sep=;\r\n" + plain(";").replace("\r\n", "\r\n;;\r\n") + "a/9.png;normal;train\r\n"
    with pytest.raises(MissingData, match="line 16: there is no file"):
        read_data(written(tmp_path, text))


def test_a_workbook_and_a_column_given_twice_are_told(tmp_path: Path) -> None:
    file = written(tmp_path, plain())
    file.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(MissingData, match="this is a workbook, not text; save it as CSV"):
        read_data(file)
    with pytest.raises(MissingData, match="line 1: column 'path' is there twice"):
        read_data(written(tmp_path, "path;path;label;split\n"))


def test_tabs_may_be_in_a_file_called_tsv(tmp_path: Path) -> None:
    file = written(tmp_path, plain("\t"))
    assert counts(file.rename(tmp_path / "all.TSV")) == (3, 1, 2)


@pytest.mark.parametrize("how", ["whole path", "upwards", "link"])
def test_a_table_that_a_service_reads_names_no_file_out_of_its_data_root(
    how: str, tmp_path: Path
) -> None:
    root = table(tmp_path / "root/set").parent
    elsewhere = tmp_path / "private.png"
    (root / "a/1.png").rename(elsewhere)
    (root / "link.png").symlink_to(elsewhere)
    path = {"whole path": str(elsewhere), "upwards": "../../private.png", "link": "link.png"}[how]
    rows = [(path if name == "a/1.png" else name, *rest) for name, *rest in ROWS]
    listing = lines(root / "all.csv", [COLUMNS, *rows])
    assert len(read_data(listing)) == 2
    with confined(tmp_path / "root"), pytest.raises(MissingData, match="out of the data root"):
        read_data(listing)
