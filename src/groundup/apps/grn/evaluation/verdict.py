"""What the numbers of an evaluation say, in plain words; a function of the numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .results import Protocol
from .summary import AGAINST, Line

HELD_OUT = {
    "edge": "On held-out edges, whose TF and gene both have other edges in training",
    "gene": "On held-out genes, none of whose edges was in training",
    "group": "On held-out groups of genes, such as operons, none of whose edges was in training",
    "tf": "On held-out TFs, none of whose targets was in training",
    "both": "On pairs of a held-out TF and a held-out gene",
}
BESIDE = {
    "uniform": "unlabelled pairs drawn at random",
    "matched": "unlabelled pairs matched in degree",
    "all": "all unlabelled pairs",
}
ALARM = 0.95
"""An AUROC from which on a leak is likelier than a discovery."""
SHORTCUT = 0.6
"""An AUROC of degree from which on it explains much of what others reach."""
NEAR = 0.03
"""How far above 0.5 the AUROC of a control may be before it is remarked upon."""


def verdict(
    protocol: Protocol, lines: Sequence[Line], controls: Mapping[str, Sequence[Line]] | None = None
) -> str:
    """Say what came out.

    Args:
        protocol: what was asked.
        lines: of `summarize`, the best first.
        controls: lines of null controls by what was done, such as "permuted gene labels".

    Returns:
        Paragraphs, parted by blank lines.

    Example:
        >>> from groundup.apps.grn.baselines import degree, neighbours
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.evaluation.summary import summarize
        >>> methods = {"degree": degree, "neighbours": neighbours}
        >>> found = evaluate(example_problem(), methods, "gene", seeds=2)
        >>> print(verdict(found.protocol, summarize(found)).split(",")[0])
        On held-out genes
    """
    best = next((line for line in lines if line.method != AGAINST), lines[0])
    degree = next((line for line in lines if line.method == AGAINST), None)
    parts = [_best(protocol, best, degree), _others(lines, best)]
    parts += [_warning(protocol, best, degree), _controls(best, controls or {})]
    parts.append(
        "Unlabelled pairs are pairs that the prior does not have, not pairs that are known not to "
        "be edges: some of them will turn out to be edges, so that the figures are rather too low "
        "than too high on that account."
    )
    return "\n\n".join(filter(None, parts))


def _best(protocol: Protocol, best: Line, degree: Line | None) -> str:
    text = (
        f"{HELD_OUT[protocol.kind]}, with {BESIDE[protocol.negatives]}, {best.method} has an AUROC "
        f"of {best.auroc}: of an edge and an unlabelled pair it scores the edge higher "
        f"{100 * best.auroc.value:.0f} times in 100, where guessing does 50 times."
    )
    if degree is None or best.difference is None or best.adjusted is None:
        return f"{text} Degree alone was not evaluated, so what expression adds is not known."
    text += f" Degree alone, which counts edges and sees no expression, has {degree.auroc}."
    gain = best.difference.value
    if best.adjusted > 0.05:
        place = "lies above" if best.auroc.low > 0.5 else "is not above"
        return (
            f"{text} The two cannot be told apart ({_p(best.adjusted)}); the interval of "
            f"{best.method} {place} 0.5, which is chance."
        )
    word = "above" if gain > 0 else "below"
    return f"{text} {best.method} is {abs(gain):.3f} {word} it ({_p(best.adjusted)})."


def _p(p: float) -> str:
    told = f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
    return f"{told}, paired permutation test by TF, corrected for all methods"


def _others(lines: Sequence[Line], best: Line) -> str:
    groups: dict[str, list[str]] = {"better": [], "alike": [], "worse": []}
    for line in lines:
        if line is best or line.difference is None or line.adjusted is None:
            continue
        if line.adjusted > 0.05:
            groups["alike"].append(line.method)
        else:
            groups["better" if line.difference.value > 0 else "worse"].append(line.method)
    said = [
        f"{words}: {', '.join(groups[kind])}."
        for kind, words in (
            ("better", "Others that are better than degree alone"),
            ("alike", "Not to be told from degree alone"),
            ("worse", "Worse than degree alone"),
        )
        if groups[kind]
    ]
    return " ".join(said)


def _warning(protocol: Protocol, best: Line, degree: Line | None) -> str:
    if degree is not None and degree.auroc.value >= SHORTCUT and protocol.negatives != "matched":
        return (
            f"Counting edges alone reaches {degree.auroc.value:.3f} here, because most TFs and "
            f"genes among {BESIDE[protocol.negatives]} have few edges. A figure under this "
            "protocol says little of expression; ask again with matched pairs."
        )
    if best.auroc.value >= ALARM:
        return (
            f"An AUROC of {best.auroc.value:.3f} is more than expression is known to tell of "
            "regulation. Look for a leak first: the same edges in two sources, copies of a gene, "
            "labels in the features."
        )
    return ""


def _controls(best: Line, controls: Mapping[str, Sequence[Line]]) -> str:
    said = []
    for name, lines in controls.items():
        line = next((line for line in lines if line.method == best.method), None)
        if line is None:
            continue
        far = line.auroc.value > 0.5 + NEAR and line.auroc.low > 0.5
        said.append(
            f"With {name} {best.method} has {line.auroc}"
            + (
                ", which is more than chance: so much does not come from what was taken away."
                if far
                else ", about what chance gives, as it should be."
            )
        )
    return " ".join(said)
