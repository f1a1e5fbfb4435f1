"""The report of an evaluation in one HTML file: verdict, table, figures, controls, protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .... import viz
from ..baselines import BASELINES
from ..training.recipes import PLANS
from . import figures
from .measure import METRICS
from .results import Evaluation
from .statistics import Interval
from .summary import AGAINST, Line, hidden_degree, summarize
from .verdict import BESIDE, HELD_OUT, verdict

TOGETHER = {
    "ensemble": "several of regulon that differ by their seed",
    "combined": "several of regulon, neighbours, CLR, and what lies near on the genome",
}
DRAWN = 4
"""Methods with curves, beside degree: those with the highest AUROC."""


def report(
    evaluation: Evaluation,
    controls: Mapping[str, Evaluation] | None = None,
    *,
    title: str = "Regulatory edges",
    resamples: int = 2000,
) -> viz.Report:
    """Report an evaluation.

    Args:
        evaluation: of the methods to be compared.
        controls: null controls under the same protocol, by what was done to the data, such as
            "permuted gene labels".
        title: of the page.
        resamples: draws of intervals and tests.

    Example:
        >>> from groundup.apps.grn.baselines import degree, neighbours
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> methods = {"degree": degree, "neighbours": neighbours}
        >>> found = evaluate(example_problem(), methods, "gene", seeds=2)
        >>> [name for name, _ in report(found, resamples=100).sections][:2]
        ['Verdict', 'All methods']
    """
    given = dict(controls or {})
    lines = summarize(evaluation, resamples=resamples)
    null = {name: summarize(control, resamples=resamples) for name, control in given.items()}
    best = next((line.method for line in lines if line.method != AGAINST), lines[0].method)
    drawn = _drawn(lines)
    page = viz.Report(title, evaluation.title())
    page.section("Verdict", verdict(evaluation.protocol, lines, null))
    told = _methods([line.method for line in lines])
    page.section("All methods", _intervals(lines), _metrics(lines), READING, *told)
    page.section(
        "Curves",
        viz.Plot(
            figures.roc(evaluation, drawn),
            "ROC, mean over the seeds. The area below is the AUROC; dashed: chance.",
        ),
        viz.Plot(
            figures.precision_recall(evaluation, drawn),
            "Precision and recall, mean over the seeds; dashed: chance.",
        ),
        viz.Plot(
            figures.calibration(evaluation, drawn[:2]),
            "Calibration: probabilities were fitted on validation pairs (isotonic regression), and "
            "are compared with test pairs here, in tenths of all pairs; dashed: as it should be.",
        ),
    )
    plots = []
    if AGAINST in evaluation.methods and best != AGAINST:
        plots.append(
            viz.Plot(
                figures.degree_and_score(evaluation, best),
                f"Degree against the score of {best}, first seed. If {best} only counted edges, "
                "the points would lie on the diagonal.",
            )
        )
    if _has_tfs(evaluation):
        plots.append(
            viz.Plot(
                figures.by_tf(evaluation, best),
                f"How well {best} tells the targets of each TF with at least {figures.LEAST} edges "
                "among the test pairs of a seed. The dashed line is chance.",
            )
        )
    if plots:
        page.section("By degree and by TF", *plots)
    if null:
        page.section("Null controls", CONTROLS, _controls(lines, null))
    return page.section("Protocol", _protocol(evaluation))


READING = """
Intervals cover the truth 95 times in 100 and come from drawing TFs with all their pairs, since \
pairs of one TF are not independent. The p-value is that of a paired permutation test of the AUROC \
against degree, in which both methods swap the ranks of all pairs of a TF, after Holm's correction.

The AUPRC ratio is the AUPRC over the prevalence: how many times more edges there are among the \
pairs at the top than by chance. Early precision is the share of edges among as many best pairs as \
there are edges; MRR is the mean over the TFs of 1 over the rank of their first edge. Accuracy, F1 \
and probabilities take their threshold and their fit from validation pairs.
"""
HIDDEN = "no method is told of them, and with pairs matched perfectly it would be 0.5"
CONTROLS = """
The same methods and protocol on data without what they are supposed to find. With permuted gene \
labels expression belongs to other genes; in a rewired prior every TF and gene has as many edges \
as before, and other ones.
"""


def _drawn(lines: Sequence[Line]) -> list[str]:
    """Degree, then the best: the first two have the same colours in every figure."""
    chosen = [line.method for line in lines if line.method not in (AGAINST, "majority")][:DRAWN]
    there = [line.method for line in lines if line.method == AGAINST]
    return [*there, *chosen] or [lines[0].method]


def _intervals(lines: Sequence[Line]) -> viz.Table:
    def cell(interval: Interval) -> str:
        return str(interval)

    rows = [
        [
            line.method,
            cell(line.auroc),
            cell(line.auprc),
            "" if line.difference is None else f"{line.difference.value:+.3f}",
            _p(line.adjusted),
        ]
        for line in lines
    ]
    headers = ["Method", "AUROC (95 %)", "AUPRC (95 %)", "AUROC over degree", "p, corrected"]
    return viz.Table(headers, rows, "Against degree, the best first", "lllrr")


def _methods(names: Sequence[str]) -> list[viz.Table]:
    """What the methods of the registry are; others are known to the one who made them."""
    about = {name: _first(method.__doc__) for name, method in BASELINES.items()}
    about |= {name: plan.about for name, plan in PLANS.items()} | TOGETHER
    rows = [[name, about[name]] for name in names if name in about]
    return [viz.Table(["Method", "What it is"], rows, "Methods", "ll")] if rows else []


def _first(text: str | None) -> str:
    return (text or "").partition("\n")[0].removeprefix("Score pairs by ").removesuffix(".")


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _metrics(lines: Sequence[Line]) -> viz.Table:
    names = [name for name in METRICS if name not in ("auroc", "auprc")]
    rows = [[line.method, *(f"{line.means[name]:.3f}" for name in names)] for line in lines]
    headers = ["Method", *(METRICS[name] for name in names)]
    return viz.Table(headers, rows, "Means over the seeds", "l" + "r" * len(names))


def _controls(lines: Sequence[Line], null: Mapping[str, Sequence[Line]]) -> viz.Table:
    found = {name: {line.method: str(line.auroc) for line in given} for name, given in null.items()}
    rows = [
        [line.method, str(line.auroc), *(found[name].get(line.method, "") for name in null)]
        for line in lines
    ]
    words = [name[:1].upper() + name[1:] for name in null]
    return viz.Table(["Method", "As measured", *words], rows, "AUROC (95 %)")


def _has_tfs(evaluation: Evaluation) -> bool:
    try:
        figures.by_tf(evaluation, evaluation.methods[0])
    except ValueError:
        return False
    return True


def _protocol(evaluation: Evaluation) -> viz.Table:
    asked = evaluation.protocol
    pairs = [len(one.labels) for one in evaluation.asked.values()]
    rows = [
        ["Held out", HELD_OUT[asked.kind][3:]],
        ["Beside the edges", BESIDE[asked.negatives]],
        ["Test pairs of a seed", f"{min(pairs):,} to {max(pairs):,}"],
        ["Prevalence", f"{evaluation.values(evaluation.methods[0], 'prevalence').mean():.4f}"],
        ["AUROC of a gene's edges in the test", f"{hidden_degree(evaluation):.3f}; {HIDDEN}"],
        ["Seeds", ", ".join(map(str, evaluation.seeds))],
        ["Expression", f"{asked.genes:,} genes, {asked.samples:,} samples"],
        ["Prior", f"{asked.edges:,} edges of {asked.tfs:,} TFs"],
        ["Hash of the prior", asked.prior],
        ["Hash of all data", asked.data],
    ]
    return viz.Table(["Setting", "Value"], rows)
