"""Reports and the page of results: complete, self-contained, written from what runs left."""

import json
import re

import numpy as np
import pytest

from groundup.experiments import results_page
from groundup.experiments.config import changed
from groundup.experiments.experiment import entries
from groundup.experiments.lesson import blocks
from groundup.experiments.report import (
    comparison_table,
    differences,
    learning_curves,
    write_comparison,
    write_report,
)
from groundup.experiments.runner import results_of, run_seeds
from groundup.experiments.tables import metrics_table, number
from groundup.viz import Code


@pytest.fixture
def results(line, store):
    return run_seeds(line, line.config(epochs=5), (1, 2, 3), store)


def loads_something(page):
    """Addresses that a page would fetch."""
    return re.findall(r"(?:src|href)=[\"']?(?!#|data:)[^\"'\s>]+", page)


def test_a_report_has_everything_and_needs_nothing_from_elsewhere(results, store):
    path = write_report(results, store)
    assert path == results.group.folder / "report.html"
    page = path.read_text(encoding="utf-8")
    assert not loads_something(page)
    for words in (
        "Lines: is a slope learned?",
        "The question",
        "loss = mean over i",
        "the plain slope is at least 30",
        "refuted",
        "squared error (validation)",
        "How it grew (seed 1).",
        "They are ",  # of its own section
        "epochs 5",
        results.group.id[:5],
    ):
        assert words in page, words
    assert page.count("<svg") >= 3
    assert (path.parent / "figures" / "loss.svg").exists()


def test_a_report_of_a_run_that_was_stopped_says_so(line, store):
    failing = changed(line.config(), {"fail_at": 2})
    with pytest.raises(RuntimeError):
        run_seeds(line, failing, (1, 2), store)
    (group,) = [info for info in store.runs() if info.seed is None]
    page = write_report(results_of(store, group.id), store).read_text(encoding="utf-8")
    assert "2 seeds, 1 of them complete" in page


def test_a_report_of_a_run_that_no_experiment_made(store):
    with store.start("my-script", {"depth": 3}) as run:
        for step in range(5):
            run.log(step, **{"error": 1 / (step + 1)})
        run.log_figure("dot", "<svg xmlns='http://www.w3.org/2000/svg' width='9pt'/>")
    page = write_report(results_of(store, run.id), store).read_text(encoding="utf-8")
    assert "depth" in page
    assert page.count("<svg") == 2


def test_numbers_that_are_no_numbers_do_not_stop_a_report(line, store):
    with store.start("my-script") as run:
        for step, value in enumerate([1.0, 0.5, np.nan, np.inf, 0.1]):
            run.log(step, error=value, gone=np.nan)
    figures = learning_curves({"": results_of(store, run.id)}, store)
    assert [name for name, _, _ in figures] == ["error"]
    assert figures[0][1].axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5]


def test_curves_are_what_was_logged(results, store):
    curves = {name: figure for name, figure, _ in learning_curves({"": results}, store)}
    assert set(curves) == {"loss", "thought"}
    lines = {line.get_label(): line.get_ydata() for line in curves["loss"].axes[0].lines}
    assert set(lines) == {
        "plain, training",
        "plain, validation",
        "steep, training",
        "steep, validation",
    }
    last = np.mean([metrics["steep/validation_loss"] for metrics in results.metrics.values()])
    assert lines["steep, validation"][-1] == pytest.approx(last)


def test_a_table_has_conditions_down_and_measures_across(results):
    headers, rows = metrics_table(results)
    assert headers == ["", "slope", "squared error (validation)", "test loss"]
    assert [row[0] for row in rows] == ["plain", "steep"]
    middle = np.median([metrics["plain/slope"] for metrics in results.metrics.values()])
    assert rows[0][1].startswith(number(middle))


def test_a_comparison_shows_what_differs_and_the_paired_difference(line, results, store):
    other = run_seeds(
        line, changed(line.config(), {"lr.plain": "0.01", "epochs": 5}), (1, 2, 3), store
    )
    several = {"first": results, "second": other}
    path = write_comparison(several, store, store.folder / "compare.html")
    page = path.read_text(encoding="utf-8")
    assert not loads_something(page)
    for words in ("lr.plain", "0.01", "first, plain", "second minus first", "plain/slope"):
        assert words in page, words
    assert differences({n: r.group.config for n, r in several.items()}) == [
        ["lr.plain", "0.1", "0.01"]
    ]
    rows = {row[0]: row for row in comparison_table(several)[1]}
    gaps = [other.metrics[s]["plain/slope"] - results.metrics[s]["plain/slope"] for s in (1, 2, 3)]
    assert rows["plain/slope"][3].startswith(number(np.mean(gaps)))
    assert rows["steep/slope"][3] == "0"


def test_a_lesson_becomes_paragraphs_lists_and_listings():
    found = blocks(
        "Title\n\n## Why\n\nIt is `so`\nand **so**:\n\n    a = 1\n\n    b = 2\n\n"
        "- one\n  more\n- two\n"
    )
    assert found[0] == "Why"
    assert found[1] == "It is so and so:"
    assert found[2] == Code("a = 1\n\nb = 2")
    assert found[3] == "- one more\n\n- two"


def test_the_page_of_results_keeps_what_is_not_measured_anew(results, tmp_path):
    path = tmp_path / "docs" / "results.md"
    old = {**results_page.record(results), "experiment": "digits", "title": "From elsewhere"}
    results_page.write(path, {"digits": old, "unknown": old}, entries())
    kept = results_page.read(path)
    assert list(kept) == ["digits"]
    kept["line"] = results_page.record(results)
    results_page.write(path, kept, entries())
    text = path.read_text(encoding="utf-8")
    assert text.index("## Lines: is a slope learned?") < text.index("## From elsewhere")
    for words in (
        "the plain slope is at least 30 | a book | ≥ 30.00 |",
        "**refuted**",
        "`groundup verify line`",
        "seeds: 1, 2, 3",
        "## Not measured yet",
        "- `broken`",
        "The code has changed since",
    ):
        assert words in text, words
    assert text.count("The code has changed since") == 1
    stored = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [item["experiment"] for item in stored["experiments"]] == ["line", "digits"]


def test_the_page_is_a_function_of_what_was_measured(results, tmp_path):
    records = {"line": results_page.record(results)}
    for name in ("a.md", "b.md"):
        results_page.write(tmp_path / name, records, entries())
    assert (tmp_path / "a.md").read_bytes() == (tmp_path / "b.md").read_bytes()


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', '{"format": 99, "experiments": []}'])
def test_a_page_that_cannot_be_read_is_begun_anew(text, tmp_path):
    (tmp_path / "results.json").write_text(text)
    assert results_page.read(tmp_path / "results.md") == {}
