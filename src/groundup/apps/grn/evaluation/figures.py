"""Figures of an evaluation: ROC, precision and recall, calibration, degree and score, by TF."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .... import viz
from ....viz.figure import INK, PALETTE, new_figure
from ..task.metrics import auroc, by_group, ranks
from .results import Evaluation
from .summary import AGAINST

Numbers = NDArray[np.float64]

GRID = np.linspace(0, 1, 101)
BINS = 10
POINTS = 600
"""Points drawn of each scatter plot."""
NAMED = 30
"""TFs with a name, those with most edges."""
LEAST = 5
"""Edges that a TF needs for an AUROC of its own that says something."""


def roc(evaluation: Evaluation, methods: Sequence[str]) -> Figure:
    """True against false positive rates, averaged over the seeds.

    Args:
        evaluation: has the methods.
        methods: their names.

    Example:
        >>> roc(_small(), ["degree"]).axes[0].get_xlabel()
        'Unlabelled pairs above the threshold (share)'
    """
    lines = {method: _mean(evaluation, method, _roc) for method in methods}
    figure = viz.curves(
        lines,
        "Unlabelled pairs above the threshold (share)",
        "Edges above it (share)",
        x=GRID,
        possible=(0, 1),
    )
    return _with_line(figure, [0, 1], [0, 1])


def precision_recall(evaluation: Evaluation, methods: Sequence[str]) -> Figure:
    """Precision against recall, averaged over the seeds.

    Args:
        evaluation: has the methods.
        methods: their names.

    Example:
        >>> precision_recall(_small(), ["degree"]).axes[0].get_xlabel()
        'Edges above the threshold (share)'
    """
    lines = {method: _mean(evaluation, method, _precision) for method in methods}
    prevalence = evaluation.values(evaluation.methods[0], "prevalence").mean()
    figure = viz.curves(
        lines,
        "Edges above the threshold (share)",
        "Edges among them (share)",
        x=GRID[1:],
        possible=(0, 1),
    )
    return _with_line(figure, [0, 1], [prevalence, prevalence])


def calibration(evaluation: Evaluation, methods: Sequence[str]) -> Figure:
    """How often pairs of a probability are edges, in groups of as many pairs each.

    Args:
        evaluation: has the methods.
        methods: their names.

    Example:
        >>> calibration(_small(), ["degree"]).axes[0].get_ylabel()
        'Edges among them (share)'
    """
    lines: dict[str, Numbers] = {}
    places: dict[str, Numbers] = {}
    for method in methods:
        runs = evaluation.of(method)
        given = np.concatenate([run.probabilities for run in runs])
        truth = np.concatenate([evaluation.asked[run.seed].labels for run in runs])
        cuts = np.unique(np.quantile(given, np.linspace(0, 1, BINS + 1)))
        group = np.searchsorted(cuts[1:-1], given, "right")
        counts = np.bincount(group)
        there = counts > 0
        places[method] = np.bincount(group, given)[there] / counts[there]
        lines[method] = np.bincount(group, truth)[there] / counts[there]
    figure = viz.curves(lines, "Probability given", "Edges among them (share)", x=places)
    figure.axes[0].set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return _with_line(figure, [0, 1], [0, 1])


def degree_and_score(evaluation: Evaluation, method: str) -> Figure:
    """Ranks by degree and by a method, of pairs of the first seed.

    Args:
        evaluation: has the method and ``degree``.
        method: its name.

    Example:
        >>> degree_and_score(_small(), "neighbours").axes[0].get_xlabel()
        'Rank by degree (%)'
    """
    seed = evaluation.seeds[0]
    labels = evaluation.asked[seed].labels
    random = np.random.default_rng(0)
    some = random.permutation(len(labels))[:POINTS]
    of_degree, of_method = (
        100 * ranks(evaluation.runs[name, seed].scores)[some] / len(labels)
        for name in (AGAINST, method)
    )
    # Many pairs have the same degrees, and would hide one another.
    of_degree = of_degree + random.uniform(-1.5, 1.5, len(some))
    with viz.style():
        figure = new_figure(
            f"Ranks of {len(some)} pairs by degree and by {method}, edges and unlabelled pairs.",
            height=3.6,
        )
        axes = figure.subplots()
        for name, kept, marker, color in (
            ("edge", labels[some], "o", PALETTE[0]),
            ("unlabelled", ~labels[some], "x", PALETTE[1]),
        ):
            axes.plot(
                of_degree[kept],
                of_method[kept],
                linestyle="",
                markersize=3.5,
                alpha=0.6,
                label=name,
                marker=marker,
                color=color,
            )
        axes.set(
            xlabel="Rank by degree (%)", ylabel=f"Rank by {method} (%)",
            xlim=(-3, 103), ylim=(-3, 103),
        )  # fmt: skip
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, handlelength=1)
    return figure


def by_tf(evaluation: Evaluation, method: str) -> Figure:
    """The AUROC of each TF with enough edges, averaged over the seeds, by their number.

    Args:
        evaluation: has the method.
        method: its name.

    Example:
        >>> by_tf(_small(), "neighbours").axes[0].get_ylabel()
        'AUROC of neighbours'
    """
    counts = np.zeros(len(evaluation.tf_names))
    total, seeds = np.zeros_like(counts), np.zeros_like(counts)
    for run in evaluation.of(method):
        asked = evaluation.asked[run.seed]
        own = np.bincount(asked.pairs[:, 0], asked.labels, minlength=len(counts))
        enough = np.isin(asked.pairs[:, 0], np.flatnonzero(own >= LEAST))
        if not enough.any():
            continue
        tfs, labels = asked.pairs[enough, 0], asked.labels[enough]
        both = [tf for tf in np.unique(tfs) if 0 < labels[tfs == tf].mean() < 1]
        kept = np.isin(tfs, both)
        total[both] += by_group(auroc, labels[kept], run.scores[enough][kept], tfs[kept])
        counts[both] += own[both]
        seeds[both] += 1
    shown = np.flatnonzero(seeds)
    if len(shown) == 0:
        raise ValueError(f"no TF has {LEAST} edges among the test pairs of a seed")
    shown = shown[np.argsort(-counts[shown], kind="stable")]
    each = counts[shown] / seeds[shown]
    figure = viz.scatter(
        np.stack([np.log10(each), total[shown] / seeds[shown]], axis=1),
        labels=[
            evaluation.tf_names[tf] if place < NAMED else ""
            for place, tf in enumerate(shown.tolist())
        ],
        x_label="Edges of the TF among the test pairs of a seed (logarithmic)",
        y_label=f"AUROC of {method}",
        width=6.4,
        height=3.8,
    )
    ticks = [5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    ticks = [tick for tick in ticks if 0.8 * each.min() <= tick <= 1.25 * each.max()]
    figure.axes[0].set_xticks(np.log10(ticks), [f"{tick:,}" for tick in ticks])
    return _with_line(figure, list(figure.axes[0].get_xlim()), [0.5, 0.5])


def _with_line(figure: Figure, x: Sequence[float], y: Sequence[float]) -> Figure:
    """A dashed line to compare with: chance, or what should be."""
    axes = figure.axes[0]
    limits = axes.get_xlim()
    axes.plot(x, y, color=INK, linewidth=0.8, linestyle="--", zorder=1)
    axes.set_xlim(limits)
    return figure


def _mean(
    evaluation: Evaluation, method: str, curve: Callable[[NDArray[np.bool_], Numbers], Numbers]
) -> Numbers:
    return np.mean(
        [curve(evaluation.asked[run.seed].labels, run.scores) for run in evaluation.of(method)],
        axis=0,
    )


def _steps(labels: NDArray[np.bool_], scores: Numbers) -> tuple[Numbers, Numbers]:
    """Shares of edges and of unlabelled pairs above each threshold, from the highest one on."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    edges = np.append(0, np.cumsum(labels[order])[ends])
    others = np.append(0, np.cumsum(~labels[order])[ends])
    return edges.astype(np.float64), others.astype(np.float64)


def _roc(labels: NDArray[np.bool_], scores: Numbers) -> Numbers:
    edges, others = _steps(labels, scores)
    return np.interp(GRID, others / others[-1], edges / edges[-1])


def _precision(labels: NDArray[np.bool_], scores: Numbers) -> Numbers:
    """Precision at each recall; between two thresholds pairs come in as they are mixed there."""
    edges, others = _steps(labels, scores)
    recall = edges / edges[-1]
    found = GRID[1:] * edges[-1]
    beside = np.interp(GRID[1:], recall, others)
    return found / (found + beside)


def _small() -> Evaluation:
    """For the examples."""
    from ..baselines import degree, neighbours
    from ..task.examples import example_problem
    from .evaluate import evaluate

    return evaluate(
        example_problem(), {"degree": degree, "neighbours": neighbours}, "edge", seeds=1
    )
