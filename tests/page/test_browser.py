"""The page in a real browser: Debian's chromium and its driver."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driven import CONTRAST, Page
from labelled import write_set
from paged import Served, write

from inctrl.client import Client
from inctrl.service.http.tokens import write_token_file

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.hacked=1>"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("browsed")
    write_set(folder / "root/made", "field")
    found = Served(folder / "store", "--data-root", str(folder / "root"), small=False)
    yield found
    found.close()


@pytest.fixture
def browser(service: Served) -> Iterator[Open]:
    """Opens pages; at the end of each test none may have asked elsewhere or complained."""
    pages: list[Page] = []

    def open_page(width: int = 1280, *, url: str = "", dark: bool = False) -> Page:
        page = Page(width, dark=dark)
        pages.append(page)
        page.open(url or service.url, "input" if url else "#inspect")
        return page

    yield open_page
    try:
        for page in pages:
            page.listen()
            assert page.complaints == []
            hosts = {"127.0.0.1"}
            assert {asked for asked in page.outside(service.url) if not _at(asked, hosts)} == set()
            assert len(page.asked) > 5
    finally:
        for page in pages:
            page.close()


def _at(url: str, hosts: set[str]) -> bool:
    return url.split("/")[2].split(":")[0] in hosts


def score(page: Page) -> str:
    return page.text("#verdict .score")


def test_from_an_example_to_a_verdict_a_set_and_back(browser: Open, service: Served) -> None:
    page = browser()
    page.press("#try-brick")
    page.says("#queries h2", "3 of 7 look anomalous")
    assert "Anomalous" in page.text("#verdict .word")
    assert "limit" in score(page)
    assert page.all("#picture img")
    assert page.all("#facts .evidence img")

    encoded = service.encoded()
    slider = page.see("#limit input[type=range]")
    slider.send_keys("\ue010")  # End
    page.says("#queries h2", "All 7 look normal")
    assert "Normal" in page.text("#verdict .word")
    page.says("#effect", "Your limit")
    page.press("#limit-back")
    page.says("#queries h2", "3 of 7 look anomalous")
    page.press("[data-row='4']")
    page.says("#verdict .name", "good-4.png")
    for look in page.all("#look label"):
        look.click()
        page.quiet()
    assert service.encoded() == encoded  # all of that asked no model

    page.see("#set-name textarea, #set-name input").send_keys("brick")
    page.press("#save-set")
    page.press("#false-alarm")
    page.says("#outcome", "brick@2 has 7 shots; the limit moves")
    page.press("#undo")
    page.says("#outcome", "brick@3 has 6 shots")
    page.press("#inspect")
    page.says("#facts", "Compared with the set brick@3")
    page.tab("Normal sets")
    page.says("#set-shown", "false alarm taken back")
    assert page.text("#set-shown h2") == "brick@3"


@pytest.mark.parametrize("width", [1280, 360])
def test_both_questions_are_answered_shown_and_kept_with_the_set(
    browser: Open, shots: list[Path], queries: list[Path], width: int
) -> None:
    page = browser(width)
    page.upload("#shots-drop", *shots)
    page.says("#shots-added .count", "4 normal images")
    page.upload("#queries-drop", *queries)
    page.says("#queries-added .count", "2 images")
    page.says("#shots-way", "Do the parts always lie the same way?")
    any_way = next(one for one in page.all("#shots-way label") if "any way round" in one.text)
    any_way.click()
    page.pick("#shots-tiles", "2 parts")
    assert page.sideways() <= 0
    page.press("#inspect")
    words = "arts lie any way round; each image seen in tiles, 2 along its longer side"
    page.says("#facts", f"P{words}")
    page.says("#saving-about", f"The set keeps your answers: p{words}")
    page.see("#set-name textarea, #set-name input").send_keys(f"turned-{width}")
    page.press("#save-set")
    page.see("#judging")
    page.tab("Normal sets")
    page.pick("#sets-set", f"turned-{width}")
    page.says("#set-shown", f"P{words}")
    page.press("#sets-seen button")
    page.pick("#sets-tiles", "Off")
    page.press("#sets-change-now")
    page.says("#set-shown", "looked at in another way")
    assert page.text("#set-shown h2") == f"turned-{width}@2"
    assert page.sideways() <= 0


def test_images_that_are_added_keep_their_order_and_say_what_is_wrong(
    browser: Open, shots: list[Path], queries: list[Path], tmp_path: Path
) -> None:
    page = browser()
    page.upload("#shots-drop", shots[2], shots[0])
    page.says("#shots-added", "2 normal images")
    page.upload("#shots-drop", shots[1])
    page.says("#shots-added", "3 normal images")
    names = [one.text for one in page.all("#shots-added bdi")]
    assert names == ["good-2.png", "good-0.png", "good-1.png"]
    page.press("#shots-added [data-away='1']")
    page.says("#shots-added", "2 normal images")
    assert [one.text for one in page.all("#shots-added bdi")] == ["good-2.png", "good-1.png"]
    (tmp_path / "text.png").write_text("no image")
    page.upload("#queries-drop", *queries, tmp_path / "text.png")
    page.says("#queries-added", "3 images, 1 of them cannot be used")
    page.press("#inspect")
    page.says("#queries h2", "1 unreadable")
    assert "Anomalous" in page.text("#verdict .word")


def test_nothing_added_is_told_in_words(browser: Open) -> None:
    page = browser()
    page.press("#inspect")
    page.says(".toast-body", "add normal images first")


def reach(page: Page, css: str, most: int = 80) -> None:
    """By the tab key alone, to an element that shows that it has the focus."""
    for _ in range(most):
        page.driver.switch_to.active_element.send_keys("\ue004")
        if page.script("return document.activeElement.matches(arguments[0])", css):
            style = "const s = getComputedStyle(document.activeElement); return s.outlineStyle"
            assert page.script(style) == "solid"
            return
    raise AssertionError(f"{css} is not reached by the tab key")


def key(page: Page, what: str) -> None:
    page.driver.switch_to.active_element.send_keys(what)


def test_all_of_it_by_the_keyboard(browser: Open) -> None:
    enter, space, end = "\ue007", "\ue00d", "\ue010"
    page = browser()
    reach(page, "#try-gravel")
    key(page, enter)
    page.says("#queries h2", "look anomalous")
    first = page.text("#verdict .name")
    reach(page, "#queries .pick:not([aria-pressed=true])")
    key(page, enter)
    page.until(lambda: page.text("#verdict .name") not in ("", first))
    page.quiet()
    assert page.script("return document.activeElement.matches('.pick[aria-pressed=true]')")
    reach(page, "#look input:not(:checked)")
    key(page, space)
    page.until(lambda: page.all("#picture.alone"), "the heat map alone")
    reach(page, "#limit input[type=range]")
    key(page, end)
    page.says("#effect", "Your limit")
    reach(page, "#limit-back")
    key(page, enter)
    page.says("#effect", "The limit from the normal images")
    reach(page, "#all-scores button")
    key(page, enter)
    page.see("#scores table")


@pytest.mark.parametrize("dark", [False, True])
def test_at_360_pixels_nothing_scrolls_sideways_and_fingers_find_their_targets(
    browser: Open, dark: bool
) -> None:
    page = browser(360, dark=dark)
    assert page.sideways() <= 0
    page.press("#try-brick")
    page.says("#queries h2", "look anomalous")
    for name in ("Inspect", "Normal sets", "Train", "Evaluate"):
        page.tab(name)
        assert page.sideways() <= 0, name
        low = page.script(
            "return [...document.querySelectorAll('button.lg, button.md, .pick, .away, .button,"
            " [role=tab]')].filter((e) => e.offsetParent)"
            ".filter((e) => e.getBoundingClientRect().height < 43.5)"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert low == [], name


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground(browser: Open, dark: bool) -> None:
    page = browser(dark=dark)
    page.press("#try-brick")
    page.says("#queries h2", "look anomalous")
    page.press("#all-scores button")
    page.see("#scores table")
    for kind in ("anomalous", "undecided", "normal"):
        number = page.see(f".pick.{kind}").get_attribute("data-row")
        chosen = f"[data-row='{number}'][aria-pressed=true]"
        if not page.all(chosen):  # else the press that follows would come during this one
            page.press(f"[data-row='{number}']")
        page.until(lambda css=chosen: page.all(css))
        found = page.script(
            CONTRAST,
            [
                *(".answer .word", ".answer .score", ".answer .small", ".chip", ".pick .tag"),
                *(
                    ".ic .muted",
                    ".ic h3",
                    ".ic td.verdict",
                    "#inspect",
                    "#try-brick",
                    ".label-wrap",
                ),
                *("[role=tab]", ".facts p", ".facts li", "#limit label span", "#look label span"),
            ],
        )
        assert len(found) >= 14
        assert {css: ratio for css, ratio in found.items() if ratio < 4.5} == {}


def test_names_do_not_run(
    browser: Open, service: Served, shots: list[Path], tmp_path: Path
) -> None:
    name = f"{HOSTILE}.png"
    write(tmp_path / "hostile", name, 77, spot=True)
    with Client(service.url.rstrip("/")) as rest:
        images = [*shots, tmp_path / "hostile" / name]
        rest.create_set("hostile", images, item=HOSTILE, note=HOSTILE)
    page = browser()
    page.tab("Normal sets")
    page.pick("#sets-set", "hostile")
    page.says("#set-shown", HOSTILE)
    page.tab("Inspect")
    page.script("document.querySelectorAll('#source input')[1].click()")
    page.pick("#set", "hostile")
    page.upload("#queries-drop", tmp_path / "hostile" / name)
    page.says("#queries-added", "1 image")
    page.press("#inspect")
    page.says("#facts", HOSTILE)
    assert page.script("return window.hacked") is None
    (tmp_path / name).write_text("no image")
    page.upload("#queries-drop", tmp_path / name)
    page.says("#queries-added", "cannot be used")
    page.see("#set-name textarea, #set-name input") if page.all("#set-name") else None
    assert page.script("return window.hacked") is None


def test_a_training_and_an_evaluation_from_start_to_end(browser: Open) -> None:
    page = browser()
    page.tab("Train")
    page.pick("#train-data", "made")
    page.see("#train-name textarea, #train-name input").send_keys("mine")
    page.press("#train-more button")
    for name, value in (("epochs", "2"), ("steps", "20"), ("batch", "8")):
        page.see(f"#train-{name} textarea, #train-{name} input").send_keys(value)
    page.press("#train-start")
    page.see("#train-status .job")
    page.see("#train-status .job.succeeded", 200)
    page.see("#train-details svg")
    assert page.see("#train-details a").get_attribute("href").endswith("/adapter")
    page.tab("Evaluate")
    page.pick("#evaluate-data", "made")
    page.pick("#evaluate-adapters", "mine")
    page.press("#evaluate-start")
    page.see("#evaluate-status .job.succeeded", 300)
    page.says("#evaluate-details table", "inctrl (mine)")
    page.see("#evaluate-details .curves svg")
    assert "Open the report" in page.text("#evaluate-details .links")


def test_behind_a_token_the_page_is_reached_by_logging_in(
    browser: Open, tmp_path: Path, shots: list[Path]
) -> None:
    token = write_token_file(tmp_path / "tokens")
    service = Served(tmp_path / "store", "--token-file", str(tmp_path / "tokens"))
    try:
        page = browser(url=service.url)
        page.see("#token").send_keys(token + "\n")
        page.see("#inspect")
        page.upload("#shots-drop", *shots)
        page.says("#shots-added", "4 normal images")
    finally:
        service.close()
