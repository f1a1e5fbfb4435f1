"""The measured steps as tables, as a section of the documentation and as a plot."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from dataclasses import dataclass, field
from pathlib import Path

from harness import DOCUMENT, processor

from groundup import viz
from groundup.viz.figure import line_style, new_figure, style

REFERENCE = "torch"
NAMES = {
    "torch": "PyTorch",
    "compiled": "groundup",
    "eager": "groundup, eager",
    "torch-compile": "torch.compile",
    "jax": "JAX",
}
PLOT = DOCUMENT.parent / "_static" / "compiled-step.svg"


@dataclass
class Timing:
    """One peer at one workload.

    Attributes:
        seconds: a step, median.
        ratio: PyTorch's seconds over these, median of neighbouring turns; above 1 is faster.
        low, high: quartiles of the ratio.
        start: seconds of the first call, compilation included.
        peak: megabytes above what the process had when its libraries were imported, while it
            stepped.
    """

    seconds: float
    ratio: float
    low: float
    high: float
    start: float
    peak: float


@dataclass
class Row:
    """One workload at one thread count; what each peer took, or why it has no time."""

    title: str
    threads: int
    share: float
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """For whoever waits."""
        found = [f"{NAMES[p]} {t.seconds * 1e3:.3f} ms" for p, t in self.timings.items()]
        found += [f"{NAMES[p]} FAILED: {why.splitlines()[-1]}" for p, why in self.wrong.items()]
        return f"{self.title}, {counted(self.threads)}: {', '.join(found) or 'all agree'}"


def peers_of(rows: list[Row]) -> list[str]:
    """Those that there is anything to say about."""
    return [p for p in NAMES if any(p in row.timings or p in row.wrong for row in rows)]


def geometric_mean(rows: list[Row], peer: str) -> float:
    """Of the ratios, each with the share of its row; NaN unless every row has one."""
    if not rows or any(peer not in row.timings for row in rows):
        return math.nan
    total = sum(row.share * math.log(row.timings[peer].ratio) for row in rows)
    return math.exp(total / sum(row.share for row in rows))


def ahead(rows: list[Row]) -> float:
    """At how many workloads groundup is faster than the better of torch.compile and JAX."""
    count = 0.0
    for row in rows:
        others = [row.timings[p].ratio for p in ("torch-compile", "jax") if p in row.timings]
        if "compiled" in row.timings and others:
            count += row.share * (row.timings["compiled"].ratio > max(others))
    return count


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def speeds(rows: list[Row]) -> str:
    """Ratios to PyTorch, and their geometric mean."""
    peers = peers_of(rows)
    others = [peer for peer in peers if peer != REFERENCE]
    body = []
    for row in rows:
        cells = [row.title]
        reference = row.timings.get(REFERENCE)
        cells.append(f"{reference.seconds * 1e3:.3g}" if reference else "failed")
        for peer in others:
            t = row.timings.get(peer)
            cells.append(f"{t.ratio:.2f} ({t.low:.2f} to {t.high:.2f})" if t else "failed")
        body.append(cells)
    means = [geometric_mean(rows, peer) for peer in others]
    body.append(
        ["geometric mean", "", *["" if math.isnan(mean) else f"{mean:.2f}" for mean in means]]
    )
    return _table(["step", "PyTorch, ms", *[NAMES[peer] for peer in others]], body)


def costs(rows: list[Row]) -> str:
    """Seconds of the first call, and memory."""
    peers = peers_of(rows)
    body = []
    for row in rows:
        found = [row.timings.get(peer) for peer in peers]
        body.append(
            [
                row.title,
                *[f"{t.start:.2f}" if t else "failed" for t in found],
                *[f"{t.peak:.0f}" if t else "failed" for t in found],
            ]
        )
    names = [NAMES[peer] for peer in peers]
    head = ["step", *[f"{name}, s" for name in names], *[f"{name}, MB" for name in names]]
    return _table(head, body)


def by_threads(rows: list[Row]) -> dict[int, list[Row]]:
    """The rows of each thread count."""
    return {n: [row for row in rows if row.threads == n] for n in sorted({r.threads for r in rows})}


def counted(threads: int) -> str:
    """In words."""
    return {1: "one thread", 2: "two threads"}.get(threads, f"{threads} threads")


def tables(rows: list[Row]) -> str:
    """All of it, for a terminal or a page."""
    parts = []
    for threads, some in by_threads(rows).items():
        parts += [
            f"### Speed, {counted(threads)}\n\nPyTorch's time over each one's, with the middle "
            "half: above 1 is faster than PyTorch.",
            speeds(some),
        ]
        if any({"torch-compile", "jax"} & set(row.timings) for row in some):
            parts.append(
                f"groundup is ahead of the better of torch.compile and JAX at {ahead(some):g} of "
                f"{sum(row.share for row in some):g}."
            )
        parts += [
            f"### First call and memory, {counted(threads)}\n\nSeconds with empty caches; "
            "megabytes at most while it steps, above what the process held when its libraries were "
            "imported.",
            costs(some),
        ]
    return "\n\n".join(parts)


def draw(rows: list[Row]) -> Path:
    """The ratios as a plot beside the documentation."""
    groups = by_threads(rows)
    peers = [peer for peer in peers_of(rows) if peer != REFERENCE]
    titles = list(dict.fromkeys(row.title for row in rows))
    bounds = [x for row in rows for t in row.timings.values() for x in (t.low, t.high)]
    first, last = math.floor(math.log2(min(bounds))), math.ceil(math.log2(max(bounds)))
    ticks = [2.0**i for i in range(first, last + 1)]
    with style():
        figure = new_figure(
            "How many times faster than PyTorch each library does twelve training steps",
            width=4 + 3 * len(groups),
            height=1.4 + 0.32 * len(titles),
        )
        panels = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (threads, some) in zip(panels, groups.items(), strict=True):
            axes.axvline(1, color=line_style(4)["color"], linewidth=0.8)
            for i, peer in enumerate(peers):
                found = {r.title: r.timings[peer] for r in some if peer in r.timings}
                shift = 0.16 * (i - (len(peers) - 1) / 2)
                below = [t.ratio - t.low for t in found.values()]
                above = [t.high - t.ratio for t in found.values()]
                axes.errorbar(
                    [t.ratio for t in found.values()],
                    [titles.index(title) + shift for title in found],
                    xerr=[below, above],
                    label=NAMES[peer],
                    **line_style(i) | {"linestyle": "none"},
                )
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
            axes.set_xticks([], minor=True)
            axes.set_yticks(range(len(titles)), [title.partition(",")[0] for title in titles])
            axes.set_title(counted(threads))
            axes.set_xlabel("times as fast as PyTorch")
        panels[0].invert_yaxis()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return viz.save(figure, PLOT)


def document(rows: list[Row]) -> str:
    """The section of the documentation."""
    versions = []
    for name, package in (("NumPy", "numpy"), ("PyTorch", "torch"), ("JAX", "jax")):
        try:
            versions.append(f"{name} {importlib.metadata.version(package).partition('+')[0]}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"""## Compiled steps

Written by `python benchmarks/bench_compiled_step.py --write`. Each is a whole training step:
`zero_grad`, loss, `backward`, clipping where the network is a transformer, Adam or AdamW; float32,
no dropout. All peers start from the same weights and see the same batches; their losses and weights
are compared before timing. Each has a process of its own, and the processes take turns. PyTorch is
eager, with its fused Adam; `torch.compile` compiles the network and its loss; JAX compiles the
whole step. LSTM and GRU count half each in the geometric mean.

![Times as fast as PyTorch, for each step and library](_static/{PLOT.name})

{tables(rows)}

Measured on: {processor()}, Python {platform.python_version()}, {", ".join(versions)}.
"""
