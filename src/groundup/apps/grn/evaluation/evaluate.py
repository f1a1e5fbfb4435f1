"""Ask methods the same questions, seed by seed.

For each seed the pairs are split and the unlabelled ones drawn; a method is given what is left to
see of the problem, and scores the validation and the test pairs. Each pair of a method and a seed
is a run of its own, which a folder keeps, so that an evaluation goes on where it was ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..baselines import BASELINES
from ..errors import GRNError
from ..progress import SHARES, Progress, listening, share_of
from ..registry import methods_named
from ..task.negatives import Negatives
from ..task.problem import Method, Problem, Scorer
from ..task.questions import Questions, questions_of
from ..task.splits import Kind
from .measure import measure
from .record import Record
from .results import Asked, Evaluation, Protocol, Run

BLIND = {"trees": BASELINES["trees"]}
"""Methods that see no edge and take long: with the seed 0 they serve all seeds, and what they found
of a gene for one is there for the next."""
_NAME = re.compile(r"[\w.+-]+")


def evaluate(
    problem: Problem,
    methods: Mapping[str, Method] | Sequence[str],
    kind: Kind,
    negatives: Negatives = "matched",
    seeds: int | Sequence[int] = 5,
    *,
    ratio: float = 1.0,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure methods.

    Args:
        problem: all that is known; methods see but the part that is not asked about.
        methods: by name, or names of `registry.METHODS`. A folder knows them by their names alone:
            one with other settings needs another name.
        kind: what is held out.
        negatives: how unlabelled pairs are drawn, for validation and test alike.
        seeds: how many, from 0 on, or which; each is another split, other unlabelled pairs and
            another seed of the methods, but of those in `BLIND`.
        ratio: unlabelled pairs for each edge; without meaning for ``all``.
        folder: keeps runs; those that it has are not made again.
        progress: called with what is done and what is to be done, in thousandths of runs, and the
            run that is made.

    Returns:
        Runs of these methods and seeds.

    Raises:
        GRNError: no method or seed, a name that cannot name a file, a folder of another protocol,
            or scores that are not finite.
        ValueError: as `split_pairs` and `draw_unlabelled`; nothing is written then.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> found = evaluate(example_problem(), ["degree"], "gene", "matched", seeds=1)
        >>> print(found.title())
        held out by gene, matched unlabelled pairs, 1 seed; 174 edges, 12 TFs, 80 genes, 30 samples
    """
    if not isinstance(methods, Mapping):
        methods = methods_named(methods)
    wanted = list(range(seeds)) if isinstance(seeds, int) else list(dict.fromkeys(seeds))
    if not methods or not wanted:
        raise GRNError(f"{len(methods)} methods and {len(wanted)} seeds, expected at least one")
    if wrong := [name for name in methods if not _NAME.fullmatch(name)]:
        raise GRNError(
            f"method {wrong[0]!r}: expected a name of letters, digits, dots, plus, minus and "
            "underscores, since it names a file"
        )
    protocol = Protocol.of(problem, kind, negatives, ratio)
    # All are drawn before the folder is begun: of what cannot be asked nothing is written.
    drawn = questions_of(problem, kind, negatives, wanted, ratio=ratio)
    record = None if folder is None else Record.open(folder, protocol, problem.tf_names)
    asked: dict[int, Asked] = {}
    found: dict[tuple[str, int], Run] = {}
    served: dict[str, Scorer] = {}
    total = len(wanted) * len(methods)
    for seed, questions in drawn.items():
        asked[seed] = Asked(questions.test, questions.test_labels)
        if record is not None:
            record.keep_asked(seed, asked[seed])
        for name, method in methods.items():
            run = None if record is None else record.read_run(name, seed)
            if run is None:
                tell = progress and share_of(progress, len(found), total, f"{name}, seed {seed}")
                if tell is not None:
                    tell(0, 1, "")
                with listening(tell):
                    known = problem.known(questions.split)
                    if BLIND.get(name) is method:
                        scorer = served.setdefault(name, method(known, 0))
                    else:
                        scorer = method(known, seed)
                    run = _run(questions, name, scorer)
                if record is not None:
                    record.write_run(run)
            found[name, seed] = run
    if progress is not None:
        progress(SHARES * total, SHARES * total, "evaluated")
    ordered = {(name, seed): found[name, seed] for name in methods for seed in wanted}
    return Evaluation(protocol, problem.tf_names, asked, ordered)


def _run(questions: Questions, name: str, scorer: Scorer) -> Run:
    scores = []
    for pairs in (questions.validation, questions.test):
        given = np.asarray(scorer.score(pairs), np.float64)
        if given.shape != (len(pairs),):
            raise GRNError(
                f"{name}, seed {questions.seed}: scores of shape {given.shape} for {len(pairs):,} "
                "pairs, expected one for each"
            )
        if not np.isfinite(given).all():
            raise GRNError(
                f"{name}, seed {questions.seed}: {np.count_nonzero(~np.isfinite(given)):,} of "
                f"{len(pairs):,} scores are NaN or infinite"
            )
        scores.append(given)
    metrics, probabilities = measure(questions, *scores)
    return Run(name, questions.seed, scores[1], probabilities, metrics)
