"""Everything in the pages is reached, read and done by keyboard. R12.2."""

from __future__ import annotations

from .browsing import Begin, runs_of, settled, until
from .conftest import Served


def test_everything_is_reached_by_keyboard(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'digits', 2)}")
    settled(page, "loss")
    page.evaluate("document.activeElement.blur()")
    names: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                """() => {
                  const e = document.activeElement;
                  const seen = [e, e.nextElementSibling ?? e].some(
                    (one) => getComputedStyle(one).outlineStyle !== "none");
                  const label = e.labels?.[0]?.textContent;
                  const name = e.getAttribute("aria-label") ?? label ?? e.textContent;
                  return (seen ? "" : "INVISIBLE ") + name.trim().slice(0, 40);
                }"""
            )
        )
    assert not [name for name in names if name.startswith("INVISIBLE")]
    wanted = [
        "Skip to content", "Runs", "Curves", "Compare", "Find runs", "All about", "Step", "Log x",
        "Smoothing", "Find a metric", "training", "Logarithmic values", "Enlarge", "Chart of",
    ]  # fmt: skip
    order = [next((i for i, n in enumerate(names) if n.startswith(w)), None) for w in wanted]
    assert None not in order, "\n".join(names)
    heads = [place for name, place in zip(wanted, order, strict=True) if name != "Chart of"]
    assert heads == sorted(heads)  # type: ignore[type-var]


def test_a_chart_is_read_and_zoomed_by_keyboard(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'digits', 2)}")
    settled(page, "validation_loss")
    page.focus("[data-chart=validation_loss] .chart-figure")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#announcer').textContent.startsWith('step 17:')")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#announcer').textContent.startsWith('step 34:')")
    page.keyboard.press("+")
    page.wait_for_url("**range=**")
    page.keyboard.press("Home")
    until(page, "!location.hash.includes('range')")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-chart=validation_loss].large")


def test_shortcuts(visit: Begin, served: Served) -> None:
    page = visit().open(f"/runs?{runs_of(served, 'digits', 2)}")
    page.wait_for_selector("table.runs tbody tr")
    page.keyboard.press("/")
    page.keyboard.type("2 cnn")  # in a field, keys are text
    assert page.input_value("#search") == "2 cnn"
    page.fill("#search", "")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 11")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 3
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Tags and note")
    page.keyboard.press("2")
    page.wait_for_selector("[data-chart=loss] canvas")
    page.keyboard.press("l")
    page.keyboard.press("]")
    page.wait_for_url("**logY=1&smoothing=**")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.uncheck("dialog input[type=checkbox]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("1")
    page.wait_for_timeout(200)
    assert "#/curves" in page.url
