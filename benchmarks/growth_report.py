"""How times grow with size: a table, the plot of times, the roofline, a section of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import DOCUMENT, markdown_table
from machine import Machine
from races_report import machine as told

from groundup import viz
from groundup.viz.figure import INK, PALETTE, line_style, new_figure, style

PLOTS = DOCUMENT.parent / "_static"
FITTED = 4
"""The largest sizes of a series, to which the exponent is fitted."""
WORDS = {
    "width": ("residual MLP of 2 layers, batch 128", "width"),
    "depth": ("residual MLP 128 wide, batch 128", "layers"),
    "length": ("GPT of 2 layers, 128 wide, batch 2", "length"),
}
"""What a series is, and the name of its axis."""
MARKERS = dict(zip(WORDS, "os^", strict=True))


@dataclass(frozen=True)
class Point:
    """One size of a series.

    Attributes:
        ours, torch: seconds of a step.
        ratio: PyTorch's seconds over ours, median of neighbouring turns.
        flops: multiplications and additions of the matrix products.
        moved: bytes that the compiled step's kernels and products read and write.
        products_limit, memory_limit: seconds that the machine takes for either alone.
    """

    series: str
    size: int
    ours: float
    torch: float
    ratio: float
    flops: int
    moved: int
    products_limit: float
    memory_limit: float

    @property
    def limit(self) -> float:
        return max(self.products_limit, self.memory_limit)

    def line(self) -> str:
        return (
            f"{self.series} {self.size}: groundup {self.ours * 1e3:.3g} ms, PyTorch "
            f"{self.torch * 1e3:.3g} ms, limit {self.limit * 1e3:.3g} ms"
        )


def by_series(points: Sequence[Point]) -> dict[str, list[Point]]:
    names = dict.fromkeys(p.series for p in points)
    return {name: [p for p in points if p.series == name] for name in names}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Of the power of the size by which the time grows, fitted to the largest sizes."""
    x, y = np.log(sizes[-FITTED:]), np.log(seconds[-FITTED:])
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else float("nan")


def table(points: Sequence[Point]) -> str:
    """A row for each size."""
    head = [
        *("size", "PyTorch, ms", "groundup, ms", "times as fast", "MFLOP", "FLOP/byte"),
        *("GFLOP/s", "products, ms", "memory, ms", "limit / time"),
    ]
    body = [
        [
            f"{p.series} {p.size}",
            f"{p.torch * 1e3:.3g}",
            f"{p.ours * 1e3:.3g}",
            f"{p.ratio:.2f}",
            f"{p.flops / 1e6:.3g}",
            f"{p.flops / p.moved:.1f}",
            f"{p.flops / p.ours / 1e9:.3g}",
            f"{p.products_limit * 1e3:.3g}",
            f"{p.memory_limit * 1e3:.3g}",
            f"{p.limit / p.ours:.2f}",
        ]
        for p in points
    ]
    return markdown_table(head, body)


def draw(points: Sequence[Point], machine: Machine, threads: str) -> None:
    """Both plots."""
    viz.save(times(points), PLOTS / "growth.svg")
    viz.save(roofline(points, machine, threads), PLOTS / "roofline.svg")


def times(points: Sequence[Point]) -> Any:
    """Time against size, a panel for each series."""
    groups = by_series(points)
    with style():
        figure = new_figure(
            f"How a training step's time grows with {', '.join(groups)}: groundup, PyTorch, and "
            "the machine's limit",
            width=3.4 * len(groups),
            height=3.6,
        )
        panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axes, (name, some) in zip(panels, groups.items(), strict=True):
            sizes = [p.size for p in some]
            curves = {
                "PyTorch": [p.torch for p in some],
                "groundup": [p.ours for p in some],
                "limit": [p.limit for p in some],
            }
            for i, (who, seconds) in enumerate(curves.items()):
                label = f"{who}: size^{exponent(sizes, seconds):.1f}"
                looks = line_style(i) if who != "limit" else {"color": INK, "linestyle": ":"}
                axes.plot(sizes, [t * 1e3 for t in seconds], label=label, **looks)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_xticks(sizes, [f"{size}" for size in sizes])
            axes.set_title(WORDS[name][0], fontsize=9)
            axes.set_xlabel(WORDS[name][1])
            axes.legend(fontsize=8)
        panels[0].set_ylabel("time of a step, ms")
    return figure


def roofline(points: Sequence[Point], machine: Machine, threads: str) -> Any:
    """Speed against arithmetic intensity, under what the machine allows."""
    intensities = [p.flops / p.moved for p in points]
    low, high = min(intensities) / 2, max(intensities) * 2
    peak = max(machine.products.values())
    roofs = {
        "in the cache": max(machine.memory.values()),
        "in memory": machine.memory[max(machine.memory)],
    }
    with style():
        figure = new_figure(
            "The speed of training steps against their arithmetic intensity, under the limits of "
            f"this machine's memory and matrix products, {threads}",
            width=6.4,
            height=5.2,
        )
        axes = figure.subplots()
        for (where, speed), dash in zip(roofs.items(), ("--", ":"), strict=True):
            x = np.geomspace(low, high, 200)
            label = f"memory, {where}: {speed / 1e9:.0f} GB/s"
            axes.plot(x, np.minimum(x * speed, peak) / 1e9, color=INK, linestyle=dash, label=label)
        axes.axhline(peak / 1e9, color=INK, label=f"matrix products: {peak / 1e9:.0f} GFLOP/s")
        for name, some in by_series(points).items():
            x = [p.flops / p.moved for p in some]
            for i, who in enumerate(("PyTorch", "groundup")):
                seconds = [p.ours if who == "groundup" else p.torch for p in some]
                axes.plot(
                    x,
                    [p.flops / t / 1e9 for p, t in zip(some, seconds, strict=True)],
                    color=PALETTE[i],
                    marker=MARKERS[name],
                    markerfacecolor=PALETTE[i] if who == "groundup" else "white",
                    linewidth=0.6,
                    linestyle="-" if who == "groundup" else "--",
                    label=f"{who}, {name} {some[0].size} to {some[-1].size}",
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        doubled = [2.0**i for i in range(math.ceil(math.log2(low)), math.ceil(math.log2(high)))]
        axes.set_xticks(doubled, [f"{tick:g}" for tick in doubled])
        axes.set_xticks([], minor=True)
        axes.set_xlim(low, high)
        axes.set_xlabel("arithmetic intensity, FLOP/byte")
        axes.set_ylabel("speed, GFLOP/s")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def document(points: Sequence[Point], machine: Machine, threads: str) -> str:
    """The section of the documentation."""
    products = markdown_table(
        ["side of the matrices", *map(str, machine.products)],
        [["GFLOP/s", *[f"{speed / 1e9:.3g}" for speed in machine.products.values()]]],
    )
    memory = markdown_table(
        ["bytes touched", *[f"{span / 1024:,.0f} KiB" for span in machine.memory]],
        [["GB/s", *[f"{speed / 1e9:.3g}" for speed in machine.memory.values()]]],
    )
    lines = []
    for name, some in by_series(points).items():
        sizes = [p.size for p in some]
        ours, torch = (exponent(sizes, [getattr(p, w) for p in some]) for w in ("ours", "torch"))
        lines.append(
            f"- {WORDS[name][0]}: time grows as {WORDS[name][1]}^{ours:.2f}, in PyTorch as "
            f"{WORDS[name][1]}^{torch:.2f} (the {min(FITTED, len(some))} largest sizes)"
        )
    slopes = "\n".join(lines)
    return f"""## How cost grows

Written by `python benchmarks/bench_growth.py --write`; {threads}. A training step (forward,
backward, Adam) of a residual MLP over its width and its depth and of a small GPT over its length,
compiled here and eager in PyTorch.

![Time of a step against width, depth and length](_static/growth.svg)

{slopes}

The limit is what the machine takes for the step's matrix products alone ("products") or for its
passes over memory alone ("memory"), whichever is longer. The products, and the bytes that kernels
and products read and write, are those that `groundup.explain` lists for the compiled step; each
product is charged at the speed of square ones of the same volume, each byte at the speed of memory
as large as everything that the step touches. Passes that the cache spares are counted all the same,
so a step may be a little faster than its limit; PyTorch stands at the same intensity, though it
reads and writes more.

![Speed of a step against arithmetic intensity, under the machine's limits](_static/roofline.svg)

{table(points)}

What the machine does, measured before the steps:

{products}

{memory}

{told()}
"""
