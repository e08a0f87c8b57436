"""The Normal sets tab."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import httpx2
import pytest
from paged import at_work, write

from inctrl.decoding import open_image
from inctrl.page import setviews
from inctrl.page.sets_tab import SetsTab
from inctrl.page.uploads import added, read
from inctrl.service import housekeeping
from inctrl.service.app import build
from inctrl.service.settings import Settings
from inctrl.service.workbench import Workbench
from inctrl.store import Store
from inctrl.store.transfer import export_set
from inctrl.views import Views

Tab = Callable[[SetsTab, Workbench], Awaitable[Any]]


def on_tab(settings: Settings, work: Tab) -> Any:
    async def all_of_it(bench: Workbench) -> Any:
        with gr.Blocks():
            tab = SetsTab(bench, 60)
        return await work(tab, bench)

    return at_work(settings, all_of_it)


async def saved(bench: Workbench, name: str, paths: list[Path]) -> None:
    pictures, _ = await bench.normals(await read(paths))
    bench.store.sets.create(name, pictures, item="field", note="<i>first</i>")


def test_a_set_is_shown_with_versions_and_images(settings: Settings, shots: list[Path]) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        dropdown, text, tools, *_ = await tab.look(None)
        assert dropdown.value == "field"
        assert tools.visible
        assert text.count("<img") == 4
        assert "/v1/sets/field/export" in text
        assert "&lt;i&gt;first&lt;/i&gt;" in text

    on_tab(settings, work)


def test_no_set_says_what_to_do(settings: Settings) -> None:
    async def work(tab: SetsTab, _bench: Workbench) -> None:
        _, text, tools, *_ = await tab.look("gone")
        assert "Save as set" in text
        assert not tools.visible

    on_tab(settings, work)


def test_images_are_added_as_a_version_and_the_difference_is_shown(
    settings: Settings,
    shots: list[Path],
    tmp_path: Path,
    messages: list[str],
) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        more = await added(bench, [write(tmp_path, "more.png", 9), shots[0]])
        files, _, note, *_ = await tab.add_version("field", more, "two more")
        assert (files, note) == ((), "")
        assert [len(v.shots) for v in bench.store.sets.versions("field")] == [4, 5]
        text = await tab.compare("field", 1, 2)
        assert "1 image in @2 that @1 has not" in text
        assert "more.png" in text
        assert "4 images in both" in text
        assert "1 image in @2 that @1 has not" in await tab.compare("field", 2, 1)

    on_tab(settings, work)
    assert messages == ["field@2 has 5 images."]


def test_how_a_set_is_looked_at_is_shown_and_changed_in_a_version(
    settings: Settings, shots: list[Path], messages: list[str]
) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        *_, way, tiles = await tab.look("field")
        assert (way.value, tiles.value) == ("fixed", "1")
        dropdown, text, *_, way, tiles = await tab.change_set("field", "any", "auto")
        assert (way.value, tiles.value) == ("any", "auto")
        words = "arts lie any way round; each image seen in tiles, by its size"
        assert f"P{words}." in text
        assert "looked at in another way" in text
        label = "field  (version 2, 4 images, any way round, tiles auto)"
        assert dropdown.choices == [(label, "field")]
        assert bench.store.sets.get("field").views == Views("any", "auto")
        await tab.change_set("field", "any", "auto")
        assert bench.store.sets.get("field").version == 2

    on_tab(settings, work)
    assert messages == [
        "field@2 is looked at so from now on.",
        "It is looked at so already.",
    ]


def test_a_set_is_removed_only_where_that_was_confirmed(
    settings: Settings,
    shots: list[Path],
    messages: list[str],
) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        await tab.remove_set("field", False)
        assert bench.store.sets.get("field").version == 1
        await tab.remove_set("field", True)
        assert bench.store.sets.list() == ()

    on_tab(settings, work)
    assert messages[0].startswith("tick the box first")


def test_an_export_comes_in_under_another_name_and_a_bad_one_does_not(
    settings: Settings,
    shots: list[Path],
    tmp_path: Path,
    messages: list[str],
) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        export_set(bench.store, "field", tmp_path / "field.zip")
        await tab.import_set(str(tmp_path / "field.zip"), "other")
        assert len(bench.store.sets.get("other").shots) == 4
        (tmp_path / "bad.zip").write_bytes(b"PK no zip")
        await tab.import_set(str(tmp_path / "bad.zip"), "")
        assert {one.name for one in bench.store.sets.list()} == {"field", "other"}

    on_tab(settings, work)
    assert messages[0] == "other@1 is here, with 4 images."
    assert str(tmp_path) not in messages[1]


def test_a_flipped_bit_is_found(settings: Settings, shots: list[Path]) -> None:
    async def work(tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots)
        assert "Everything is as it was written" in await tab.verify()
        _damage(bench.store)
        text = await tab.verify()
        assert "1 fault" in text
        assert "field@1 image" in text

    on_tab(settings, work)


@pytest.mark.parametrize("page_first", [True, False])
def test_the_store_is_verified_for_page_or_rest_one_at_a_time(
    settings: Settings, messages: list[str], monkeypatch: pytest.MonkeyPatch, page_first: bool
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    readings: list[Store] = []

    def slow(store: Store) -> tuple[()]:
        readings.append(store)
        begun.set()
        go_on.wait(30)
        return ()

    monkeypatch.setattr(housekeeping, "verify", slow)

    async def both() -> None:
        app = build(settings)
        with gr.Blocks():
            tab = SetsTab(app.state.workbench, 60)
        rest = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost")
        async with app.router.lifespan_context(app), rest:
            if page_first:
                first = asyncio.ensure_future(tab.verify())
                assert await asyncio.to_thread(begun.wait, 30)
                reply = await rest.get("/v1/verify")
                assert (reply.status_code, reply.json()["code"]) == (503, "busy")
                go_on.set()
                assert "Everything is as it was written" in await first
                assert messages == []
            else:
                asked = asyncio.ensure_future(rest.get("/v1/verify"))
                assert await asyncio.to_thread(begun.wait, 30)
                await tab.verify()
                go_on.set()
                assert (await asked).status_code == 200
                assert messages == ["the store is being verified for somebody else; try again"]

    asyncio.run(both())
    assert len(readings) == 1


def _damage(store: Store) -> None:
    path = store.blobs.path(store.sets.get("field").shots[0].blob)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_deep_images_are_shown_in_one_window(settings: Settings, shots: list[Path]) -> None:
    async def work(_tab: SetsTab, bench: Workbench) -> None:
        await saved(bench, "field", shots[:1])
        version = bench.store.sets.get("field")
        assert [s.name for s in setviews.small(bench.store, version, version.shots)] == [
            "good-0.png"
        ]
        assert open_image(shots[0]).size == (64, 80)

    on_tab(settings, work)
