"""The page in a real browser, with made-up numbers. R14.6."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.web.browsing import Visit, chromium, until

ROOT = Path(__file__).parents[4]

Serve = Callable[[str], "Served"]


class Served:
    """A server with made-up numbers."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.apps.finch.metrics.served", str(folder / kind), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def tell(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        with suppress(BrokenPipeError):
            self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("served")
    running: dict[str, Served] = {}

    def begin(kind: str) -> Served:
        if kind not in running:
            running[kind] = Served(folder, kind)
        return running[kind]

    yield begin
    for one in running.values():
        one.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def opened(visit: Visit) -> Any:
    visit.page.goto(f"{visit.address}/finch/")
    visit.page.wait_for_selector("#connection[data-state=live]")
    visit.page.wait_for_selector("#main:not([aria-busy])")
    return visit.page


def figure(page: Any, title: str) -> str:
    return page.locator(f".figure:has(h2:text-is('{title}'))").inner_text().replace("\u00a0", " ")


def test_it_shows_what_is_so_on_every_screen_and_follows(serve: Serve, browser: Any) -> None:
    served = serve("serving")
    visit = Visit(browser, served.address, color_scheme="light")
    page = opened(visit)
    assert "61.7 %" in figure(page, "Answered locally")
    assert "2,531 of 6,000 since the start" in figure(page, "Answered locally")
    assert "USD" in figure(page, "Not sent upstream")
    assert "estimated" in figure(page, "Not sent upstream")
    error = figure(page, "Error, worst task")
    assert "is under 5 %" in error
    assert "of 9d1f03a27c, the task with the largest bound" in error
    assert "all tasks together: 0 %" in error
    assert page.locator("#stages tbody tr").count() == 6
    assert page.locator("#tasks tbody tr").count() == 2
    assert page.locator("canvas").count() == 2
    drawn = page.locator("#forward canvas").evaluate("canvas => canvas.toDataURL()")
    colours = set()
    for width, scheme in ((320, "light"), (768, "dark"), (1280, "dark"), (2560, "light")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(60)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
    until(page, "document.querySelectorAll('canvas').length === 2")
    assert page.locator("#forward canvas").evaluate("canvas => canvas.toDataURL()") != drawn
    assert page.locator("[role=alert]:visible").count() == 0
    assert (
        page.evaluate("""[...document.querySelectorAll("button, a, [role=img]")].filter(
        (e) => !e.textContent.trim() && !e.getAttribute("aria-label")).length""")
        == 0
    )

    # A request more: the figures, the list, and markup in a name that stays a text.
    served.tell("more")
    until(page, "document.querySelector('#latest').textContent.includes('<b>0</b>')")
    assert page.locator("#latest b").count() == 0
    until(
        page, "document.querySelector('#figures').textContent.includes('of 6,001 since the start')"
    )

    # The theme by hand; it is still there when the page is opened again.
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Colours: Dark"
    opened(visit)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit.close()


def test_nothing_yet_trouble_and_silence_are_told(serve: Serve, browser: Any) -> None:
    served = serve("empty")
    visit = Visit(
        browser, served.address, color_scheme="dark", viewport={"width": 390, "height": 800}
    )
    page = opened(visit)
    assert "no bound yet" in figure(page, "Error, worst task")
    until(page, "document.querySelector('#latest').innerText.endsWith('No request yet.')")
    until(page, "document.querySelector('#tasks').innerText.includes('No task yet')")
    served.tell("trouble")
    page.wait_for_selector("[role=alert]:has-text('the disk is full')")
    until(page, "document.querySelector('#figures').textContent.includes('learning is paused')")
    served.tell("fail")
    page.wait_for_selector("#connection[data-state=lost]")
    assert page.locator("#connection").inner_text() == "no answer"
    visit.errors[:] = [words for words in visit.errors if "503" not in words]
    visit.close()
