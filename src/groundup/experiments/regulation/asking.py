"""What the experiments on regulation share: the data, and methods asked seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from groundup.apps.grn.data.datasets import load_dataset
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.evaluation.measure import measure
from groundup.apps.grn.task.negatives import Negatives
from groundup.apps.grn.task.problem import Method, Problem, pose
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.task.splits import Kind
from groundup.experiments import Trial

SHOWN = ("auroc", "auprc_ratio", "accuracy", "f1")


@cache
def problem_of(folder: str) -> Problem:
    """A data set that was fetched, as a problem.

    Raises:
        GRNError: the folder holds none.

    Example:
        >>> problem_of("nowhere/ecoli")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: nowhere/ecoli: ... data get ecoli --folder nowhere`
    """
    place = Path(folder)
    if not place.is_dir():
        raise GRNError(
            f"{folder}: there is no such data set; fetch it with "
            f"`groundup grn data get {place.name} --folder {place.parent}`"
        )
    data = load_dataset(place)
    if data.expression is None:
        raise GRNError(f"{folder}: a prior without expression; expected ecoli or bsubtilis")
    return pose(data.expression, data.prior, groups=data.groups, places=data.places)


def asked(
    run: Trial,
    problem: Problem,
    methods: Mapping[str, Method],
    kind: Kind,
    negatives: Negatives,
    seed: int,
    label: str = "",
) -> dict[str, float]:
    """Metrics of methods that learn from the training part and are asked about the test part.

    Args:
        run: shows which method is at work.
        problem: all that is known.
        methods: by name.
        kind: what is held out.
        negatives: how unlabelled pairs are drawn.
        seed: of split, unlabelled pairs and methods.
        label: comes before the name of a method, in the names of metrics.

    Example:
        >>> from groundup.apps.grn.baselines import degree
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> class Quiet:
        ...     def track(self, items, description):
        ...         return items
        >>> found = asked(Quiet(), example_problem(), {"degree": degree}, "gene", "uniform", 0)
        >>> sorted(found)[2]
        'degree/auroc_test'
    """
    questions = draw_questions(problem, kind, negatives, seed)
    known = problem.known(questions.split)
    found: dict[str, float] = {}
    for name in run.track(list(methods), f"held out by {kind}"):
        scorer = methods[name](known, seed)
        scores = scorer.score(questions.validation), scorer.score(questions.test)
        metrics, _ = measure(questions, *scores)
        for metric in SHOWN:
            percent = 100 if metric in ("accuracy", "f1") else 1
            found[f"{label}{name}/{metric}_test"] = percent * metrics[metric]
    return found
