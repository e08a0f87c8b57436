"""A real browser on the page: what it shows, what it asks for, what it complains about."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--disable-features=OptimizationHints,MediaRouter"),
)
CONTRAST = """
const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
const over = (top, below) => {
  const a = top.length > 3 ? top[3] : 1;
  return [0, 1, 2].map((i) => a * top[i] + (1 - a) * below[i]);
};
const ground = (e) => {
  const layers = [];
  for (; e; e = e.parentElement) layers.push(rgb(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
};
const light = (c) => {
  const [r, g, b] = c.map((v) => v / 255)
    .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const found = {};
for (const css of arguments[0]) for (const e of document.querySelectorAll(css)) {
  if (!e.offsetParent) continue;
  const below = ground(e), style = getComputedStyle(e);
  const ink = rgb(style.color);
  const own = (ink.length > 3 ? ink[3] : 1) * Number(style.opacity);
  const [a, b] = [light(over([...ink.slice(0, 3), own], below)), light(below)];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  found[css] = Math.min(found[css] ?? 99, ratio);
}
return found;
"""
"""The least contrast of the text of what each selector finds and is to be seen."""


class Page:
    """A browser; every wait is for something to be seen."""

    def __init__(self, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        webdriver = pytest.importorskip("selenium.webdriver", reason="`pip install selenium`")
        for program in (CHROMIUM, DRIVER):
            if shutil.which(program) is None:
                pytest.skip(f"no {program}; `apt-get install chromium chromium-driver`")
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for option in OPTIONS:
            options.add_argument(option)
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
        self.asked: set[str] = set()
        self.complaints: list[str] = []

    def open(self, url: str, ready: str = "#inspect") -> None:
        self.driver.get(url)
        self.see(ready)
        self.quiet()

    def close(self) -> None:
        self.driver.quit()

    def all(self, css: str) -> list[Any]:
        return [one for one in self.driver.find_elements("css selector", css) if one.is_displayed()]

    def see(self, css: str, seconds: float = 60) -> Any:
        """The first of these, as soon as it is to be seen."""
        return self.until(lambda: self.all(css), css, seconds)[0]

    def until(self, true: Callable[[], Any], what: str = "it", seconds: float = 60) -> Any:
        from selenium.common.exceptions import StaleElementReferenceException

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if found := true():
                    return found
            except StaleElementReferenceException:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"{what} was not to be seen within {seconds:g} s")

    def says(self, css: str, words: str, seconds: float = 60) -> str:
        """The text of the first of these, as soon as it has these words."""
        self.until(lambda: words in self.text(css), f"{words!r} in {css}", seconds)
        return self.text(css)

    def text(self, css: str) -> str:
        return "\n".join(one.text for one in self.all(css))

    def press(self, css: str) -> None:
        """A click; messages that lie over it are closed first."""
        element = self.see(css)
        for close in self.all(".toast-close"):
            self.script("arguments[0].click()", close)
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.until(lambda: not self.all(".toast-body"), "no message")
        element.click()

    def tab(self, name: str) -> None:
        """Open a tab, out of the menu where there is no room for it."""
        found = [one for one in self.all("[role=tab]") if one.text == name]
        if not found:
            self.press(".overflow-menu > button")
            found = [one for one in self.all(".overflow-dropdown button") if one.text == name]
        self.script("arguments[0].click()", found[0])
        self.quiet()

    def pick(self, css: str, words: str) -> None:
        """An option of a list of many."""
        field = self.see(f"{css} input")
        field.click()
        option = self.until(
            lambda: [one for one in self.all("[role=option]") if words in one.text], words
        )[0]
        option.click()
        self.script("document.activeElement.blur()")

    def upload(self, css: str, *paths: Path) -> None:
        field = self.driver.find_element("css selector", f"{css} input[type=file]")
        field.send_keys("\n".join(map(str, paths)))

    def quiet(self) -> None:
        """Give events that are under way the time to end."""
        time.sleep(0.6)

    def script(self, text: str, *arguments: object) -> Any:
        return self.driver.execute_script(text, *arguments)

    def sideways(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(
            self.script(
                "const e = document.documentElement;"
                "return Math.max(e.scrollWidth, document.body.scrollWidth) - e.clientWidth"
            )
        )

    def listen(self) -> None:
        """Note what was asked for and complained about since the last time."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.add(message["params"]["request"]["url"])
        self.complaints += [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] in ("WARNING", "SEVERE") and not _expected(entry["message"])
        ]

    def outside(self, url: str) -> list[str]:
        """What was asked for elsewhere than at this address."""
        home = urlsplit(url).netloc
        return sorted(
            asked
            for asked in self.asked
            if urlsplit(asked).scheme not in ("data", "blob") and urlsplit(asked).netloc != home
        )


def _expected(message: str) -> bool:
    """What Gradio itself remarks on uploads, that browsers fetch a manifest without cookies.

    And that a page's listening ends where its service is stopped before it.
    """
    return (
        message.endswith('"Method not implemented."')
        or ("manifest.json" in message and "401" in message)
        or ("/gradio_api/heartbeat/" in message and "INCOMPLETE_CHUNKED_ENCODING" in message)
    )
