"""Forms: which character set they are read in, and that no query touches a disk."""

import errno
import tempfile
from collections.abc import Iterator
from unittest import mock

import httpx2
import pytest
from live import SHOTS, Live, files, live, png

LARGE = png(3, size=1100)
FORMS = {
    "/v1/detect": ("queries", {"set": "part"}, 200),
    "/v1/maps": ("query", {"set": "part"}, 200),
    "/v1/sets": ("images", {"name": "new"}, 201),
    "/v1/sets/part/images": ("images", {}, 200),
    "/v1/feedback": ("image", {"set": "part", "kind": "defect"}, 201),
    "/v1/imports": ("archive", {}, 422),
}
WORDS = {
    **dict.fromkeys(("/v1/detect", "/v1/maps"), "item"),
    **dict.fromkeys(("/v1/sets", "/v1/sets/part/images", "/v1/feedback"), "note"),
}
"""The field of each that takes any words."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("forms"), history=False) as running:
        with running.client() as client:
            client.create_set("part", SHOTS)
        yield running


def written(fields: dict[str, str], field: str, name: bytes, data: bytes) -> bytes:
    """A form as it stands on the wire."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="'.encode()
    return b"".join([*parts, head, name, b'"\r\n\r\n', data, b"\r\n--x--\r\n"])


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", '"raw_unicode_escape"', "none", ""])
def test_no_form_is_read_in_another_character_set(
    http: httpx2.Client, path: str, charset: str
) -> None:
    field, fields, _ = FORMS[path]
    body = written(fields, field, rb"a\ud800b.png", png(1))
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    reply = http.post(path, content=body, headers={"Content-Type": kind})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")
    assert "UTF-8" in reply.json()["detail"]


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; Charset="UTF8"'])
def test_utf8_is_read_and_no_name_leads_to_a_fault(
    http: httpx2.Client, path: str, charset: str
) -> None:
    field, fields, status = FORMS[path]
    if path in WORDS:
        fields = {**fields, WORDS[path]: "a\x00b\x85c\r\nd"}
    for name in (
        rb"a\ud800b.png",
        b"\xed\xa0\x80.png",
        b"\xff\x00\x07\x1b[31m.png",
        b"\xe2\x80\xa8",
    ):
        body = written(fields, field, name, png(1))
        kind = f"multipart/form-data; boundary=x{charset}"
        reply = http.post(path, content=body, headers={"Content-Type": kind})
        assert reply.status_code in (status, 409), (name, reply.text)
        assert not any("\ud800" <= letter <= "\udfff" for letter in reply.text)
        assert path == "/v1/maps" or "\x1b" not in reply.text


def test_names_and_words_are_kept_without_control_characters(
    service: Live, http: httpx2.Client
) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    fields = {"name": "clean", "item": "a\x00\nb", "note": "one\r\n\ttwo\x07"}
    body = written(fields, "images", b"a\x01\xc2\x85b.png", png(7))
    reply = http.post("/v1/sets", content=body, headers=kind)
    assert reply.status_code == 201, reply.text
    told = reply.json()
    assert (told["item"], told["note"]) == ("a b", "one two")
    assert [shot["name"] for shot in told["shots"]] == ["a b.png"]
    fields = {"set": "part"}
    body = written(fields, "queries", b"q\x01\x02.png", png(8))
    (result,) = http.post("/v1/detect", content=body, headers=kind).json()["results"]
    assert result["name"] == "q .png"


@pytest.mark.parametrize("path", [path for path in FORMS if path != "/v1/imports"])
def test_an_image_is_never_written_to_the_temporary_folder(
    http: httpx2.Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    field, fields, status = FORMS[path]
    fields = {**fields, "name": "large"} if path == "/v1/sets" else fields
    assert len(LARGE) > 2_000_000
    opened = mock.Mock(side_effect=AssertionError("a query on a disk"))
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", opened)
    reply = http.post(path, data=fields, files=files(field, LARGE))
    assert reply.status_code in (status, 201), reply.text
    assert not opened.called


def test_an_archive_may_be_larger_than_memory(
    http: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = mock.Mock(wraps=tempfile.TemporaryFile)
    monkeypatch.setattr(tempfile, "TemporaryFile", opened)  # by which a spool goes to the disk
    reply = http.post("/v1/imports", files=files("archive", LARGE))
    assert reply.status_code == 422  # it is none
    assert opened.called


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "no_space"), (errno.EDQUOT, "no_space"),
                         (errno.EACCES, "not_writable")]
)  # fmt: skip
def test_a_full_temporary_folder_is_no_fault_of_the_request(
    http: httpx2.Client, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    full = mock.Mock(side_effect=OSError(number, "it is so"))
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    reply = http.post("/v1/imports", files=files("archive", LARGE))
    assert (reply.status_code, reply.json()["code"]) == (507, code)
    assert full.called
