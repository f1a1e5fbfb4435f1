"""What each technique of the documents is worth: three models, each without one thing at a time.

The optimised model and the two-tower are asked as the documents ask, single edges beside random
pairs; the project's own model as this project asks, operons held out beside matched pairs. All runs
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
from rich.progress import track

from groundup.apps.grn.task.negatives import Negatives
from groundup.apps.grn.task.splits import Kind
from groundup.apps.grn.tuning.ablate import Ablation, ablate
from groundup.experiments.regulation.asking import problem_of

ASKED: Sequence[tuple[str, Kind, Negatives]] = (
    ("optimised", "edge", "uniform"),
    ("two-tower", "edge", "uniform"),
    ("regulon", "group", "matched"),
)
SURE = 0.05
"""A difference is told as one below this p-value, after Holm's correction."""


def table(found: Sequence[Ablation]) -> str:
    """A row for each technique of each model, the one that is missed most first."""
    head = ("model", "without", "AUROC", "difference", "higher in", "p", "told apart")
    rows = []
    for ablation in found:
        evaluation = ablation.evaluation
        protocol = evaluation.protocol
        asked = f"{HELD_OUT[protocol.kind]} held out, {BESIDE[protocol.negatives]}"
        auroc = evaluation.values("whole", "auroc").mean()
        rows.append([f"`{ablation.model}`; {asked}", "", f"{auroc:.3f}", "", "", "", ""])
        for line in sorted(ablation.contrasts, key=lambda line: line.difference.value):
            sure = line.adjusted < SURE
            rows.append(
                [
                    "",
                    line.method.removeprefix("no-").replace("-", " "),
                    f"{line.one:.3f}",
                    f"{round(line.difference.value, 3) + 0.0:+.3f}",
                    f"{line.above} of {line.seeds}",
                    f"{line.adjusted:.2g}",
                    ("worse" if line.difference.value < 0 else "better") if sure else "",
                ]
            )
    return markdown_table(head, rows)


def document(found: Sequence[Ablation], source: str) -> str:
    """The section of the page."""
    one = found[0].evaluation
    return f"""\
{table(found)}

AUROC on test pairs, the mean over the seeds ({", ".join(map(str, one.seeds))}); *higher in*: in
how many of them it is higher than with all techniques; *p*: permutation of TFs, after Holm's
correction. Nothing was tuned anew without a technique. Made by
`python benchmarks/grn_ablations.py --data {source} --seeds {len(one.seeds)} --write`."""


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/ecoli"), help="with expression")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("grn-ablations"), help="keeps all runs")
    parser.add_argument("--write", action="store_true", help="write docs/grn.md")
    options = parser.parse_args()
    problem = problem_of(str(options.data))
    found = [
        ablate(problem, name, None, kind, negatives, options.seeds, folder=options.folder / name)
        for name, kind, negatives in track(ASKED, "Ablations")
    ]
    print(table(found))
    if options.write:
        write_section("grn-ablations", document(found, f"data/{options.data.resolve().name}"), PAGE)


if __name__ == "__main__":
    main()
