"""How many requests have to be forwarded, and how many local answers are wrong.

The requests of CLINC150 go through a mind as they would through `finch serve`, once each, or drawn
again and again by Zipf's law, or with a change of answers in the middle. Every run is kept in a
folder, so that the same command goes on after Ctrl-C.

    python benchmarks/finch_forwarded.py              # prints the tables
    python benchmarks/finch_forwarded.py --write      # and writes docs/finch.md with its figures

BANKING77 (Casanueva et al. 2020, CC BY 4.0) is not in the package. With `--banking77 FOLDER`, where
its two files `train.csv` and `test.csv` are as their authors publish them, its requests are sent
instead of those of CLINC150, once each, and a section of its own is written.
"""

from __future__ import annotations

import argparse
import csv
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from harness import DOCUMENT, markdown_table, write_section

from groundup import viz
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.rehearsal.clinc150 import CREDIT, load_clinc150
from groundup.apps.finch.rehearsal.evaluate import Evaluation, Run, evaluate
from groundup.apps.finch.rehearsal.replay import PART
from groundup.apps.finch.rehearsal.streams import Log, changed, repeated, shuffled
from groundup.apps.finch.service.keeper import as_good

PAGE = DOCUMENT.parent / "finch.md"
PLOTS = DOCUMENT.parent / "_static"
DELTA = 0.05
PAIRS = load_clinc150()
TRAFFIC: Mapping[str, Callable[[int], Log]] = {
    "once": lambda seed: shuffled(PAIRS, seed),
    "repeated": lambda seed: repeated(PAIRS, len(PAIRS), seed),
    "changed": lambda seed: changed(shuffled(PAIRS, seed), seed)[0],
}
ALL = (
    "forward all", "exact cache", "semantic cache", "neighbours", "bayes", "linear", "students",
    "cascade",
)  # fmt: skip
METHODS: Mapping[str, Sequence[str]] = {
    "once": ALL,
    "repeated": ("exact cache", "students", "cascade"),
    "changed": ("students", "cascade"),
}
TITLES = {
    "forward all": "everything forwarded",
    "exact cache": "exact cache",
    "semantic cache": "semantic cache, similarity at least 0.8",
    "neighbours": "nearest neighbour, guarded",
    "bayes": "naive Bayes, guarded",
    "linear": "linear model, guarded",
    "students": "the students (neighbours, Bayes, linear, exact), guarded",
    "cascade": "the cascade (students and transformers), guarded",
}


def load_banking77(folder: Path) -> list[tuple[str, str]]:
    """All 13,083 requests to a bank with their intents: the parts for training and for testing."""
    pairs = []
    for name, rows in (("train.csv", 10_003), ("test.csv", 3_080)):
        if not (folder / name).is_file():
            raise SystemExit(
                f"{folder / name} is not there: --banking77 takes the folder with train.csv and "
                "test.csv of BANKING77, as in github.com/PolyAI-LDN/task-specific-datasets"
            )
        with (folder / name).open(encoding="utf-8", newline="") as file:
            part = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        if len(part) != rows:
            raise SystemExit(f"{folder / name} has {len(part)} requests instead of {rows}")
        pairs += part
    return pairs


def runs(
    traffic: str,
    log: Callable[[int], Log],
    methods: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
) -> list[Run]:
    """Runs by method and seed; what the folder has is not run again."""
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for method in methods:
        for seed in seeds:
            path = folder / f"{traffic}-{method.replace(' ', '-')}-{seed}.json"
            if not path.exists():
                made = evaluate(log, [method], [seed], MindSettings(delta=DELTA), as_good)
                part = path.with_suffix(".part")
                part.write_text(made.to_json(), encoding="utf-8")
                part.replace(path)
            found += Evaluation.from_json(path.read_text(encoding="utf-8")).runs
            every = found[-1].tally.all
            print(f"{traffic}, {method}, seed {seed}: {every.local_share:.1%}, {every.error:.2%}")
    return found


def share(values: Sequence[float], digits: int = 1) -> str:
    """The mean in percent, and the lowest and the highest."""
    low, mean, high = (100 * value for value in (min(values), float(np.mean(values)), max(values)))
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(found: Sequence[Run]) -> str:
    """A row for each method."""
    head = (
        "who answers here", "answered here, %", "of these wrong, %", "last thousand forwarded, %",
    )  # fmt: skip
    body = []
    for method in dict.fromkeys(run.method for run in found):
        tallies = [run.tally for run in found if run.method == method]
        whole = [[part for part in tally.parts if part.requests == PART][-1] for tally in tallies]
        served = any(tally.all.local for tally in tallies)
        body.append(
            [
                TITLES[method],
                share([tally.all.local_share for tally in tallies]),
                share([tally.all.error for tally in tallies], 2) if served else "",
                share([1 - part.local_share for part in whole], 0),
            ]
        )
    return markdown_table(head, body)


def bank_document(found: Sequence[Run], seeds: int) -> str:
    """The section of the page on BANKING77."""
    return f"""\
BANKING77 (Casanueva et al., 2020), CC BY 4.0: 13,083 requests of 77 kinds, all to a bank, so that
many kinds are near to each other; the rest as above:

{table(found)}

Made by `python benchmarks/finch_forwarded.py --banking77 FOLDER --seeds {seeds} --write` with the
two files of that set, which are not in the package."""


def documents_claim(found: Sequence[Run]) -> str:
    """Whether the forward rate falls from all to 60 and to 5 %."""
    mine = [run.tally for run in found if run.method == "cascade"]
    below = [
        next((n for n, part in enumerate(tally.parts) if part.local_share >= 0.4), None)
        for tally in mine
    ]
    least = min(1 - part.local_share for tally in mine for part in tally.parts[:-1])
    floor = np.mean([tally.parts[-2].audits / tally.parts[-2].requests for tally in mine])
    reached = [n for n in below if n is not None]
    first, last = (min(reached) + 1, max(reached) + 1) if reached else (0, 0)
    when = f"in thousand {first}" if first == last else f"in thousands {first} to {last}"
    when = when if reached else "never"
    return (
        "*Guarded* are those whose threshold audits hold; the caches serve what they find. The "
        "documents hope for all requests forwarded, then 60 %, then 5 %. Less than 60 % are "
        f"forwarded for the first time {when}; 5 % are not reached: the least in any thousand is "
        f"{100 * least:.0f} %, of which audits alone are {100 * floor:.1f}."
    )


def document(found: Mapping[str, Sequence[Run]], seeds: int) -> str:
    """The section of the page."""
    return f"""\
![Requests forwarded, in percent, by thousands of requests](_static/finch-forwarded.svg)

{CREDIT}: 23,700 requests of 150 kinds, one pass, nothing known before
the first; an error of 5 % allowed. Mean over {seeds} orders of the requests, lowest and highest:

{table(found["once"])}

{textwrap.fill(documents_claim(found["once"]), 120)}

The same number of requests, but drawn again and again by Zipf's law:

{table(found["repeated"])}

And with 30 % of the intents exchanged in the middle, all at once:

{table(found["changed"])}

![Local answers that were wrong, and the bound that audits told](_static/finch-error.svg)

Local answers that were wrong, so far, and the bound that was told meanwhile. Made by
`python benchmarks/finch_forwarded.py --seeds {seeds} --write`."""


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("finch-runs"), help="keeps all runs")
    parser.add_argument("--write", action="store_true", help="write docs/finch.md and its figures")
    parser.add_argument("--banking77", type=Path, metavar="FOLDER", help="with its two files")
    options = parser.parse_args()
    seeds = range(options.seeds)
    if options.banking77:
        pairs = load_banking77(options.banking77)
        bank = runs("banking77", lambda seed: shuffled(pairs, seed), ALL, seeds, options.folder)
        print(f"\nbanking77\n{table(bank)}")
        if options.write:
            write_section("finch-banking77", bank_document(bank, options.seeds), PAGE)
        return
    found = {
        traffic: runs(traffic, log, METHODS[traffic], seeds, options.folder)
        for traffic, log in TRAFFIC.items()
    }
    for traffic, some in found.items():
        print(f"\n{traffic}\n{table(some)}")
    if options.write:
        once = Evaluation(DELTA, tuple(found["once"]))
        viz.save(once.figure(), PLOTS / "finch-forwarded.svg")
        viz.save(once.error_figure("cascade"), PLOTS / "finch-error.svg")
        write_section("finch-results", document(found, options.seeds), PAGE)


if __name__ == "__main__":
    main()
