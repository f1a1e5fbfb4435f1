"""The pages in a real browser: what is shown, found and drawn. R12.2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.runs import Store, Verdict

from .browsing import Begin, Visit, drawing, runs_of, settled, until
from .conftest import Served, start, stop

VIEWS = ("runs", "curves", "layers", "figures", "system", "claims", "compare")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for the tests that write; each has runs of its own."""
    folder = tmp_path_factory.mktemp("workshop")
    process, address = start(folder)
    yield Served(folder, address)
    stop(process)


OPENED = "#main :is(table, canvas, figure, .empty, h1)"


def shown(page: Any) -> None:
    """Wait until what was asked for is drawn."""
    page.wait_for_selector(OPENED)
    until(page, "!document.querySelector('[aria-busy=true]')")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def nameless(page: Any) -> list[str]:
    """What a reader of the screen could not name."""
    return page.evaluate(
        """() => [...document.querySelectorAll(
            "button, a, input, select, textarea, img, [role=group], [role=region]")]
          .filter((e) => e.checkVisibility())
          .filter((e) => !e.getAttribute("aria-label") && !e.title && !e.labels?.length)
          .filter((e) => !e.textContent.trim() && !e.hasAttribute("alt"))
          .map((e) => e.outerHTML.slice(0, 120))"""
    )


def test_every_view_in_both_themes_on_every_screen(visit: Begin, served: Served) -> None:
    one = visit(color_scheme="light")
    for view in (*VIEWS, f"run/{served.runs['transformer'][2]}"):
        page = one.open(f"/{view}?{runs_of(served, 'transformer')}")
        for width in (320, 390, 768, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme="dark" if width == 390 else "light")
            shown(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (view, width)
        assert page.locator("[role=alert]:visible").count() == 0, view
        assert nameless(page) == [], view
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids)), view
        assert page.locator("h1").count() == 1, view
    page.wait_for_selector("text=Why it failed")


@pytest.mark.slow
def test_views_of_short_runs_have_names_for_everything(visit: Begin, served: Served) -> None:
    one = visit(color_scheme="dark")
    for view in (*VIEWS, f"run/{served.runs['digits'][3]}"):
        page = one.open(f"/{view}?{runs_of(served, 'digits')}")
        shown(page)
        assert page.locator("[role=alert]:visible").count() == 0, view
        assert nameless(page) == [], view


def test_runs_of_every_kind_are_shown(visit: Begin) -> None:
    page = visit().open()
    page.wait_for_selector("table.runs tbody tr")
    words = page.locator("table.runs tbody .status").all_inner_texts()
    assert set(words) == {"done", "failed", "stopped", "lost", "queued"}


def rows(page: Any) -> list[str]:
    return page.locator("table.runs tbody tr").evaluate_all("rows => rows.map(r => r.dataset.run)")


def test_find_filter_sort(visit: Begin, served: Served) -> None:
    page = visit().open()
    page.wait_for_selector("table.runs tbody tr")
    assert len(rows(page)) == 11

    page.fill("#search", "network=cnn seed=1")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 1")
    assert rows(page) == [served.runs["digits"][4]]
    page.fill("#search", "no such run")
    page.wait_for_selector("h2:has-text('No run fits')")
    page.click(".empty button")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 11")

    page.select_option("select[aria-label='Any experiment']", "text_transformer")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 4")
    page.select_option("select[aria-label='Any status']", "done")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 1")
    page.click("text=Clear filters")
    page.select_option("select[aria-label='Any tag']", "paper")
    until(page, "document.querySelectorAll('table.runs tbody tr').length === 3")
    page.click("text=Clear filters")

    def column(sort: str) -> list[str]:
        with page.expect_event("framenavigated"):
            page.click(f"[data-sort='{sort}']")
        index = page.locator(f"th:has([data-sort='{sort}'])").evaluate("cell => cell.cellIndex")
        return page.locator(f"table.runs tbody tr > :nth-child({index + 1})").all_inner_texts()

    def numbers(texts: list[str]) -> list[float]:
        return [float(text.replace(",", "")) for text in texts if re.match(r"[\d.]", text)]

    down = numbers(column("metric:loss"))
    assert down == sorted(down, reverse=True)
    assert len(down) >= 8
    up = column("metric:loss")
    assert numbers(up) == sorted(down)
    assert numbers(up[: len(down)]) == sorted(down)  # what has no value comes last
    assert page.get_attribute("th:has([data-sort='metric:loss'])", "aria-sort") == "ascending"


@pytest.mark.slow
def test_columns_can_be_chosen(visit: Begin) -> None:
    page = visit().open()
    page.click("text=Columns …")
    page.fill("dialog input[type=search]", "weight_decay")
    page.check("dialog label:visible input")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-sort='config:optimizer.weight_decay']")
    page.reload()
    page.wait_for_selector("[data-sort='config:optimizer.weight_decay']")


def test_many_runs_are_selected_at_once(visit: Begin) -> None:
    page = visit().open()
    boxes = page.locator("table.runs tbody input")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    page.wait_for_selector("text=4 runs selected")
    page.check("thead input")
    page.wait_for_selector("text=11 runs selected")
    page.uncheck("thead input")
    page.wait_for_selector(".selection", state="hidden")


# Curves


def eventually(page: Any, look: Callable[[], set[str]], many: int) -> set[str]:
    """What is seen once there is so much of it, or after ten seconds."""
    for _ in range(100):
        if len(seen := look()) == many:
            break
        page.wait_for_timeout(100)
    return seen


def colours(page: Any, chart: str) -> set[str]:
    """Which of the runs' colours are on a chart: those of many pixels."""
    return set(
        page.evaluate(
            """async (chart) => {
              const { COLOURS, theme } = await import("/static/js/palette.js");
              const canvas = document.querySelector(`[data-chart="${chart}"] canvas`);
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              return COLOURS[theme()].filter((hex) => {
                const wanted = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
                let found = 0;
                for (let i = 0; i < data.length; i += 4) {
                  const near = wanted.every((value, j) => Math.abs(data[i + j] - value) < 6);
                  if (near && data[i + 3] > 240) found += 1;
                }
                return found > 8;
              });
            }""",
            chart,
        )
    )


def test_runs_lie_over_one_another(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'digits', 3)}")
    settled(page, "validation_accuracy")
    first = eventually(page, lambda: colours(page, "validation_accuracy"), 3)
    assert len(first) == 3
    page.check(f"[data-run='{served.runs['digits'][3]}'] input")
    page.wait_for_timeout(300)
    settled(page, "validation_accuracy")
    assert len(eventually(page, lambda: colours(page, "validation_accuracy"), 4)) == 4
    page.uncheck(f"[data-run='{served.runs['digits'][0]}'] input")
    page.wait_for_timeout(300)
    settled(page, "validation_accuracy")
    assert len(eventually(page, lambda: colours(page, "validation_accuracy") & first, 2)) == 2


def test_values_under_the_pointer(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'digits', 2)}")
    settled(page, "validation_loss")
    box = page.locator("[data-chart=validation_loss] .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 50)
    tip = page.locator("[data-chart=validation_loss] .chart-tip")
    tip.wait_for()
    with Store(served.folder) as store:
        for run_id in served.runs["digits"][:2]:
            last = store.points(run_id, "validation_loss").values[-1]
            assert f"{last:.5g}"[:6] in tip.inner_text()
    assert "step 680" in tip.inner_text()


def test_axes_logarithms_smoothing(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'digits', 2)}")
    plain = settled(page, "loss")
    page.check("text=Log y")
    page.wait_for_timeout(200)
    log = settled(page, "loss")
    page.check("text=Log x")
    page.wait_for_timeout(200)
    both = settled(page, "loss")
    page.locator("#smoothing").fill("18")
    page.wait_for_timeout(200)
    smooth = settled(page, "loss")
    page.locator("label:has-text('Time')").click()
    page.wait_for_timeout(200)
    timed = settled(page, "loss")
    assert len({plain, log, both, smooth, timed}) == 5
    for choice in ("logX=1", "logY=1", "x=time", "smoothing=0.0"):
        assert choice in page.url
    # The address holds the whole view.
    page.reload()
    assert settled(page, "loss") == timed


def test_zoom_by_mouse_and_back(visit: Begin, served: Served) -> None:
    page = visit().open(f"/curves?{runs_of(served, 'transformer', 1)}")
    whole = settled(page, "loss")
    box = page.locator("[data-chart=loss] .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_url("**range=**")
    low, high = (float(x) for x in re.search(r"range=([\d.]+)\.\.\.([\d.]+)", page.url).groups())
    steps = 960
    assert low == pytest.approx(0.25 * steps, rel=0.05)
    assert high == pytest.approx(0.5 * steps, rel=0.05)
    page.mouse.move(2, 2)
    assert settled(page, "loss") != whole
    page.locator("[data-chart=loss] .u-over").dblclick()
    until(page, "!location.hash.includes('range')")
    page.mouse.move(2, 2)
    page.wait_for_timeout(300)
    assert settled(page, "loss") == whole


@pytest.mark.parametrize("axis", ["step", pytest.param("time", marks=pytest.mark.slow)])
def test_a_running_curve_grows(browser: Any, workshop: Served, axis: str) -> None:
    def has(points: int) -> str:
        cell = "document.querySelector('[data-chart=loss] td:last-child')"
        return f"{cell}.textContent === '{points}'"

    with Store(workshop.folder) as store, store.start("line") as run:
        run.log(1, loss=3.0)
        run.flush()
        one = Visit(browser, workshop.address)
        page = one.open(f"/curves?runs={run.id}&x={axis}")
        page.click("[data-chart=loss] button[aria-label='Show as a table']")
        for step in range(2, 40):
            run.log(step, loss=3.0 / step)
        until(page, has(39))
        before = settled(page, "loss")
        run.log(40, loss=2.5)
        until(page, has(40))
        page.wait_for_timeout(100)
        assert drawing(page, "loss") != before
        # A metric that is new has a chart of its own, without a reload.
        run.log(41, accuracy=0.5)
        page.wait_for_selector("[data-chart=accuracy] canvas")
    page.wait_for_selector(f"#sidebar [data-run='{run.id}'] .status-done")
    one.close()


# Tags, notes, and text that looks like code


def test_tags_and_note_are_written(browser: Any, workshop: Served) -> None:
    with Store(workshop.folder) as store:
        run_id = store.queue("digits", tags=["old"]).id
    one = Visit(browser, workshop.address)
    page = one.open(f"/run/{run_id}")
    page.fill("#new-tag", "best & <b>bold</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The tags are saved.")
    page.click("button[aria-label='Remove tag old']")
    until(page, "document.querySelectorAll('.tag').length === 1")
    page.fill("#note", "a note\nof two lines")
    page.click("text=Save note")
    page.wait_for_selector("text=The note is saved.")
    page.fill("#new-tag", "x" * 60)
    page.click("text=Runs")
    page.wait_for_selector("table.runs .tag:has-text('<b>bold</b>')")
    one.close()
    with Store(workshop.folder) as store:
        info = store.get(run_id)
    assert info.tags == ("best & <b>bold</b>",)
    assert info.note == "a note\nof two lines"


def test_text_is_never_code(browser: Any, workshop: Served) -> None:
    bad = '<img src=x onerror="window.broken=1">'
    with Store(workshop.folder) as store:
        config = {bad: bad, "lr": bad}
        with store.start("digits", config, tags=[bad], note=bad) as run:
            run.log(1, **{bad: 1.0, f"gradient_norm/{bad}": 1.0})
            run.log_text(bad)
            run.log_figure("act", f'<svg xmlns="http://www.w3.org/2000/svg"><script>window.broken=1'
                           f'</script><text>{"x"}</text></svg>')  # fmt: skip
        folder = store.get(run.id).folder
    verdict = {"claim": bad, "text": bad, "source": bad, "measured": [], "verdict": bad}
    event = {"event": "verdict", "time": 1.0, "verdict": verdict}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    one = Visit(browser, workshop.address)
    for view in (*VIEWS, f"run/{run.id}"):
        page = one.open(f"/{view}?runs={run.id}")
        shown(page)
        page.wait_for_timeout(100)
        assert page.evaluate("window.broken") is None
        assert page.locator("img[src=x]").count() == 0
    page.goto(f"{workshop.address}/api/runs/{run.id}/figures/act.svg")
    assert page.evaluate("window.broken") is None
    one.errors = [e for e in one.errors if "figures/act.svg" not in e and "script" not in e]
    one.close()


# States


def test_an_empty_folder_says_what_to_do(browser: Any, empty: Served) -> None:
    one = Visit(browser, empty.address)
    page = one.open()
    page.wait_for_selector("h2:has-text('No runs yet')")
    for view in VIEWS[1:]:
        one.open(f"/{view}").wait_for_selector(".empty")
    page = one.open()
    with Store(empty.folder) as store:
        store.queue("digits")
    page.wait_for_selector("table.runs tbody tr", timeout=8000)
    assert page.locator("h2:has-text('No runs yet')").count() == 0
    one.close()


def test_a_server_that_is_gone_is_told_and_found_again(browser: Any, tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("line") as run:
        run.log(1, loss=1.0)
    process, address = start(tmp_path)
    one = Visit(browser, address)
    page = one.open(f"/curves?runs={run.id}")
    page.wait_for_selector("[data-chart=loss] canvas")
    stop(process)
    page.wait_for_selector("#banner:has-text('does not answer')")
    page.wait_for_selector("text=No connection")
    assert page.locator("[data-chart=loss] canvas").count() == 1  # what was there stays
    page.check("text=Log x")  # asks for something while there is no server
    page.wait_for_selector(".chart-note:visible")
    port = int(address.rsplit(":", 1)[1])
    process, _ = start(tmp_path, port)
    try:
        page.wait_for_selector(".connection[data-state=live]", timeout=15_000)
        page.wait_for_selector("#banner", state="hidden")
        page.wait_for_selector(".chart-note", state="hidden", timeout=15_000)
        one.errors = [error for error in one.errors if "ERR_" not in error]
        one.close()
    finally:
        stop(process)


def test_a_run_that_is_not_there(visit: Begin) -> None:
    one = visit()
    page = one.open("/run/digits-20250131-174501-000000")
    page.wait_for_selector("[role=alert] >> text=there is no run")
    page = one.open("/curves?runs=none,digits-20250131-174501-000000&range=b...c&x=z&smoothing=9")
    page.wait_for_selector(".empty")
    assert page.locator("canvas").count() == 0
    one.errors = [error for error in one.errors if "404" not in error]
    assert not one.errors


def test_figures_are_looked_through(visit: Begin, served: Served) -> None:
    page = visit().open(f"/figures?{runs_of(served, 'digits', 2)}")
    images = page.locator("section[aria-label=samples] img")
    images.first.wait_for()
    assert images.count() == 2
    assert "samples-00003000" in images.first.get_attribute("src")
    page.locator("input[aria-label='Step of samples']").fill("0")
    assert "samples-00000100" in images.first.get_attribute("src")
    until(page, "document.querySelector('section[aria-label=samples] img').naturalWidth")
    page.click("section[aria-label=samples] button.picture >> nth=0")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("dialog >> text=step 1,000, 2 of 3")
    page.keyboard.press("Escape")


def test_layers_open_their_curve(visit: Begin, served: Served) -> None:
    page = visit().open(f"/layers?{runs_of(served, 'digits', 1)}")
    page.wait_for_selector("[data-layer='3.weight'] canvas")
    assert page.locator("tr[data-layer]").count() == 6
    page.click("text=3.weight")
    page.wait_for_selector("[data-chart='gradient_norm/3.weight'] canvas")
    page.select_option("#layer-kind", "weight_norm")
    page.wait_for_selector("[data-chart='weight_norm/3.weight'] canvas")


def test_a_run_shows_its_parts(visit: Begin, served: Served) -> None:
    page = visit().open(f"/run/{served.runs['transformer'][0]}")
    page.wait_for_selector("section[aria-label=Parts] .status-queued")
    page.click("section[aria-label=Parts] a")
    page.wait_for_selector("text=part of")
    page.click(f"#main a >> text={served.runs['transformer'][0]}")
    page.click("text=Curves of all 1")
    page.wait_for_selector("text=Nothing logged yet")
    assert "#/curves" in page.url
    assert page.locator("canvas").count() == 0


def test_a_group_is_its_parts(browser: Any, workshop: Served) -> None:
    claims = [
        ("c", "it is undecided", "undecided"),
        ("d", "it holds", "holds"),
        ("e", "it is refuted", "refuted"),
        ("f", "it holds in part", "holds in part"),
        ("g", "it is not measured", "not measured"),
    ]
    with Store(workshop.folder) as store, store.start("seeds") as group:
        parts = []
        for seed in range(2):
            part = store.queue("seeds", seed=seed, parent=group.id)
            with store.resume(part.id) as run:
                for step in range(1, 6):
                    run.log(step, validation_accuracy=90.0 + 2 * seed, **{"weight_norm/w": 1.0})
                run.log(5, **{"system/cpu": 1.0})
            parts.append(part.id)
        for name, text, verdict in claims:
            measured = {} if verdict == "not measured" else {0: 90.0, 1: 92.0, 2: 97.0}
            group.log_verdict(
                Verdict(name, text, "a book", 94.0, "at least", " %", measured, 90.0, 94.5, verdict)
            )
    one = Visit(browser, workshop.address)
    # Its runs are drawn, and the list at the side says whose lines they are.
    page = one.open(f"/curves?runs={group.id}")
    settled(page, "validation_accuracy")
    assert len(eventually(page, lambda: colours(page, "validation_accuracy"), 2)) == 2
    assert "group of 2 runs" in page.inner_text(f"#sidebar [data-run='{group.id}']")
    page.uncheck(f"#sidebar [data-run='{parts[0]}'] input")
    until(page, f"location.hash.includes('runs={parts[1]}')")
    # Not every view waits for something new to find out what there is.
    page = one.open(f"/system?runs={group.id}")
    page.wait_for_selector("[data-chart='system/cpu'] canvas")
    assert "cores busy" in page.inner_text("[data-chart='system/cpu'] h3")
    page = one.open(f"/layers?runs={group.id}")
    page.wait_for_selector("[data-layer=w] canvas")
    # A group has the means of its runs, in the table and beside others.
    page = one.open("/runs?text=seeds")
    row = page.locator(f"table.runs tr[data-run='{group.id}']")
    row.wait_for()
    assert "2 runs" in row.inner_text()
    assert "91" in row.inner_text()
    page = one.open(f"/compare?runs={parts[0]},{group.id}")
    page.wait_for_selector("text=group of 2 runs")
    cells = page.locator("tr:has(th:text-is('validation_accuracy')) td").all_inner_texts()
    assert [cell.split()[0] for cell in cells] == ["90", "91"]
    # Its claims are those of each of its seeds; what is certain comes first.
    page = one.open(f"/claims?runs={parts[0]}")
    page.wait_for_selector("table.claims")
    counted = page.locator(".claim-counts .badge").all_inner_texts()
    assert counted == ["holds", "holds in part", "refuted", "undecided", "not measured"]
    kinds = page.locator("table.claims .badge").evaluate_all("all => all.map((e) => e.className)")
    assert len(set(kinds)) == 5
    cells = page.locator("table.claims tbody tr").first.locator("td").all_inner_texts()
    assert cells[2].strip() == "92 %"  # the median, as in reports
    assert "90 to 94.5 %" in cells[3]
    page.set_viewport_size({"width": 390, "height": 800})
    assert (
        page.locator("table.claims tbody tr").first.locator("td").nth(3).bounding_box()["x"] < 390
    )
    one.close()


def test_compared_runs_show_what_differs(visit: Begin, served: Served) -> None:
    ids = [served.runs["digits"][0], served.runs["digits"][3]]
    page = visit().open(f"/compare?runs={','.join(ids)}")
    page.wait_for_selector("table.compare")
    names = page.locator("table.compare tbody th[scope=row]").all_inner_texts()
    assert "network" in names
    assert "optimizer.lr" in names
    assert "epochs" not in names
    assert "validation_accuracy" in names
    page.uncheck("text=Only what differs")
    names = page.locator("table.compare tbody th[scope=row]").all_inner_texts()
    assert "epochs" in names


# Looks


@pytest.mark.slow
def test_the_theme_is_chosen_and_kept(visit: Begin, served: Served) -> None:
    page = visit(color_scheme="light").open(f"/curves?{runs_of(served, 'digits', 1)}")
    light = settled(page, "loss")
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    page.wait_for_timeout(300)
    assert page.evaluate(ground) != before
    assert settled(page, "loss") != light
    page.reload()
    page.wait_for_selector("[data-chart=loss] canvas")
    assert page.evaluate(ground) != before
