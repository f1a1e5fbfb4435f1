"""Reports and the page of results: complete, self-contained, written from what runs left."""

import json
import re
import threading

import numpy as np
import pytest

from groundup.experiments import evidence, results_page
from groundup.experiments.config import changed
from groundup.experiments.experiment import ExperimentError, entries, from_module
from groundup.experiments.lesson import blocks
from groundup.experiments.report import (
    comparison_table,
    differences,
    learning_curves,
    write_comparison,
    write_report,
)
from groundup.experiments.runner import results_of, run_seeds
from groundup.experiments.statistics import ANY, Interval
from groundup.experiments.tables import metrics_table, number
from groundup.runs import StorageError
from groundup.viz import Code, Formula, Table


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
    for words in ("lr.plain", "0.01", "plain: loss", "second minus first", "plain/slope"):
        assert words in page, words
    curves = {text: figure for _, figure, text in learning_curves(several, store)}
    lines = [line.get_label() for line in curves["steep: loss by epoch."].axes[0].lines]
    assert lines == [
        f"{name}, {part}" for name in several for part in ("training", "validation")
    ], "a line for each run, in a plot for each condition"
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


def test_a_formula_of_a_lesson_is_set_and_one_beyond_it_is_shown_as_it_is():
    found = blocks("Title\n\n$$\\sum_k w_k x_k$$\n\n$$\\begin{cases} 1 \\end{cases}$$\n")
    assert found == [Formula("\\sum_k w_k x_k"), Code("\\begin{cases} 1 \\end{cases}")]


def test_the_page_of_results_keeps_what_is_not_measured_anew(results, store, tmp_path):
    path = tmp_path / "docs" / "results.md"
    record = results_page.record(results, store, path)
    old = {**record, "experiment": "digits", "title": "From elsewhere"}
    results_page.write(path, {"digits": old, "unknown": old}, entries())
    kept = results_page.read(path)
    assert list(kept) == ["digits"]
    kept["line"] = record
    results_page.write(path, kept, entries())
    text = path.read_text(encoding="utf-8")
    assert text.index("## Lines: is a slope learned?") < text.index("## From elsewhere")
    for words in (
        "Claims of: a book.",
        "the plain slope is at least 30 | ≥ 30.00 |",
        "**refuted**",
        "`groundup verify line`",
        "seeds: 1 to 3",
        "## Not measured yet",
        "- `broken`",
        "The code has changed since",
    ):
        assert words in text, words
    assert text.count("The code has changed since") == 1
    stored = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert [item["experiment"] for item in stored["experiments"]] == ["line", "digits"]


def test_the_page_is_a_function_of_what_was_measured(results, store, tmp_path):
    for folder in ("a", "b"):
        path = tmp_path / folder / "results.md"
        records = {"line": results_page.record(results, store, path)}
        results_page.write(path, records, entries())
    first, second = (
        {p.relative_to(tmp_path / folder): p.read_bytes() for p in (tmp_path / folder).rglob("*.*")}
        for folder in ("a", "b")
    )
    assert len(first) == 5, "the page, its data and three figures"
    assert first == second


def test_sources_have_a_column_where_they_differ(results, store, tmp_path):
    record = results_page.record(results, store, tmp_path / "results.md")
    record["claims"][0]["source"] = "a letter"
    table = results_page.claims(record)
    assert "Claims of" not in table
    assert "the plain slope is at least 30 | a book | ≥ 30.00 |" in table


def test_figures_and_what_a_report_says_are_kept_beside_the_page(results, store, tmp_path):
    path = tmp_path / "results.md"
    record = json.loads(json.dumps(results_page.record(results, store, path)))
    results_page.write(path, {"line": record}, entries())
    folder = tmp_path / "results" / "line"
    names = ["learning-1.svg", "learning-2.svg", "figures-1.svg"]
    assert evidence.files(record) == names
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)
    text = path.read_text(encoding="utf-8")
    for name in names:
        assert (folder / name).read_text(encoding="utf-8").count("<svg") == 1
        assert f"(results/line/{name})" in text
    (learning, figures, slopes) = record["sections"]
    assert [part["title"] for part in record["sections"]] == ["Learning", "Figures", "Slopes"]
    assert len(learning["blocks"]) == 2
    assert figures["blocks"][0]["caption"] == "How it grew (seed 1)."
    assert slopes["blocks"][0]["text"].startswith("They are ")


def test_figures_that_the_page_no_longer_speaks_of_are_removed(results, store, tmp_path):
    path = tmp_path / "results.md"
    record = results_page.record(results, store, path)
    folder = tmp_path / "results" / "line"
    (folder / "old-1.svg").write_text("<svg/>")
    (folder / "notes.txt").write_text("someone's own")
    results_page.write(path, {"line": record}, entries())
    assert not (folder / "old-1.svg").exists()
    (folder / "notes.txt").unlink()
    results_page.write(path, {}, entries())
    assert not folder.exists()


def test_a_figure_that_is_too_large_to_commit_is_spoken_of(results, store, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "LARGEST", 100)
    record = results_page.record(results, store, tmp_path / "results.md")
    assert evidence.files(record) == []
    assert "the report of the run shows it" in record["sections"][0]["blocks"][0]["text"]
    assert not list((tmp_path / "results").rglob("*.svg"))


def test_tables_and_listings_are_kept(results, store, tmp_path, monkeypatch):
    blocks = [Table(["a", "b"], [["x", 1], ["y", None]], caption="T"), Code("a = 1", "C")]
    object.__setattr__(results.experiment, "sections", lambda _: [("More", blocks)])
    *_, more = evidence.keep(results, store, tmp_path)
    assert more["blocks"] == [
        {"kind": "table", "headers": ["a", "b"], "rows": [["x", "1"], ["y", ""]], "caption": "T"},
        {"kind": "code", "text": "a = 1", "caption": "C"},
    ]


@pytest.mark.parametrize(
    "text", ["", "{", '{"format": 1}', "[]", '{"format": 99, "experiments": []}']
)
def test_a_page_that_cannot_be_read_is_not_begun_anew_by_itself(text, tmp_path):
    """What other verifications measured would be lost without a word."""
    path = tmp_path / "results.md"
    assert results_page.read(path) == {}
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(StorageError, match="remove it to begin the page anew"):
        results_page.read(path)
    (tmp_path / "results.json").write_text('{"format": 0, "experiments": []}')
    assert results_page.read(path) == {}, "the content of an older version is measured again"


def test_verifications_at_once_keep_each_others_results(tmp_path):
    path = tmp_path / "docs" / "results.md"
    written = []

    def verify(name):
        for _ in range(20):
            with results_page.alone(path):
                before = json.loads(path.read_text()) if path.exists() else []
                path.write_text(json.dumps([*before, name]))
                written.append(name)

    threads = [threading.Thread(target=verify, args=[i]) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads(path.read_text()) == written
    assert len(written) == 60


# An interval that is cut to the values that are possible covers the true figure as often as before.
def test_intervals_are_cut_to_what_a_measure_can_be(line, results, store, monkeypatch):
    # From three seeds, Student's interval is wider than what was seen.
    metrics = ("plain/slope", "steep/slope")
    seen = {m: (min(results.column(m)), max(results.column(m))) for m in metrics}
    monkeypatch.setattr(line.module, "RANGES", {**seen, "test_loss": (0, 9)}, raising=False)
    bounded = results_of(store, results.group.id)
    assert bounded.experiment.possible("plain/test_loss") == Interval(0, 9)
    assert bounded.experiment.possible("plain/validation_loss") == ANY
    rows = {row[0]: row[1] for row in metrics_table(bounded)[1]}
    for metric in metrics:
        low, high = map(number, seen[metric])
        assert rows[metric.partition("/")[0]].endswith(f"({low} to {high})")
    # A difference of two such measures, and one of them alone.
    (low, high), (below, above) = seen["steep/slope"], seen["plain/slope"]
    before, after = results.findings, bounded.findings
    assert after[0].interval == before[0].interval.within(Interval(low - above, high - below))
    assert after[1].interval == Interval(below, above)
    assert [found.p for found in after] == [found.p for found in before], "tests do not use it"
    page = write_report(bounded, store).read_text(encoding="utf-8")
    assert "cut to the values that are possible" in page
    assert f"({number(low)} to {number(high)})" in page


def test_a_metric_out_of_its_range_is_refused(line, store, monkeypatch):
    monkeypatch.setattr(line.module, "RANGES", {"steep/slope": (0, 1)}, False)
    bounded = from_module(line.module, line.entry)
    with pytest.raises(ExperimentError, match=r"'steep/slope'; its RANGES say 0 to 1"):
        run_seeds(bounded, bounded.config(), (1,), store)


@pytest.mark.parametrize("pair", [(1, 0), (0, 0), (0, float("nan")), (1,)])
def test_a_range_without_sense_is_refused(line, monkeypatch, pair):
    monkeypatch.setattr(line.module, "RANGES", {"slope": pair}, False)
    with pytest.raises(ExperimentError, match="'slope' is"):
        from_module(line.module, line.entry)
