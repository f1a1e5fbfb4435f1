"""The report says what the numbers say, whatever they are. R13.4, R13.5."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from groundup import viz
from groundup.apps.grn.baselines import clr, degree, majority, neighbours
from groundup.apps.grn.evaluation import figures
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.evaluation.report import report
from groundup.apps.grn.evaluation.results import Evaluation, Protocol
from groundup.apps.grn.evaluation.statistics import Difference, Interval
from groundup.apps.grn.evaluation.summary import Line, summarize
from groundup.apps.grn.evaluation.verdict import verdict
from groundup.apps.grn.task.controls import permuted_genes, rewired
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auprc, auroc
from groundup.apps.grn.task.problem import Method
from groundup.apps.grn.task.splits import Kind

METHODS: dict[str, Method] = {
    "majority": majority,
    "degree": degree,
    "clr": clr,
    "neighbours": neighbours,
}
PROBLEM = example_problem(8, genes=160)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(PROBLEM, METHODS, "gene", "matched", seeds=2)


def _line(
    method: str, value: float, difference: float | None = None, p: float | None = None
) -> Line:
    interval = Interval(value, value - 0.02, value + 0.02)
    against = None if difference is None or p is None else Difference(difference, p)
    return Line(method, interval, interval, {}, against, p)


def _protocol(kind: str = "gene", negatives: str = "matched") -> Protocol:
    return Protocol(kind, negatives, 1.0, "", "", 9, 99, 30, 90)  # type: ignore[arg-type]


def test_lines_are_sorted_and_adjusted(evaluation: Evaluation) -> None:
    lines = summarize(evaluation, resamples=99)
    values = [line.auroc.value for line in lines]
    assert values == sorted(values, reverse=True)
    for line in lines:
        assert line.auroc.value == pytest.approx(line.means["auroc"])
        assert line.auprc.value == pytest.approx(line.means["auprc"])
        if line.method == "degree":
            assert line.difference is None
        else:
            assert line.difference is not None
            assert line.adjusted is not None
            assert line.difference.p <= line.adjusted <= 3 * line.difference.p
            gap = line.means["auroc"] - evaluation.values("degree", "auroc").mean()
            assert line.difference.value == pytest.approx(gap)


def test_a_line_does_not_depend_on_the_other_methods(evaluation: Evaluation) -> None:
    alone = evaluate(PROBLEM, {"clr": clr}, "gene", "matched", seeds=2)
    (line,) = summarize(alone, resamples=99)
    same = next(x for x in summarize(evaluation, resamples=99) if x.method == "clr")
    assert (line.auroc, line.auprc) == (same.auroc, same.auprc)
    assert line.difference is None


def test_the_verdict_names_the_winner_and_by_how_much() -> None:
    lines = [_line("own", 0.8, 0.3, 0.002), _line("clr", 0.55, 0.05, 0.2), _line("degree", 0.5)]
    text = verdict(_protocol(), lines)
    assert "own has an AUROC of 0.800 (0.780 to 0.820)" in text
    assert "own is 0.300 above it (p = 0.002" in text
    assert "80 times in 100" in text
    assert "Not to be told from degree alone: clr." in text
    assert "leak" not in text


def test_the_verdict_does_not_claim_what_chance_gives() -> None:
    lines = [_line("own", 0.52, 0.02, 0.3), _line("degree", 0.5)]
    assert "The two cannot be told apart (p = 0.3" in verdict(_protocol(), lines)
    lines = [_line("degree", 0.9), _line("own", 0.6, -0.3, 0.001)]
    text = verdict(_protocol("edge", "uniform"), lines)
    assert "own is 0.300 below it" in text
    assert "Counting edges alone reaches 0.900" in text


def test_the_verdict_is_alarmed_by_what_is_too_good() -> None:
    text = verdict(_protocol(), [_line("own", 0.97, 0.47, 0.001), _line("degree", 0.5)])
    assert "Look for a leak first" in text


def test_the_verdict_without_degree_says_so() -> None:
    assert "Degree alone was not evaluated" in verdict(_protocol(), [_line("own", 0.7)])


def test_the_verdict_tells_sound_controls_from_others() -> None:
    lines = [_line("own", 0.8, 0.3, 0.001), _line("degree", 0.5)]
    text = verdict(_protocol(), lines, {"noise": [_line("own", 0.51)]})
    assert "With noise own has 0.510 (0.490 to 0.530), about what chance gives" in text
    text = verdict(_protocol(), lines, {"noise": [_line("own", 0.65)]})
    assert "0.650 (0.630 to 0.670), which is more than chance" in text


def test_the_report_is_one_page_and_the_same_each_time(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    controls = {
        "permuted gene labels": evaluate(permuted_genes(PROBLEM, 0), METHODS, "gene", seeds=2),
        "a rewired prior": evaluate(rewired(PROBLEM, 0), METHODS, "gene", seeds=2),
    }
    one, other = (report(evaluation, controls, resamples=60).to_html() for _ in range(2))
    assert one == other
    titles = re.findall(r'<h2 id="section-\d+">([^<]*)', one)
    assert titles == [
        "Verdict",
        "All methods",
        "Curves",
        "By degree and by TF",
        "Null controls",
        "Protocol",
    ]
    assert one.count("<figure") == 5
    assert evaluation.protocol.prior in one
    path = report(evaluation, resamples=60).write(tmp_path / "report.html")
    assert "Null controls" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["degree"], "tf"), (["neighbours"], "gene"), (["majority", "degree"], "tf")],
)
def test_a_report_of_few_methods(names: list[str], kind: Kind) -> None:
    few = {name: METHODS[name] for name in names}
    found = evaluate(example_problem(8, tfs=20), few, kind, seeds=1)
    assert "<h1>" in report(found, resamples=60).to_html()


def test_curves_have_the_areas_that_are_reported() -> None:
    random = np.random.default_rng(0)
    for scores in (random.normal(size=3000), random.integers(0, 5, 3000).astype(float)):
        labels = random.random(3000) < 0.3
        shifted = scores + labels
        area = np.trapezoid(figures._roc(labels, shifted), figures.GRID)
        assert area == pytest.approx(auroc(labels, shifted), abs=0.01)
    scores = random.normal(size=3000) + labels
    mean = figures._precision(labels, scores).mean()
    assert mean == pytest.approx(auprc(labels, scores), abs=0.02)


def test_by_tf_needs_a_tf_with_edges() -> None:
    found = evaluate(
        example_problem(1, tfs=4, genes=30), {"degree": degree}, "gene", "uniform", seeds=1
    )
    with pytest.raises(ValueError, match="no TF has 5 edges"):
        figures.by_tf(found, "degree")


def test_the_report_says_what_methods_are_that_are_known_here() -> None:
    mine = evaluate(PROBLEM, {"clr": clr, "mine": degree}, "gene", "matched", seeds=1)
    html = report(mine, resamples=50).to_html()
    told = html.partition("What it is")[2].partition("</table>")[0]
    assert "how their mutual information stands out" in told
    assert "mine" not in told
    alone = evaluate(PROBLEM, {"mine": degree}, "gene", "matched", seeds=1)
    assert "What it is" not in report(alone, resamples=50).to_html()


def test_degree_and_the_best_have_the_same_colours_in_every_figure(evaluation: Evaluation) -> None:
    page = report(evaluation, resamples=50)
    (curves,) = [blocks for title, blocks in page.sections if title == "Curves"]
    roc, _, calibration = (plot.figure for plot in curves if isinstance(plot, viz.Plot))

    def colours(figure: Figure | str) -> dict[str, object]:
        assert isinstance(figure, Figure)
        return {
            str(line.get_label()): line.get_color()
            for line in figure.axes[0].lines
            if not str(line.get_label()).startswith("_")
        }

    some = colours(calibration)
    assert "degree" in some
    assert len(some) == 2
    assert some.items() <= colours(roc).items()
