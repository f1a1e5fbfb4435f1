"""The page that replays a training, opened from the disk in a real browser. R3.13."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.web.browsing import chromium, until

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.training import fit
from groundup.viz.animation import Chart, Film, Recorder, Recording, write_animation


def moons() -> tuple[gu.Tensor, gu.Tensor]:
    random = np.random.default_rng(0)
    k, t = np.arange(120) % 2, random.uniform(0, np.pi, 120)
    x, y = np.where(k, 1 - np.cos(t), np.cos(t)), np.where(k, 0.5 - np.sin(t), np.sin(t))
    return gu.tensor(np.stack([x, y], 1).astype(np.float32)), gu.tensor(k)


def film(folder: Path, name: str, model: nn.Module, x: gu.Tensor, y: gu.Tensor) -> Film:
    adam = optim.Adam(model.parameters(), lr=0.05)
    path = folder / name
    history = fit(model, F.cross_entropy, adam, [(x, y)], epochs=60, callbacks=[Recorder(path)])
    losses = history.steps["loss"]
    charts = [Chart("Loss (nats)", {"training": (np.arange(1, 61), losses)})]
    return Film(name, Recording.load(path), charts)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    gu.manual_seed(0)
    folder = tmp_path_factory.mktemp("films")
    plane = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 2))
    cnn = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 80), nn.ReLU(), nn.Linear(80, 3)
    )
    return [
        film(folder, "plane", plane, *moons()),
        film(folder, "pictures", cnn, gu.rand(30, 1, 8, 8), gu.arange(30) % 3),
    ]


@pytest.fixture(scope="module")
def path(films: list[Film], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page") / "a page.html"
    return write_animation(films, place, title="Two trainings", subtitle="seed 0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Opened:
    """The page in a window of its own, with all that went wrong and all that was asked for."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1400, "height": 900}, **options}
        )
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.page.on("console", lambda m: self.troubles.append(m.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(path.as_uri())

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.troubles.append(request.url)

    @property
    def frame(self) -> int:
        return int(self.page.input_value("#time"))

    @property
    def last(self) -> int:
        return int(self.page.get_attribute("#time", "max") or 0)

    def slide(self, frame: int) -> None:
        self.page.locator("#time").fill(str(frame))

    def classes(self) -> list[str]:
        """How the lines of the network on the screen look."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll(".drawing:not([hidden]) .network-weights path")]
            .map((line) => `${line.getAttribute("class")} ${line.getAttribute("stroke-width")}`)"""
        )


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Any]:
    all_of_them: list[Opened] = []

    def begin(**options: Any) -> Opened:
        all_of_them.append(Opened(browser, path, **options))
        return all_of_them[-1]

    yield begin
    for one in all_of_them:
        one.context.close()
        assert not one.troubles, one.troubles


def test_it_plays_pauses_and_ends(opened: Any) -> None:
    one = opened()
    page = one.page
    assert one.frame == 0
    assert page.text_content("#readout").startswith("Step 0 of 60 · epoch 0")
    page.select_option("#speed", "0.5")
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    assert page.get_attribute("#readout", "aria-live") == "off"
    until(page, "Number(document.getElementById('time').value) > 3")
    page.click("#play")
    assert page.get_attribute("#play", "aria-label") == "Play"
    assert page.get_attribute("#readout", "aria-live") == "polite"
    at = one.frame
    page.wait_for_timeout(300)
    assert one.frame == at
    page.select_option("#speed", "4")
    page.click("#play")
    until(page, "document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert one.frame == one.last
    page.select_option("#speed", "0.25")
    page.click("#play")  # from the beginning again
    until(page, "Number(document.getElementById('time').value) < 20")


def test_buttons_and_slider(opened: Any, films: list[Film]) -> None:
    one = opened()
    page, steps = one.page, films[0].recording.steps
    assert one.last == len(steps) - 1
    page.click("#forward")
    page.click("#forward")
    page.click("#back")
    assert one.frame == 1
    page.click("#last")
    assert one.frame == one.last
    page.click("#forward")
    assert one.frame == one.last
    page.click("#first")
    assert one.frame == 0
    one.slide(10)
    assert page.text_content("#readout").startswith(f"Step {steps[10]} of 60")
    assert page.get_attribute("#time", "aria-valuetext").startswith(f"Step {steps[10]} of 60")
    page.click("#charts svg", position={"x": 250, "y": 80})
    assert one.frame > 10


def test_keys(opened: Any) -> None:
    one = opened()
    page = one.page
    keys = page.keyboard
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    assert one.frame == 2
    keys.press("ArrowLeft")
    assert one.frame == 1
    keys.press("End")
    assert one.frame == one.last
    keys.press("Home")
    assert one.frame == 0
    keys.press("+")
    assert page.input_value("#speed") == "2"
    keys.press("-")
    keys.press("-")
    assert page.input_value("#speed") == "0.5"
    keys.press("Space")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    keys.press("Space")
    assert page.get_attribute("#play", "aria-label") == "Play"
    # A key that a control has for itself is done once.
    one.slide(5)
    page.focus("#time")
    keys.press("ArrowRight")
    assert one.frame == 6
    page.focus("#play")
    keys.press("Space")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    keys.press("ArrowLeft")
    assert page.get_attribute("#play", "aria-label") == "Play"


def test_everything_is_reached_by_tab_and_has_a_name(opened: Any) -> None:
    page = opened().page
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => { const e = document.activeElement;
            return e === document.body ? "" : e.getAttribute("aria-label")
              ?? e.closest("label")?.textContent ?? e.textContent; }"""
        )
        if not name:
            break
        seen.append(name.strip())
    wanted = {"To the beginning", "One frame back", "Play", "One frame forward", "To the end"}
    assert wanted | {"Time", "Keys", "plane", "Drawing of the network"} <= set(seen)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("svg[role=img], canvas[role=img]")]
        .filter((e) => !e.getAttribute("aria-label")).length"""
    )
    assert unnamed == 0


def test_the_network_is_that_of_the_frame(opened: Any, films: list[Film]) -> None:
    one = opened()
    recording = films[0].recording
    for frame in (0, 25, one.last):
        one.slide(frame)
        signs = [look.partition(" ")[0] for look in one.classes()]
        weights = np.concatenate([recording.frames[f"weight.{i}"][frame].ravel() for i in (1, 2)])
        scale = max(
            float(np.abs(values).max())
            for name, values in recording.frames.items()
            if name.startswith(("weight", "bias"))
        )
        sure = np.abs(weights) > scale / 32767
        found = np.array([{"positive": 1, "negative": -1, "zero": 0}[sign] for sign in signs])
        np.testing.assert_array_equal(found[sure], np.sign(weights)[sure])
        widths = np.array([float(look.partition(" ")[2]) for look in one.classes()])
        order = np.argsort(np.abs(weights))
        assert (np.diff(widths[order]) >= 0).all(), "the stronger, the wider"
    lines = one.classes()
    one.slide(0)
    assert one.classes() != lines


def test_values_follow_the_chosen_input(opened: Any, films: list[Film]) -> None:
    one = opened()
    page, outputs = one.page, films[0].recording.frames["outputs"]
    one.slide(one.last)
    for example in (0, 4):
        page.locator("#examples input").nth(example).check(force=True)
        told = [
            text.replace("\xa0%", "") for text in page.locator(".bars .share").all_text_contents()
        ]
        shown = [float(text) / 100 for text in told]
        np.testing.assert_allclose(shown, outputs[-1, example], atol=0.006)
    true = page.locator(".bars li.true").get_attribute("aria-label")
    assert true == f"1, the true class: {told[1]}\xa0%"


def test_the_surface_has_the_colours_of_the_probabilities(opened: Any, films: list[Film]) -> None:
    one = opened()
    one.slide(one.last)
    surface = films[0].recording.frames["surface"][-1]
    pixels = np.array(
        one.page.evaluate(
            """() => { const c = document.querySelector("#plane canvas");
            return [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]; }"""
        )
    ).reshape(*surface.shape, 4)
    blue = pixels[..., 2] > pixels[..., 0]
    clear = np.abs(surface - 0.5) > 0.05
    assert clear.any()
    np.testing.assert_array_equal(blue[clear], surface[clear] > 0.5)
    assert one.page.locator("#plane .point").count() == 120
    contour = one.page.get_attribute("#plane .contour:not(.side)", "d")
    assert contour.count("M") > 20


def test_another_training_is_shown_at_the_nearest_step(opened: Any, films: list[Film]) -> None:
    one = opened()
    page = one.page
    one.slide(30)
    step = int(films[0].recording.steps[30])
    page.get_by_role("radio", name="pictures").check(force=True)
    steps = films[1].recording.steps
    assert one.frame == int(np.abs(steps - step).argmin())
    assert page.locator("#surface").is_hidden()
    assert page.locator("#examples canvas").count() == len(films[1].recording.fixed["inputs"])
    cells = page.locator(".drawing:not([hidden]) .network-pictures rect.positive").count()
    assert cells > 20
    assert page.locator(".drawing:not([hidden]) .network-histogram rect").count() == 48
    assert page.locator(".drawing:not([hidden]) .network-hidden rect").count() > 60
    page.get_by_role("radio", name="plane").check(force=True)
    assert page.locator("#surface").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_sideways_scrolling(opened: Any, scheme: Any) -> None:
    one = opened(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, is_mobile=True, has_touch=True
    )
    page = one.page
    for name in ("plane", "pictures"):
        page.get_by_role("radio", name=name).check(force=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.tap("#play")
    until(page, "Number(document.getElementById('time').value) > 0")
    box = page.locator("#play").bounding_box()
    assert min(box["width"], box["height"]) >= 40


def contrast(a: str, b: str) -> float:
    """Of two colours as `rgb(r, g, b)` (WCAG 2.2)."""

    def light(text: str) -> float:
        parts = np.array([float(x) for x in text[4:-1].split(",")]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_stand_out(opened: Any, scheme: Any) -> None:
    page = opened(color_scheme=scheme).page
    colour = """([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"""
    paper = page.evaluate(colour, ["main > section", "background-color"])
    behind = page.evaluate(colour, ["body", "background-color"])
    assert contrast(page.evaluate(colour, ["h2", "color"]), paper) >= 7
    assert contrast(page.evaluate(colour, [".legend", "color"]), paper) >= 4.5
    assert contrast(page.evaluate(colour, [".subtitle", "color"]), behind) >= 4.5
    for sign in ("positive", "negative"):
        line = page.evaluate(colour, [f".network-weights .{sign}", "stroke"])
        assert contrast(line, paper) >= 3


def test_reduced_motion_is_slow_and_nothing_begins_by_itself(opened: Any) -> None:
    one = opened(reduced_motion="reduce")
    one.page.wait_for_timeout(400)
    assert one.frame == 0
    assert one.page.input_value("#speed") == "0.25"


def test_paper_gets_the_frame_in_words_and_no_buttons(opened: Any) -> None:
    one = opened(color_scheme="dark")
    page = one.page
    one.slide(20)
    words = page.text_content("#readout")
    page.emulate_media(media="print")
    assert page.locator("#player").is_hidden()
    assert page.text_content("#printed") == f"plane: {words}"
    assert page.locator("#printed").is_visible()
    colour = page.evaluate("getComputedStyle(document.body).color")
    assert colour == "rgb(29, 30, 32)"
