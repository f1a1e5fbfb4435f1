"""What an AUROC is worth under each protocol: five ways to hold out, three to draw other pairs.

For each split and seed the methods learn once and are asked three times. Two of them are the same
network, trained beside pairs drawn evenly and beside pairs matched in degree: under the first
protocol the one looks better, under the second the other. All runs are kept in a folder, so that
the same command goes on after Ctrl-C, and `groundup grn report` makes a page of any part of it.

    groundup grn data get ecoli
    python benchmarks/grn_protocols.py --data data/ecoli            # prints the table
    python benchmarks/grn_protocols.py --data data/ecoli --write    # and writes docs/grn.md
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from harness import DOCUMENT, markdown_table, write_section
from matplotlib.figure import Figure

from groundup import viz
from groundup.apps.grn.baselines import degree, neighbours
from groundup.apps.grn.evaluation import figures
from groundup.apps.grn.evaluation.measure import measure
from groundup.apps.grn.evaluation.record import Record
from groundup.apps.grn.evaluation.results import Asked, Evaluation, Protocol, Run
from groundup.apps.grn.task.negatives import NEGATIVES, Negatives
from groundup.apps.grn.task.problem import Method, Problem
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.task.splits import KINDS, Kind
from groundup.apps.grn.training.recipes import PLANS
from groundup.apps.grn.use.methods import ByLogOdds, method
from groundup.experiments.regulation.asking import problem_of
from groundup.viz.figure import INK, line_style, new_figure

PAGE = DOCUMENT.parent / "grn.md"
PLOTS = DOCUMENT.parent / "_static"
UNIFORM = replace(PLANS["regulon"].recipe, negatives="uniform")
COMBINED = lru_cache(maxsize=1)(method("combined"))
METHODS: Mapping[str, Method] = {
    "degree": degree,
    "neighbours": neighbours,
    "regulon": method("regulon"),
    "regulon-uniform": method("regulon", UNIFORM),
    "combined": COMBINED,
    "combined+degree": lambda known, seed: ByLogOdds(COMBINED(known, seed)),
}
NAMES = {
    "degree": "counting edges alone",
    "neighbours": "nearest neighbours in expression",
    "regulon": "regulon",
    "regulon-uniform": "regulon, trained beside random pairs",
    "combined": "combined, with places on the genome",
    "combined+degree": "combined, with the degrees",
}
LOOKS = {"degree": 0, "neighbours": 1, "regulon": 2, "regulon-uniform": 2}
LOOKS |= {"combined": 3, "combined+degree": 3}
"""Numbers of colours and marks."""
HELD_OUT = {
    "edge": "edges", "gene": "genes", "group": "operons", "tf": "TFs", "both": "TFs and genes"
}  # fmt: skip
BESIDE = {"uniform": "random pairs", "matched": "matched pairs", "all": "all other pairs"}
SHOWN: tuple[Kind, Negatives] = "group", "matched"
"""The protocol whose figures explain the report."""
Key = tuple[Kind, Negatives]


def ask(
    problem: Problem,
    methods: Mapping[str, Method],
    kind: Kind,
    seed: int,
    records: Sequence[Record],
) -> list[Asked]:
    """Let methods learn, and ask them with each kind of other pairs; what is kept stays.

    Args:
        problem: all that is known.
        methods: by name.
        kind: what is held out.
        seed: of the split, the pairs and the methods.
        records: where runs are kept, in the order of `NEGATIVES`.

    Returns:
        the test pairs, in the same order.
    """
    every = [draw_questions(problem, kind, negatives, seed) for negatives in NEGATIVES]
    asked = [Asked(questions.test, questions.test_labels) for questions in every]
    for record, pairs in zip(records, asked, strict=True):
        record.keep_asked(seed, pairs)
    known = problem.known(every[0].split)
    for name, learn in methods.items():
        if all(record.read_run(name, seed) is not None for record in records):
            continue
        print(f"{HELD_OUT[kind]} held out, seed {seed}: {name}", flush=True)
        scorer = learn(known, seed)
        for record, questions in zip(records, every, strict=True):
            scores = [
                np.asarray(scorer.score(pairs), np.float64)
                for pairs in (questions.validation, questions.test)
            ]
            metrics, probabilities = measure(questions, *scores)
            record.write_run(Run(name, seed, scores[1], probabilities, metrics))
    return asked


def evaluations(
    problem: Problem, methods: Mapping[str, Method], seeds: Sequence[int], folder: Path
) -> dict[Key, Evaluation]:
    """Runs of all methods and seeds, by protocol."""
    found: dict[Key, Evaluation] = {}
    for kind in KINDS:
        protocols = [Protocol.of(problem, kind, negatives, 1.0) for negatives in NEGATIVES]
        records = [
            Record.open(folder / f"{kind}-{asked.negatives}", asked, problem.tf_names)
            for asked in protocols
        ]
        pairs = {seed: ask(problem, methods, kind, seed, records) for seed in seeds}
        for place, (asked, record) in enumerate(zip(protocols, records, strict=True)):
            runs = {
                (name, seed): run
                for name in methods
                for seed in seeds
                if (run := record.read_run(name, seed)) is not None
            }
            of = {seed: pairs[seed][place] for seed in seeds}
            found[kind, asked.negatives] = Evaluation(asked, problem.tf_names, of, runs)
    return found


def table(found: Mapping[Key, Evaluation]) -> str:
    """AUROC, and for all pairs the AUPRC over the prevalence too; means over the seeds."""
    head = ["held out", "beside the edges", *NAMES.values()]
    body = []
    for negatives in NEGATIVES:
        for kind in KINDS:
            one = found[kind, negatives]
            cells = [f"{one.values(name, 'auroc').mean():.2f}" for name in NAMES]
            if negatives == "all":
                ratios = [one.values(name, "auprc_ratio").mean() for name in NAMES]
                cells = [f"{a} ({b:.1f})" for a, b in zip(cells, ratios, strict=True)]
            body.append([HELD_OUT[kind], BESIDE[negatives], *cells])
    return markdown_table(head, body)


def picture(found: Mapping[Key, Evaluation]) -> Figure:
    """A panel for each kind of other pairs, a row for each split, a mark for each method."""
    said = "; ".join(
        f"{HELD_OUT[kind]} held out beside {BESIDE[negatives]}: "
        + ", ".join(f"{NAMES[name]} {one.values(name, 'auroc').mean():.2f}" for name in NAMES)
        for (kind, negatives), one in found.items()
    )
    with viz.style():
        figure = new_figure(f"AUROC under each protocol. {said}.", width=8.4, height=4.3)
        panels = figure.subplots(1, len(NEGATIVES), sharex=True, sharey=True)
        for axes, negatives in zip(panels, NEGATIVES, strict=True):
            axes.axvline(0.5, color=INK, linestyle="--", linewidth=0.9)
            for index, name in enumerate(NAMES):
                look = line_style(LOOKS[name]) | {"linestyle": "", "markersize": 5.5}
                if name in ("regulon-uniform", "combined+degree"):
                    look["markerfacecolor"] = "white"
                values = [found[kind, negatives].values(name, "auroc") for kind in KINDS]
                rows = np.arange(len(KINDS)) + 0.13 * (index - 2.5)
                ends = np.array([(each.min(), each.max()) for each in values])
                axes.hlines(rows, *ends.T, color=look["color"], linewidth=1)
                means = [each.mean() for each in values]
                axes.plot(means, rows, label=NAMES[name], **look)
            axes.set_title(f"beside {BESIDE[negatives]}", fontsize=10)
            axes.set_xlabel("AUROC")
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(KINDS)), [f"{HELD_OUT[kind]} held out" for kind in KINDS])
        panels[0].set(ylim=(len(KINDS) - 0.5, -0.5), xlim=(0.38, 1.02))
        panels[0].set_xticks(np.arange(4, 11, 2) / 10)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def document(found: Mapping[Key, Evaluation], source: str) -> str:
    """The section of the page."""
    one = found[SHOWN]
    asked = one.protocol
    described = "AUROC of counting edges, neighbours, regulon trained in two ways, and combined"
    return f"""\
![{described}, under fifteen protocols](_static/grn-protocols.svg)

{table(found)}

AUROC, the mean over the seeds ({", ".join(map(str, one.seeds))}); in the picture lines go from the
lowest seed to the highest. Among all other pairs, the AUPRC over the prevalence stands in
parentheses. {asked.edges:,} edges, {asked.tfs} TFs, {asked.genes:,} genes, {asked.samples} samples.
Made, with the figures below, by
`python benchmarks/grn_protocols.py --data {source} --seeds {len(one.seeds)} --write`."""


def draw(found: Mapping[Key, Evaluation]) -> dict[str, Figure]:
    """The figures of the page, by the names of their files."""
    one = found[SHOWN]
    some = ["degree", "combined", "regulon", "neighbours"]
    return {
        "grn-protocols": picture(found),
        "grn-roc": figures.roc(one, some),
        "grn-precision": figures.precision_recall(
            found[SHOWN[0], "all"], [*some[:2], "combined+degree", "regulon-uniform"]
        ),
        "grn-calibration": figures.calibration(one, some[:2]),
        "grn-degree": figures.degree_and_score(one, "combined"),
        "grn-tf": figures.by_tf(one, "combined"),
    }


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/ecoli"), help="with expression")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("grn-protocols"), help="keeps all runs")
    parser.add_argument("--write", action="store_true", help="write docs/grn.md and its figures")
    options = parser.parse_args()
    problem = problem_of(str(options.data))
    found = evaluations(problem, METHODS, range(options.seeds), options.folder)
    print(table(found))
    if options.write:
        for name, figure in draw(found).items():
            viz.save(figure, PLOTS / f"{name}.svg")
        source = f"data/{options.data.resolve().name}"
        write_section("grn-protocols", document(found, source), PAGE)


if __name__ == "__main__":
    main()
