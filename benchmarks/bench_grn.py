"""How fast regulation is learned, scored and inferred, beside PyTorch, scikit-learn and GRNBoost2.

Three parts, each library in a process of its own, with the same number of threads, in turns:

- scoring: all pairs of 1,176 TFs and 20,000 genes by models with random weights, in blocks of the
  same size, beside PyTorch, eager and compiled. Scores are compared first;
- training: an epoch of `regulon` and of `optimised` on a problem of E. coli's size, beside PyTorch,
  eager. Pairs are drawn by the same function; losses and weights of steps without dropout are
  compared first. And the whole training, as `groundup grn train` does it;
- inference: networks from expression alone, for all genes; trees for some genes, from which the
  time for all follows, beside arboreto's GRNBoost2 and scikit-learn with its settings.

Libraries that are missing are left out.

    python benchmarks/bench_grn.py                           # prints tables; a synthetic problem
    python benchmarks/bench_grn.py --data data/ecoli         # `groundup grn data get ecoli` made it
    python benchmarks/bench_grn.py --data data/ecoli --write # and puts them into the documentation
    python benchmarks/bench_grn.py inference --threads 2     # a part of it
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from grn_problems import QUICK, WHOLE
from grn_report import OURS, PUBLISHED, Found, Inferred, Row, digits, document, tables
from harness import write_section

from groundup.bench.race import COUNTS, PAUSE, Worker, compare, unavailable

WORKER = str(Path(__file__).parent / "grn_worker.py")
PEERS = ("PyTorch", "torch.compile", "arboreto", "scikit-learn")
PARTS = ("scoring", "training", "inference")
SCORERS = ("regulon", "cross-encoder")
TRAINED = ("regulon", "optimised")
METHODS = ("pearson", "clr", "two-tower-self-supervised")
LEAST, MOST = 5, 40
"""Rounds of turns."""
NORMAL = 1.96
"""Standard errors to either side of a mean that hold it in 95 of 100 cases."""


def present(peers: Sequence[str]) -> list[str]:
    """Those that are installed; what is missing is said."""
    torch = {"PyTorch": "torch", "torch.compile": "torch-compile"}
    modules = {"arboreto": "arboreto", "scikit-learn": "sklearn"}
    found = []
    for peer in peers:
        if peer in torch:
            why = unavailable(torch[peer])
        else:
            there = importlib.util.find_spec(modules[peer]) is not None
            why = None if there else f"{peer} is left out: it is not installed"
        if why:
            print(why, file=sys.stderr)
        else:
            found.append(peer)
    return found


# Turns


@contextlib.contextmanager
def workers(
    kind: str, peers: Sequence[str], threads: int, what: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Worker], Path]]:
    """A process for each library, with caches of compiled code that are empty at first."""
    with tempfile.TemporaryDirectory() as kept:
        folder, found = Path(kept), {}
        environment = dict.fromkeys(COUNTS, str(threads)) | {
            "GROUNDUP_CACHE": str(folder / "groundup"),
            "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        }
        try:
            for peer in peers:
                script = [WORKER, kind, peer, str(threads), json.dumps(dict(what))]
                found[peer] = Worker(script, environment, threads)
                found[peer].ask(do="ready")
            yield found, folder
        finally:
            for worker in found.values():
                worker.stop()


def checked(every: dict[str, Worker], folder: Path, found: Found) -> dict[str, float]:
    """The seconds of each one's first call; who fails, or disagrees with ours, drops out.

    Raises:
        RuntimeError: ours fails.
    """
    first = {}
    for peer in list(every):
        file = folder / f"{peer}.npz"
        try:
            first[peer] = every[peer].ask(do="check", file=str(file))["seconds"]
            if peer != OURS:
                with np.load(file) as theirs, np.load(folder / f"{OURS}.npz") as ours:
                    prefix = "before "
                    before = {k.removeprefix(prefix): ours[k] for k in ours if prefix in k}
                    compare(theirs, ours, before)
        except (RuntimeError, AssertionError) as error:
            if peer == OURS:
                raise
            every.pop(peer).stop()
            leave_out(peer, error, found)
    return first


def leave_out(peer: str, error: Exception, found: Found) -> None:
    """Say why a library is not there."""
    why = str(error).strip().splitlines()[-1]
    found.left.append(f"{peer} is left out: {why}")
    print(found.left[-1], file=sys.stderr, flush=True)


def in_turns(every: Mapping[str, Worker], limit: float, **command: Any) -> dict[str, list[float]]:
    """The seconds of a call of each library in each round; the order changes."""
    for worker in every.values():
        worker.ask(**command)
    found: dict[str, list[float]] = {peer: [] for peer in every}
    order, began = list(every), time.perf_counter()
    for count in range(MOST):
        if count >= LEAST and time.perf_counter() - began > limit:
            break
        for peer in order:
            time.sleep(PAUSE)
            found[peer].append(every[peer].ask(**command)["seconds"])
        order = order[1:] + order[:1]
    return found


def rows(
    work: str, threads: int, found: Mapping[str, list[float]], first: Mapping[str, float]
) -> Iterator[Row]:
    """A row for each library."""
    for peer, times in found.items():
        row = Row(work, threads, peer, statistics.median(times), first.get(peer))
        if peer != OURS:
            ratios = [b / a for a, b in zip(found[OURS], times, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            row = Row(work, threads, peer, row.seconds, row.first, middle, low, high)
        print(" | ".join(row.cells()), file=sys.stderr, flush=True)
        yield row


# Parts


def scoring(
    peers: Sequence[str], threads: int, limit: float, what: dict[str, Any], found: Found
) -> None:
    """All pairs of many TFs and genes."""
    sizes = QUICK if what["quick"] else WHOLE
    libraries = [OURS, *(peer for peer in peers if peer in ("PyTorch", "torch.compile"))]
    for model in SCORERS:
        work = model
        if model == "cross-encoder":
            work += f", {sizes.pair_genes:,} of the genes"
        with workers("scoring", libraries, threads, what | {"model": model}) as (every, folder):
            first = checked(every, folder, found)
            times = in_turns(every, limit, do="scores")
            found.scoring += rows(work, threads, times, first)
            if model == SCORERS[0]:
                alone = {OURS: every[OURS]}
                times = in_turns(alone, 0, do="predict")
                found.scoring += rows(f"{work}, with probabilities", threads, times, {})


def training(
    peers: Sequence[str], threads: int, limit: float, what: dict[str, Any], found: Found
) -> None:
    """Epochs, and the whole."""
    libraries = [OURS, *(peer for peer in peers if peer == "PyTorch")]
    for model in TRAINED:
        with workers("training", libraries, threads, what | {"model": model}) as (every, folder):
            first = checked(every, folder, found)
            for do, work in (("epoch", "an epoch"), ("steps", "its steps alone")):
                times = in_turns(every, limit, do=do)
                told = first if do == "steps" else {}
                found.training += rows(f"{model}, {work}", threads, times, told)
    with workers("training", [OURS], threads, what | {"model": TRAINED[0]}) as (every, _):
        whole = every[OURS].ask(do="train")
    found.whole.append({"threads": threads, **whole})
    print(f"training | {threads} | {whole}", file=sys.stderr, flush=True)


def inference(
    peers: Sequence[str], threads: int, limit: float, what: dict[str, Any], found: Found
) -> None:
    """Networks from expression alone."""
    sizes = QUICK if what["quick"] else WHOLE
    with workers("inference", [OURS], threads, what) as (every, folder):
        for method in METHODS:
            first = every[OURS].ask(do="infer", method=method)["seconds"]
            times = in_turns(every, 0, do="infer", method=method)[OURS]
            add(found, Inferred(method, threads, OURS, statistics.median(times), first))
        count = every[OURS].ask(do="count")["genes"]
        some = np.random.default_rng(0).choice(count, min(sizes.tree_genes, count), replace=False)
        command = {"do": "trees", "genes": some.tolist(), "file": str(folder / "trees.npz")}
        add(found, of_trees(OURS, threads, every[OURS].ask(**command), count))
        ours = importances(command)
        boosters = [peer for peer in ("arboreto", "scikit-learn") if peer in peers][:1]
        boosters += [PUBLISHED] if "scikit-learn" in peers else []
        for peer in boosters:
            try:
                with workers("inference", [peer], threads, what) as (started, _):
                    answer = started[peer].ask(**command)
            except RuntimeError as error:
                leave_out(peer, error, found)
                continue
            add(found, of_trees(peer, threads, answer, count))
            found.alike[peer] = alike(ours, importances(command))


def importances(command: Mapping[str, Any]) -> Any:
    """What a library has written, (TFs, genes)."""
    with np.load(command["file"]) as grown:
        return grown["importances"]


def of_trees(peer: str, threads: int, answer: Mapping[str, Any], count: int) -> Inferred:
    """The time for all genes from that of some.

    Args:
        answer: the seconds, the number of trees of each gene, and the seconds of each if known.
        count: of all genes.
    """
    some, error = len(answer["trees"]), None
    if answer["each"] is not None:
        deviation = statistics.stdev(answer["each"])
        error = NORMAL * deviation / some**0.5 * count / threads
    seconds = answer["seconds"] / some * count
    return Inferred("trees", threads, peer, seconds, None, error, statistics.mean(answer["trees"]))


def alike(a: Any, b: Any) -> float:
    """The correlation of the importances of a gene's TFs, the median over genes."""
    every = [np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True) if x.any() and y.any()]
    return float(np.median(every)) if every else float("nan")


def add(found: Found, row: Inferred) -> None:
    """Keep it, and tell."""
    found.inference.append(row)
    print(
        f"{row.method} | {row.threads} | {row.library} | {digits(row.seconds)}",
        file=sys.stderr,
        flush=True,
    )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of `groundup grn data get`")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="(default: 1 2)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument(
        "--seconds", type=float, default=3, help="for each row, at least 5 turns (default: 3)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    if options.write and (options.quick or options.parts):
        parser.error("the page has the times of the whole: leave out --quick and the parts")
    sizes, found = QUICK if options.quick else WHOLE, Found()
    peers = present(options.peers)
    what = {"data": options.data and str(options.data.resolve()), "quick": options.quick}
    measures = {"scoring": scoring, "training": training, "inference": inference}
    for part in options.parts or PARTS:
        for threads in options.threads:
            measures[part](peers, threads, options.seconds, what, found)
    print("\n\n".join(tables(found, sizes).values()))
    if options.write:
        size = f"{sizes.tfs} TFs, {sizes.genes:,} genes, {sizes.samples} samples"
        data = f"a synthetic problem of E. coli's size ({size})"
        if options.data is not None:
            data = f"the data set `{options.data.resolve().name}`"
        write_section("grn", document(found, sizes, data))


if __name__ == "__main__":
    main()
