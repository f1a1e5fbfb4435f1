"""What each technique is worth: three models, each without one thing at a time.

The project's own model is asked as this project asks, operons held out beside matched pairs; the
documents' two-tower and optimised model as they ask, single edges beside random pairs. All runs
are kept in a folder, so that the same command goes on after Ctrl-C. One of the three alone is what
`groundup grn ablate` does.

    groundup grn data get ecoli
    python benchmarks/grn_ablations.py --data data/ecoli            # prints the table
    python benchmarks/grn_ablations.py --data data/ecoli --write    # and writes docs/grn.md
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from grn_protocols import BESIDE, HELD_OUT, PAGE
from harness import markdown_table, write_section
from rich.progress import Progress

from groundup.apps.grn.task.negatives import Negatives
from groundup.apps.grn.task.splits import Kind
from groundup.apps.grn.tuning.ablate import Ablation, ablate
from groundup.experiments.regulation.asking import problem_of

ASKED: Sequence[tuple[str, Kind, Negatives]] = (
    ("regulon", "group", "matched"),
    ("two-tower", "edge", "uniform"),
    ("optimised", "edge", "uniform"),
)
SURE = 0.05
"""A difference is told as one below this p-value, after Holm's correction."""


def table(ablation: Ablation) -> str:
    """A row for each technique, the one that is missed most first."""
    head = ("without", "AUROC", "difference", "higher in", "p", "told apart")
    rows = [
        ["(nothing)", f"{ablation.evaluation.values('whole', 'auroc').mean():.3f}", "", "", "", ""]
    ]
    for line in sorted(ablation.contrasts, key=lambda line: line.difference.value):
        sure = line.adjusted < SURE
        rows.append(
            [
                line.method.removeprefix("no-").replace("-", " "),
                f"{line.one:.3f}",
                f"{round(line.difference.value, 3) + 0.0:+.3f}",
                f"{line.above} of {line.seeds}",
                f"{line.adjusted:.2g}",
                ("worse" if line.difference.value < 0 else "better") if sure else "",
            ]
        )
    return markdown_table(head, rows)


def document(ablation: Ablation, source: str) -> str:
    """The section of the page."""
    evaluation = ablation.evaluation
    protocol, seeds = evaluation.protocol, len(evaluation.seeds)
    command = f"python benchmarks/grn_ablations.py --data {source}"
    return f"""\
`{ablation.model}`, {HELD_OUT[protocol.kind]} held out beside {BESIDE[protocol.negatives]}, {seeds}
seeds: `{command} --models {ablation.model} --seeds {seeds} --write`

{table(ablation)}"""


def main() -> None:
    """Measure, print, and write if asked to."""
    known = [name for name, *_ in ASKED]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/ecoli"), help="with expression")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", default=",".join(known), help="some of the three")
    parser.add_argument("--folder", type=Path, default=Path("grn-ablations"), help="keeps all runs")
    parser.add_argument("--write", action="store_true", help="write docs/grn.md")
    options = parser.parse_args()
    if unknown := set(options.models.split(",")) - set(known):
        parser.error(f"--models {', '.join(unknown)}: expected some of {', '.join(known)}")
    problem = problem_of(str(options.data))
    for name, kind, negatives in ASKED:
        if name not in options.models.split(","):
            continue
        folder = options.folder / name
        with Progress() as bar:
            task = bar.add_task(name, total=None)
            found = ablate(
                problem, name, None, kind, negatives, options.seeds, folder=folder,
                progress=lambda *told, bar=bar, task=task: bar.advance(task),
            )  # fmt: skip
        print(table(found))
        if options.write:
            text = document(found, f"data/{options.data.resolve().name}")
            write_section(f"grn-ablation-{name}", text, PAGE)


if __name__ == "__main__":
    main()
