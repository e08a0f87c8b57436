"""Text files as people's programs write them: with a mark in front, in UTF-16, from a spreadsheet.

What is no Unicode is an error, but for tables: spreadsheets still save in the code page of Windows.
"""

import codecs
import csv
import io
import logging
from collections.abc import Collection
from pathlib import Path

from inctrl.errors import InvalidFile

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # it begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""The first bytes of .xlsx and .ods, and of .xls."""
DELIMITERS = (",", ";", "\t", "|")
logger = logging.getLogger("inctrl")


def read_text(path: Path) -> str:
    """A file of text in UTF-8 or UTF-16, without the mark that may stand in front.

    Raises OSError, and ValueError that says how to save it instead.
    """
    return _decoded(path.read_bytes())


def read_rows(path: Path, columns: Collection[str] = ()) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file, each with its line in the file; blank ones are none.

    columns   names, in lower case, by which one sees in the first row what parts the values: a
              comma, a semicolon, a tab or a bar. A line `sep=;` in front says so too
    Raises OSError, and InvalidFile for what is no table.
    """
    data = path.read_bytes()
    if data.startswith(WORKBOOKS):
        raise InvalidFile("this is a workbook, not text; save it as CSV")
    try:
        text = _decoded(data)
    except ValueError:
        text = data.decode("cp1252", "replace")
        logger.warning("%s is no Unicode and read as Windows-1252; better save it as UTF-8", path)
    told = text.partition("\n")[0].rstrip("\r").strip('"')
    declared = told[4:5] if told.lower().startswith("sep=") else ""
    delimiter = declared or _delimiter(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidFile(f"line {reader.line_num}: {error}") from None
    return rows[1:] if declared else rows


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data[:2]:  # UTF-16 without a mark begins with a plain letter
        encoding = "utf-16-be" if data[0] == 0 else "utf-16-le"
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is no text in {(encoding or 'utf-8').upper().removesuffix('-SIG')} (byte "
            f"{error.start}); save it as UTF-8"
        ) from None


def _delimiter(text: str, columns: Collection[str]) -> str:
    """What parts the first row into most of the columns, else into most parts."""
    first = next((line for line in text.splitlines() if line.strip(" \t,;|")), "")

    def parts(delimiter: str) -> tuple[int, int]:
        [cells] = csv.reader([first], delimiter=delimiter, skipinitialspace=True)
        return sum(cell.strip().lower() in columns for cell in cells), len(cells)

    return max(DELIMITERS, key=parts)
