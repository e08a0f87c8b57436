"""Normal sets over HTTP: versions that never change, and writes that are done once."""

import asyncio
import io
import threading
import time
import weakref
from functools import partial
from pathlib import Path
from unittest import mock

import httpx2
import numpy as np
import PIL.Image
import pytest
from live import Live, files, live, picture, png

from inctrl import Client
from inctrl.backbones.cache import FeatureCache
from inctrl.errors import Conflict, NotStored, UsageError
from inctrl.images import Picture, develop, shared_window, stored_digest
from inctrl.service.http.limits import Limits
from inctrl.service.sandbox.decoding import Decoded
from inctrl.service.workbench import ASIDE
from inctrl.store.blobs import Blobs
from inctrl.store.database import Database
from inctrl.store.shots import picture_of
from inctrl.store.store import MIGRATIONS


def test_a_new_set_is_version_1_with_its_images_under_the_hash_of_their_pixels(
    client: Client,
) -> None:
    made = client.create_set("cap", [picture(1), picture(2)], item="bottle cap", note="line 3")
    assert (made.name, made.version, made.item, made.note) == ("cap", 1, "bottle cap", "line 3")
    pixels = Picture(picture(1), "one")
    assert (made.shots[0].sha256, made.shots[0].height) == (stored_digest(pixels), 32)
    assert client.set("cap") == client.set("cap", 1) == made


def test_adding_makes_a_version_and_leaves_those_before_as_they_were(client: Client) -> None:
    first = client.create_set("adding", [picture(1)])
    second = client.add_images("adding", [picture(2), picture(1)], note="more")
    assert (second.version, second.origin, len(second.shots)) == (2, "add", 2)
    assert client.set("adding", 1) == first
    log = [(one.version, one.origin, one.shots, one.digest) for one in client.versions("adding")]
    assert log == [(2, "add", 2, second.digest), (1, "create", 1, first.digest)]
    found = client.diff("adding", 1, 2)
    assert [shot.sha256 for shot in found.added] == [second.shots[1].sha256]
    assert (found.removed, found.kept) == ([], first.shots)


def test_adding_what_is_known_answers_200_and_makes_no_version(http: httpx2.Client) -> None:
    made = http.post("/v1/sets", data={"name": "known"}, files=files("images", png(1)))
    assert made.status_code == 201
    again = http.post("/v1/sets/known/images", files=files("images", png(1)))
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert "location" not in again.headers


def test_location_and_etag_name_the_version(http: httpx2.Client) -> None:
    made = http.post("/v1/sets", data={"name": "tagged"}, files=files("images", png(1)))
    assert made.headers["location"] == "/v1/sets/tagged/versions/1"
    seen = http.get(made.headers["location"])
    assert seen.headers["etag"] == made.headers["etag"] == f'"{made.json()["digest"]}"'


def test_if_match_stops_a_change_of_what_somebody_else_has_changed(http: httpx2.Client) -> None:
    made = http.post("/v1/sets", data={"name": "shared"}, files=files("images", png(1)))
    old = {"If-Match": made.headers["etag"]}
    added = http.post("/v1/sets/shared/images", files=files("images", png(2)), headers=old)
    assert added.status_code == 201
    late = http.post("/v1/sets/shared/images", files=files("images", png(3)), headers=old)
    assert (late.status_code, late.json()["code"]) == (412, "outdated")
    assert http.get("/v1/sets/shared").json()["version"] == 2
    several = {"If-Match": f'"other", {added.headers["etag"]}'}
    after = http.post("/v1/sets/shared/images", files=files("images", png(3)), headers=several)
    assert after.status_code == 201


def test_the_client_says_conflict_where_its_base_is_old(client: Client) -> None:
    base = client.create_set("based", [picture(1)])
    client.add_images("based", [picture(2)], base=base)
    with pytest.raises(Conflict, match="version 2 by now"):
        client.add_images("based", [picture(3)], base=base)


def test_a_name_is_taken_once(client: Client) -> None:
    client.create_set("taken", [picture(1)])
    with pytest.raises(Conflict, match="taken"):
        client.create_set("taken", [picture(2)])


def test_dropping_makes_a_version_without_the_image_and_only_from_the_latest(
    client: Client,
) -> None:
    made = client.create_set("dropping", [picture(1), picture(2)])
    after = client.drop_image("dropping", 1, made.shots[0].sha256)
    assert (after.version, after.shots) == (2, made.shots[1:])
    with pytest.raises(Conflict):
        client.drop_image("dropping", 1, made.shots[1].sha256)
    with pytest.raises(UsageError, match="must stay"):
        client.drop_image("dropping", 2, made.shots[1].sha256)


def test_a_removed_set_is_gone_and_its_numbers_are_not_given_again(client: Client) -> None:
    client.create_set("short", [picture(1)])
    client.remove_set("short")
    for look in (client.set, client.remove_set):
        with pytest.raises(NotStored, match="short"):
            look("short")
    for pages in (client.versions, client.feedback):
        with pytest.raises(NotStored, match="short"):
            list(pages("short"))
    assert client.create_set("short", [picture(1)]).version == 2


def test_lists_go_by_name_page_after_page(client: Client, http: httpx2.Client) -> None:
    for number in range(5):
        client.create_set(f"page-{number}", [picture(number)])
    seen, after = [], "page"
    while after is not None:
        page = http.get("/v1/sets", params={"after": after, "limit": 2}).json()
        assert len(page["items"]) <= 2
        seen += [one["name"] for one in page["items"]]
        after = page["next_cursor"]
    assert [name for name in seen if name.startswith("page-")] == [f"page-{n}" for n in range(5)]
    assert {one.name for one in client.sets()} >= set(seen)


def test_unreadable_images_are_left_out_and_told(client: Client) -> None:
    made = client.create_set("mixed", [b"no image", png(1), b""])
    assert len(made.shots) == 1
    assert [(one.name, "image" in one.error) for one in made.refused] == [
        ("image-1", True), ("image-3", True),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="not an image"):
        client.create_set("none", [b"no image"])


def test_a_shot_comes_back_as_its_pixels(client: Client) -> None:
    made = client.create_set("shown", [picture(1)])
    shown = PIL.Image.open(io.BytesIO(client.shot("shown", 1, made.shots[0].sha256)))
    assert np.array_equal(np.asarray(shown), picture(1))
    with pytest.raises(NotStored):
        client.shot("shown", 1, "0" * 64)


def test_a_shot_may_be_kept_by_the_browser_and_is_reduced_on_demand(
    client: Client, http: httpx2.Client
) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    (shot,) = client.create_set("small", [wide]).shots
    path = f"/v1/sets/small/versions/1/images/{shot.sha256}"
    whole, small, larger = (http.get(path, params=p) for p in ({}, {"size": 20}, {"size": 4096}))
    sizes = [PIL.Image.open(io.BytesIO(one.content)).size for one in (whole, small, larger)]
    assert sizes == [(60, 30), (20, 10), (60, 30)]
    assert small.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert small.headers["etag"] != whole.headers["etag"]
    for size in (15, 4097):
        assert http.get(path, params={"size": size}).status_code == 422
    lost = http.get(path[:-64] + "0" * 64)
    assert (lost.status_code, lost.headers["cache-control"]) == (404, "no-store")


def test_one_shot_is_decoded_to_show_one_and_the_window_of_deep_ones_is_worked_out_once(
    tmp_path: Path,
) -> None:
    deep = [np.full((8, 8), value, np.uint16) for value in (1000, 2000, 3000)]
    with live(tmp_path) as service, service.client() as client:
        flat = client.create_set("flat", [picture(seed) for seed in range(4)])
        dark = client.create_set("deep", deep)
        window = shared_window(service.bench.store.sets.pictures(
            service.bench.store.sets.get("deep")
        ))  # fmt: skip
        with mock.patch("inctrl.store.sets.picture_of", side_effect=picture_of) as decoded:
            client.shot("flat", 1, flat.shots[2].sha256)
            assert decoded.call_count == 1
            for _ in range(2):
                shown = [client.shot("deep", 1, shot.sha256) for shot in dark.shots]
            assert decoded.call_count == 1 + 3 + 6
    for data, pixels in zip(shown, deep, strict=True):
        expected = develop(Picture(pixels, "deep"), window).rgb
        assert np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(data))), expected)


def test_versions_and_feedback_come_page_after_page_the_newest_first(
    service: Live, http: httpx2.Client
) -> None:
    store = service.bench.store
    store.sets.create("long", [Picture(picture(0), "0")])
    for seed in range(1, 5):
        store.sets.add("long", [Picture(picture(seed), f"{seed}")])
        store.feedback.record("long", f"{seed:064x}", seed, seed + 1)

    def pages(path: str, field: str, **query: str) -> list[list[object]]:
        found, after = [], None
        while True:
            params = {**query, "limit": 2, **({"after": after} if after else {})}
            page = http.get(path, params=params).json()
            found.append([one[field] for one in page["items"]])
            after = page["next_cursor"]
            if after is None:
                return found

    assert pages("/v1/sets/long/versions", "version") == [[5, 4], [3, 2], [1]]
    assert pages("/v1/sets/long/versions", "shots") == [[5, 4], [3, 2], [1]]
    assert pages("/v1/feedback", "version_after", set="long") == [[5, 4], [3, 2]]
    first = http.get("/v1/sets/long/versions").json()["items"][0]
    about = {"version", "shots", "created", "note", "origin", "digest", "orientation", "tiles"}
    assert set(first) == about
    for path in ("/v1/sets/long/versions", "/v1/feedback?set=long"):
        assert http.get(path, params={"limit": 201, "set": "long"}).status_code == 422


def test_no_writer_waits_while_images_are_encoded(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.http() as http:
        other = Database(tmp_path, MIGRATIONS, busy_seconds=2.0)
        put, written = Blobs.put, []

        def put_beside_a_writer(blobs: Blobs, data: bytes) -> str:
            with other.transaction():
                written.append(len(data))
            return put(blobs, data)

        with mock.patch.object(Blobs, "put", put_beside_a_writer):
            assert post(http, "free", "key-a", png(1), png(2)).status_code == 201
            keyed = {"Idempotency-Key": "key-b"}
            added = http.post("/v1/sets/free/images", files=files("images", png(3)), headers=keyed)
            assert added.status_code == 201
            for kind, seed in (("false_alarm", 4), ("defect", 5)):
                told = http.post("/v1/feedback", data={"kind": kind, "set": "free"},
                                 files=files("image", png(seed)))  # fmt: skip
                assert told.status_code == 201
        other.close()
        assert len(written) >= 5


def test_images_for_a_set_are_decoded_kept_and_dropped_a_few_at_a_time(tmp_path: Path) -> None:
    alive, most = 0, 0
    with live(tmp_path) as service, service.client() as client:
        decode = service.bench.decoders.decode

        def gone() -> None:
            nonlocal alive
            alive -= 1

        async def counted(data: bytes, name: str, frame: int | None) -> Decoded:
            nonlocal alive, most
            decoded = await decode(data, name, frame)
            alive, most = alive + 1, max(most, alive + 1)
            weakref.finalize(decoded.picture, gone)
            return decoded

        with mock.patch.object(service.bench.decoders, "decode", counted):
            made = client.create_set("many", [b"none", *(png(seed) for seed in range(12))])
        assert [shot.name for shot in made.shots] == [f"image-{n}" for n in range(2, 14)]
        assert [one.name for one in made.refused] == ["image-1"]
    assert 0 < most <= ASIDE + 1  # one may be let go as the next comes


def test_shots_that_come_along_are_bounded_in_their_pixels_together(tmp_path: Path) -> None:
    with live(tmp_path, limits=Limits(pixels=1500)) as service, service.http() as http:

        def detect(shots: int) -> httpx2.Response:
            sent = files("queries", png(9)) + files("shots", *(png(seed) for seed in range(shots)))
            return http.post("/v1/detect", files=sent)

        assert detect(2).status_code == 200
        refused = detect(3)
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
        assert "make them a set" in refused.json()["detail"]
        many = http.post("/v1/sets", data={"name": "many"},
                         files=files("images", *(png(seed) for seed in range(5))))  # fmt: skip
        assert many.status_code == 201


@pytest.mark.parametrize("path", ["/v1/sets", "/v1/sets/there/images", "/v1/feedback"])
def test_a_client_that_has_left_changes_nothing(tmp_path: Path, path: str) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("there", [picture(1), picture(2)])
        decode, begun, go_on = service.bench.decoders.decode, threading.Event(), threading.Event()
        over = threading.Event()

        async def slow(data: bytes, name: str, frame: int | None) -> Decoded:
            begun.set()
            try:
                await asyncio.to_thread(go_on.wait, 30)
                return await decode(data, name, frame)
            finally:
                over.set()

        field = "image" if path == "/v1/feedback" else "images"
        fields = {
            "/v1/sets": {"name": "left"},
            "/v1/feedback": {"kind": "false_alarm", "set": "there"},
        }.get(path, {})
        with (
            mock.patch.object(service.bench.decoders, "decode", slow),
            httpx2.Client(base_url=service.url, trust_env=False, timeout=1.0) as http,
            pytest.raises(httpx2.ReadTimeout),
        ):
            http.post(path, data=fields, files=files(field, png(3)))
        assert begun.is_set()
        assert over.wait(5)  # given up, though nobody has let it go on
        go_on.set()
        with pytest.raises(NotStored):
            client.set("left")
        assert client.set("there").version == 1
        assert list(client.feedback("there")) == []


def test_features_beyond_their_bound_leave_the_store_of_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "features" / "ab" / f"{'ab' * 32}.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"features of an image that was removed")
    monkeypatch.setattr("inctrl.inspection.registered.FeatureCache", partial(FeatureCache, limit=1))
    with live(tmp_path):
        until = time.monotonic() + 10
        while kept.exists():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_what_is_missing_is_told_in_words_of_no_command_line(http: httpx2.Client) -> None:
    told = http.get("/v1/sets/nowhere").json()["detail"]
    assert told == "there is no set 'nowhere'; list the sets to see their names"


def test_a_set_goes_through_export_and_import_whole(client: Client, tmp_path: Path) -> None:
    client.create_set("travel", [picture(1)], item="nut")
    client.add_images("travel", [picture(2)])
    path = client.export_set("travel", tmp_path / "travel.zip")
    twin = client.import_set(path, "twin")
    assert (twin.name, twin.item, twin.version) == ("twin", "nut", 2)
    before, after = client.versions("travel"), client.versions("twin")
    assert [one.digest for one in before] == [one.digest for one in after]
    assert client.import_set(path).name == "travel"  # there already, and the same
    client.add_images("twin", [picture(3)])
    with pytest.raises(Conflict, match="another"):
        client.import_set(path, "twin")


def test_a_store_is_verified_byte_by_byte(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.client() as client:
        client.create_set("cap", [picture(1)])
        assert client.verify().clean
        blob = service.bench.store.sets.get("cap").shots[0].blob
        service.bench.store.blobs.path(blob).write_bytes(b"rot")
        found = client.verify()
        assert not found.clean
        assert [one.kind for one in found.faults] == ["image"]


# Idempotency keys


def post(http: httpx2.Client, name: str, key: str, *images: bytes) -> httpx2.Response:
    headers = {"Idempotency-Key": key}
    return http.post("/v1/sets", data={"name": name}, files=files("images", *images),
                     headers=headers)  # fmt: skip


def test_the_same_key_and_body_get_the_same_reply_and_do_it_once(http: httpx2.Client) -> None:
    first, second = (post(http, "once", "key-1", png(1)) for _ in range(2))
    assert second.status_code == first.status_code == 201
    assert second.content == first.content
    for header in ("location", "etag"):
        assert second.headers[header] == first.headers[header]
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


def test_another_body_under_a_used_key_is_refused(http: httpx2.Client) -> None:
    assert post(http, "reused", "key-2", png(1)).status_code == 201
    for other in (post(http, "reused", "key-2", png(2)), post(http, "other", "key-2", png(1))):
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
    assert http.get("/v1/sets/other").status_code == 404


def test_a_key_whose_first_request_is_at_work_is_refused_for_now(
    service: Live, client: Client, http: httpx2.Client
) -> None:
    client.create_set("slow", [picture(1), picture(2)])
    sent = {"data": {"kind": "false_alarm", "set": "slow"}, "headers": {"Idempotency-Key": "key-3"}}

    def alarm(http: httpx2.Client) -> httpx2.Response:
        return http.post("/v1/feedback", files=files("image", png(3)), **sent)

    replies: list[httpx2.Response] = []
    with service.blocked():
        work = threading.Thread(target=lambda: replies.append(alarm(http)))
        work.start()
        with service.http() as other:
            while (second := alarm(other)).json()["code"] != "in_flight":
                pass
    work.join(30)
    assert second.status_code == 409
    assert second.headers["retry-after"] == "1"
    assert replies[0].status_code == 201
    assert alarm(http).content == replies[0].content
    assert client.set("slow").version == 2


def test_requests_with_one_key_at_the_same_time_do_it_once(service: Live) -> None:
    replies: list[httpx2.Response] = []

    def create() -> None:
        with service.http() as http:
            replies.append(post(http, "crowd", "key-crowd", png(1)))

    crowd = [threading.Thread(target=create) for _ in range(6)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(30)
    good = [reply for reply in replies if reply.status_code == 201]
    assert len({reply.content for reply in good}) == 1
    assert {reply.status_code for reply in replies} <= {201, 409}
    assert service.bench.store.sets.get("crowd").version == 1


def test_a_refused_write_may_be_tried_again_under_its_key(http: httpx2.Client) -> None:
    assert post(http, "again", "key-4", png(1)).status_code == 201
    assert post(http, "again", "key-5", png(1)).status_code == 409
    assert http.delete("/v1/sets/again").status_code == 204
    assert post(http, "again", "key-5", png(1)).status_code == 201


def test_a_reply_is_kept_over_a_restart_and_never_without_what_it_tells(tmp_path: Path) -> None:
    with live(tmp_path) as service, service.http() as http:
        first = post(http, "lasting", "key", png(1))
        broken = OSError(5, "it cannot be kept")
        with mock.patch.object(service.bench.store.replies, "finish", side_effect=broken):
            assert post(http, "torn", "torn-key", png(1)).status_code == 500
        with service.client() as other, pytest.raises(NotStored):
            other.set("torn")  # neither the set nor the reply
        service.bench.store.replies.begin("died", "0")  # as if killed at work
    with live(tmp_path) as service, service.http() as http:
        again = post(http, "lasting", "key", png(1))
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        assert post(http, "torn", "torn-key", png(1)).status_code == 201
        assert post(http, "alive", "died", png(1)).status_code == 201
