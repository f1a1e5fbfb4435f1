"""A real browser for the tests: Chromium of the system, driven by Playwright."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from .conftest import Served

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window; skips the test if there is none."""
    pytest.importorskip("playwright", reason="Playwright is not installed")
    from playwright.sync_api import sync_playwright

    found = next((path for name in (*NAMES, MAC) if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no browser: install one of {', '.join(NAMES)}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Page, expression: str, milliseconds: int = 20_000) -> None:
    """Wait until an expression holds; the pages forbid the `eval` of `wait_for_function`."""
    end = time.monotonic() + milliseconds / 1000
    while not page.evaluate(expression):
        if time.monotonic() > end:
            raise AssertionError(f"after {milliseconds / 1000:g} seconds not yet: {expression}")
        page.wait_for_timeout(50)


class Visit:
    """A page, with what went wrong in it and where it went."""

    def __init__(self, browser: Browser, address: str, **options: Any) -> None:
        self.address = address
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 860}, **options}
        )
        self.context.set_default_timeout(20_000)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message: Any) -> None:
        # The tests read canvases, the pages do not.
        if message.type in ("error", "warning") and "willReadFrequently" not in message.text:
            self.errors.append(f"{message.text} at {message.location}")

    def open(self, view: str = "/runs") -> Page:
        """Go to a view and wait until the page is connected."""
        self.page.goto(f"{self.address}/#{view}")
        self.page.wait_for_selector(".connection[data-state=live]")
        return self.page

    def close(self) -> None:
        """End, and look whether anything went wrong or anywhere else."""
        self.context.close()
        away = [
            url
            for url in self.requests
            if urlsplit(url).scheme in ("http", "https", "ws", "wss")
            and urlsplit(url).netloc != urlsplit(self.address).netloc
        ]
        assert not away, f"requests that leave this computer: {away}"
        assert all(urlsplit(url).hostname in LOOPBACK for url in self.requests if "//" in url)
        assert not self.errors, "\n".join(self.errors)


Begin = Callable[..., Visit]


def runs_of(served: Served, kind: str, many: int = 99) -> str:
    return "runs=" + ",".join(served.runs[kind][:many])


def drawing(page: Any, chart: str) -> str:
    return page.evaluate(f"document.querySelector('[data-chart=\"{chart}\"] canvas').toDataURL()")


def settled(page: Any, chart: str) -> str:
    """The picture of a chart when it no longer changes."""
    page.wait_for_selector(f'[data-chart="{chart}"] canvas')
    page.mouse.move(640, 2)  # a run that is pointed at stands out
    until(page, "!document.querySelector('[aria-busy=true]')")
    before = ""
    while before != (before := drawing(page, chart)):
        page.wait_for_timeout(80)
    return before
