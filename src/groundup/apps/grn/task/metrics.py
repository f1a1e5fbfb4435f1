r"""How well scores tell regulatory edges from other pairs.

With $s$ the scores, $P$ positives and $U$ other pairs:

$$\mathrm{AUROC} = \Pr(s_P > s_U) + \tfrac12 \Pr(s_P = s_U), \qquad
\mathrm{AUPRC} = \sum_k (R_k - R_{k-1})\, P_k$$

(Fawcett, 2006; the second is the average precision, Davis and Goadrich, 2006). Pairs with equal
scores have no order: they enter together, so a constant score has an AUROC of 0.5 and an AUPRC of
the prevalence, whatever the order of the pairs. The AUPRC of chance is the prevalence, so their
ratio says how many times better than chance a ranking is; early precision takes as many pairs as
there are positives (BEELINE: Pratapa et al., 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
Metric = Callable[[NDArray[np.bool_], Numbers], float]


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Numbers]:
    truth, values = np.asarray(labels), np.asarray(scores, np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError(
            f"labels have shape {truth.shape}, scores {values.shape}; expected the same length"
        )
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels: expected 0 for other pairs and 1 for edges")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values)):,} scores are NaN or infinite")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        raise ValueError(
            f"{np.count_nonzero(truth):,} edges and {np.count_nonzero(~truth):,} other pairs; "
            "expected at least one of each"
        )
    return truth, values


def ranks(values: Numbers) -> Numbers:
    """Ranks from 1 on; equal values share their mean.

    Args:
        values: of anything.

    Shape:
        values: (pairs,) -> (pairs,).

    Example:
        >>> ranks(np.array([0.2, 0.7, 0.2])).tolist()
        [1.5, 3.0, 1.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _groups(truth: NDArray[np.bool_], values: Numbers) -> tuple[Numbers, Numbers]:
    """Edges and pairs among the best, for each distinct score from the highest on."""
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    edges = np.cumsum(truth[order])[ends]
    return edges.astype(np.float64), (ends + 1).astype(np.float64)


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The probability that an edge is scored above another pair; equal scores count half.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.

    Shape:
        labels, scores: (pairs,).

    Raises:
        ValueError: lengths that differ, labels of one kind only, scores that are not finite.

    Example:
        >>> auroc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
        0.875
    """
    truth, values = _checked(labels, scores)
    edges = np.count_nonzero(truth)
    others = len(truth) - edges
    return float((ranks(values)[truth].sum() - edges * (edges + 1) / 2) / (edges * others))


def auprc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Average precision: the area under precision over recall, as a sum of steps.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.

    Shape:
        labels, scores: (pairs,).

    Raises:
        ValueError: as `auroc`.

    Example:
        >>> round(auprc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4]), 4), auprc([1, 0, 0, 0], [3, 3, 3, 3])
        (0.8333, 0.25)
    """
    edges, pairs = _groups(*_checked(labels, scores))
    recall = np.diff(edges, prepend=0) / edges[-1]
    return float((recall * edges / pairs).sum())


def precision_at(labels: ArrayLike, scores: ArrayLike, count: int) -> float:
    """The share of edges among the best pairs; of equal scores the expected share.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.
        count: of the best pairs; all if there are fewer.

    Shape:
        labels, scores: (pairs,).

    Raises:
        ValueError: as `auroc`, or a count below 1.

    Example:
        >>> precision_at([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4], 2)
        0.75
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected at least 1")
    truth, values = _checked(labels, scores)
    count = min(count, len(truth))
    edges, pairs = _groups(truth, values)
    found = np.interp(count, np.append(0.0, pairs), np.append(0.0, edges))
    return float(found / count)


def early_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """The share of edges among as many best pairs as there are edges (BEELINE's EPR, unscaled).

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.

    Shape:
        labels, scores: (pairs,).

    Example:
        >>> early_precision([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
        0.75
    """
    return precision_at(labels, scores, int(np.count_nonzero(np.asarray(labels))))


def by_group(metric: Metric, labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> Numbers:
    """A metric within each group that has both kinds of pairs, such as the AUROC of each TF.

    Args:
        metric: of labels and scores.
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.
        groups: of which group each pair is, such as the number of its TF.

    Shape:
        labels, scores, groups: (pairs,) -> (groups with both kinds,), in the order of the groups.

    Example:
        >>> by_group(auroc, [1, 0, 1, 0, 1], [0.9, 0.1, 0.2, 0.4, 0.3], [7, 7, 8, 8, 9])
        array([1., 0.])
    """
    truth, values = _checked(labels, scores)
    kind = np.asarray(groups)
    return np.array(
        [
            metric(truth[rows], values[rows])
            for rows in _rows_of(kind)
            if truth[rows].any() and not truth[rows].all()
        ]
    )


def _rows_of(kind: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    order = np.argsort(kind, kind="stable")
    cuts = np.flatnonzero(kind[order][1:] != kind[order][:-1]) + 1
    return np.split(order, cuts)


def mean_reciprocal_rank(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> float:
    """The mean over the TFs of 1 / rank of the first edge among its pairs.

    Pairs that are scored like it count half.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.
        groups: the TF of each pair; those without an edge are left out.

    Shape:
        labels, scores, groups: (pairs,).

    Example:
        >>> mean_reciprocal_rank([1, 0, 0, 1], [0.9, 0.1, 0.5, 0.4], [0, 0, 1, 1])
        0.75
    """
    truth, values = _checked(labels, scores)
    found = []
    for rows in _rows_of(np.asarray(groups)):
        if truth[rows].any():
            best = values[rows][truth[rows]].max()
            others = values[rows][~truth[rows]]
            above, equal = np.count_nonzero(others > best), np.count_nonzero(others == best)
            found.append(1 / (1 + above + equal / 2))
    return float(np.mean(found))


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """How far probabilities are from frequencies, on average over the pairs (Guo et al., 2017).

    Args:
        labels: 1 for edges, 0 for other pairs.
        probabilities: of an edge, from 0 to 1.
        bins: of equal width.

    Shape:
        labels, probabilities: (pairs,).

    Raises:
        ValueError: as `auroc`, or probabilities outside of 0 to 1.

    Example:
        >>> round(calibration_error([1, 0, 1, 1], [0.8, 0.2, 0.8, 0.8]), 3)
        0.2
    """
    truth, values = _checked(labels, probabilities)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"probabilities from {values.min():g} to {values.max():g}, expected 0 to 1"
        )
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, values - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(values))


def best_threshold(labels: ArrayLike, scores: ArrayLike) -> float:
    """The score from which on pairs are called edges, so that most pairs are right.

    Take it from validation pairs; the middle between two scores, or an end if all or none are.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.

    Shape:
        labels, scores: (pairs,).

    Example:
        >>> best_threshold([1, 0, 1, 0], [0.9, 0.1, 0.6, 0.4])
        0.5
    """
    truth, values = _checked(labels, scores)
    edges, pairs = _groups(truth, values)
    right = np.append(0.0, edges) + (len(truth) - edges[-1]) - np.append(0.0, pairs - edges)
    levels = np.unique(values)[::-1]
    cuts = np.concatenate([[levels[0] + 1], (levels[1:] + levels[:-1]) / 2, [levels[-1] - 1]])
    return float(cuts[np.argmax(right)])


def at_threshold(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Mapping[str, float]:
    """Accuracy, precision, recall and F1 of calling pairs with at least this score edges.

    Args:
        labels: 1 for edges, 0 for other pairs.
        scores: the higher, the more likely an edge.
        threshold: chosen on other pairs, by `best_threshold`.

    Shape:
        labels, scores: (pairs,).

    Example:
        >>> at_threshold([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4], 0.4)["recall"]
        1.0
    """
    truth, values = _checked(labels, scores)
    called = values >= threshold
    hits = int(np.count_nonzero(called & truth))
    precision = hits / max(int(np.count_nonzero(called)), 1)
    recall = hits / int(np.count_nonzero(truth))
    f1 = 0.0 if hits == 0 else 2 * precision * recall / (precision + recall)
    accuracy = float(np.mean(called == truth))
    return {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
