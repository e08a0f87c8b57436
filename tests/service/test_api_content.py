"""What strangers put into images and names: it is shown as data and scored as pixels."""

import io
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import PIL.Image
import pytest
from live import DEFECT, SHOTS, Live, encoded, finished_job, picture, png, strict

from inctrl import Client, Inspector
from inctrl.errors import UnreadableImage


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with strict(tmp_path_factory.mktemp("strict")) as running:
        yield running


# Images


def test_decompression_bomb_is_unreadable_and_takes_no_memory(client: Client) -> None:
    buffer = io.BytesIO()
    PIL.Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    started = time.monotonic()
    (found,) = client.detect([buffer.getvalue()], set="part").results
    assert found.status == "unreadable"
    assert "megapixels" in found.error
    assert time.monotonic() - started < 5
    with pytest.raises(UnreadableImage, match="megapixels"):
        client.map(buffer.getvalue(), set="part")


def variants() -> dict[str, bytes]:
    """One picture in many colour modes and orientations, as files."""
    image = PIL.Image.fromarray(DEFECT)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, tuple[PIL.Image.Image, dict[str, Any]]] = {
        "turned.jpg": (image, {"exif": exif, "quality": 95}),
        "turned.png": (image, {"exif": exif}),
        "alpha.png": (with_alpha(image), {}),
        "palette.gif": (image.quantize(64), {}),
        "gray.png": (image.convert("L"), {}),
        "bits.png": (image.convert("1"), {}),
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 95}),
        "lossless.webp": (image, {"lossless": True}),
        "tiff.tif": (image, {"compression": "tiff_lzw"}),
    }
    made = {}
    for name, (kind, options) in kinds.items():
        buffer = io.BytesIO()
        formats = {"jpg": "JPEG", "tif": "TIFF"}
        suffix = name.rpartition(".")[2]
        kind.save(buffer, formats.get(suffix, suffix.upper()), **options)
        made[name] = buffer.getvalue()
    deep = (DEFECT[..., 0].astype(np.uint16) * 200).astype(np.uint16)
    return made | {"deep.png": encoded(deep)}


def with_alpha(image: PIL.Image.Image) -> PIL.Image.Image:
    result = image.convert("RGBA")
    result.putalpha(PIL.Image.linear_gradient("L").resize(image.size))
    return result


def test_exif_and_colour_modes_score_as_in_process(service: Live, client: Client) -> None:
    inspector = Inspector.load(
        "fake", loader=lambda *_, **__: service.backbone, cache="off"
    )  # fmt: skip
    fitted = inspector.fit([encoded(shot) for shot in SHOTS])
    client.create_set("modes", SHOTS)
    for name, data in variants().items():
        (here,) = fitted.inspect([data])
        (there,) = client.detect([data], set="modes").results
        assert there.status == "scored", name
        assert there.score == pytest.approx(here.score, abs=1e-6), name
        assert (there.height, there.width) == here.image.size, name
        assert there.sha256 == here.image.sha256, name
        assert [note.split(";")[0] for note in there.notes] == [
            note.split(";")[0] for note in here.notes
        ], name


# Stored XSS


def test_stored_xss_names_come_back_as_json_and_images_as_png(
    client: Client, http: httpx2.Client
) -> None:
    script = "<script>alert(1)</script><img src=x onerror=alert(1)>.png"
    html = b"<html><script>alert(1)</script></html>"
    hidden = encoded(picture(1)) + html  # a file that is both
    sent = [("images", (script, hidden))]
    made = http.post("/v1/sets", files=sent,
                     data={"name": "xss", "item": script, "note": script})  # fmt: skip
    assert made.status_code == 201
    shot = made.json()["shots"][0]
    client.detect([DEFECT], set="xss")
    alarm = http.post("/v1/feedback", files=[("image", (script, png(5)))],
                      data={"kind": "false_alarm", "set": "xss", "note": script})  # fmt: skip
    for path in ("/v1/sets/xss", "/v1/sets/xss/versions", "/v1/sets", "/v1/scores",
                 alarm.headers["location"]):  # fmt: skip
        reply = http.get(path)
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
    shown = http.get(f"/v1/sets/xss/versions/1/images/{shot['sha256']}")
    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in shown.content  # drawn anew


def test_stored_xss_a_report_is_boxed_in_and_other_files_are_saved(
    service: Live, client: Client, http: httpx2.Client
) -> None:
    page = b"<script>fetch('/v1/sets')</script>"
    kinds = {"report.html": page, "x.svg": page, "x.htm": page, "scores.csv": b"a", "x.png": page}
    job = finished_job(
        service.bench, {"kind": "folder", "data": "parts", "set": "part"}, **kinds
    )  # fmt: skip
    for name in kinds:
        reply = http.get(f"/v1/jobs/{job}/files/{name}", headers={"Range": "bytes=0-1"})
        assert reply.status_code == 200  # whole, whatever was asked for
        assert reply.content == kinds[name]
        policy = reply.headers["content-security-policy"]
        assert "sandbox allow-scripts" in policy
        assert "allow-same-origin" not in policy
        assert "default-src 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        if name != "report.html":
            assert reply.headers["content-disposition"].startswith("attachment")
            assert reply.headers["content-type"].split(";")[0] in (
                "application/octet-stream", "text/csv",
            )  # fmt: skip
    assert client.job_file(job, "report.html") == page
