"""What races between libraries lead to: tables, a plot, a section of the documentation."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import DOCUMENT, markdown_table, processor

from groundup import viz
from groundup.bench.report import (
    NAMES,
    Row,
    ahead,
    behind,
    by_threads,
    counted,
    geometric_mean,
    mean_ratio,
    peers_of,
    reason,
)
from groundup.viz.figure import line_style, new_figure, style

REASONS = Path(__file__).parent / "reasons.toml"


@dataclass(frozen=True)
class Subject:
    """What is raced over.

    Attributes:
        inference: whether forward passes of one example, instead of training steps.
        what: one of it, as a table's head.
        section: of the page, and the script's and the plot's name.
        peers: that take part unless said otherwise.
        threads: numbers of them, unless said otherwise.
        seconds: for a row, unless said otherwise.
        introduction: of the section; what is timed and how it is compared.
    """

    inference: bool
    what: str
    section: str
    peers: tuple[str, ...]
    threads: tuple[int, ...]
    seconds: float
    introduction: str

    @property
    def plot(self) -> Path:
        return DOCUMENT.parent / "_static" / f"{self.section}.svg"


STEPS = Subject(
    False,
    "step",
    "compiled-step",
    ("torch", "compiled", "eager", "torch-compile", "jax"),
    (1, 2),
    8.0,
    """## Compiled steps

Written by `python benchmarks/bench_compiled_step.py --write`. Each is a whole training step:
`zero_grad`, loss, `backward`, clipping where the network is a transformer, Adam or AdamW; float32,
no dropout. All peers start from the same weights and see the same batches; their losses and weights
are compared before timing. Each has a process of its own, kept to as many processors as there are
threads, and the processes take turns. PyTorch is eager, with its fused Adam; `torch.compile`
compiles the network and its loss, which the same fused Adam follows; JAX compiles the whole step.
LSTM and GRU count half each in the geometric mean.""",
)
INFERENCE = Subject(
    True,
    "forward pass",
    "inference",
    ("torch", "compiled", "torch-compile", "jax"),
    (1,),
    4.0,
    """## Inference

Written by `python benchmarks/bench_inference.py --write`. The forward pass of the same networks for
one example (the MAML row: the network that is adapted; the two towers: one pair), in evaluation
mode and without gradients (`inference_mode` in PyTorch), float32. The same weights, other inputs
at each call; outputs are compared before timing. Processes and turns as above. JAX is given its
weights with each call, as its users do.""",
)


def speeds(subject: Subject, rows: Sequence[Row]) -> str:
    """Ratios to PyTorch, and their geometric mean."""
    peers = peers_of(rows)
    reference = rows[0].reference
    others = [peer for peer in peers if peer != reference]
    body = []
    for row in rows:
        base = row.timings.get(reference)
        cells = [row.title, f"{base.seconds * 1e3:.3g}" if base else "failed"]
        every = [row.timings.get(peer) for peer in others]
        body.append([*cells, *[t.ratios() if t else "failed" for t in every]])
    body.append(["geometric mean", "", *means(rows, others)])
    if len(rows) > 3 and (ours := [row for row in rows if "compiled" in row.timings]):
        most = max(ours, key=lambda row: row.timings["compiled"].ratio)
        rest = [row for row in rows if row is not most]
        without = most.title.partition(",")[0]
        body.append([f"geometric mean without {without}", "", *means(rest, others)])
    head = [subject.what, f"{NAMES[reference]}, ms", *[NAMES[peer] for peer in others]]
    return markdown_table(head, body)


def means(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    """The geometric mean of each peer's ratios, and over how many rows if not all."""
    everything = sum(row.share for row in rows)
    found = []
    for peer in peers:
        mean, shares = mean_ratio(rows, peer)
        of = "" if math.isclose(shares, everything) else f" (of {shares:g})"
        found.append("" if math.isnan(mean) else f"{mean:.2f}{of}")
    return found


def costs(subject: Subject, rows: Sequence[Row]) -> str:
    """Seconds of the first call, and memory."""
    peers = peers_of(rows)
    body = []
    for row in rows:
        found = [row.timings.get(peer) for peer in peers]
        starts = [f"{t.start:.2f}" if t else "failed" for t in found]
        peaks = [f"{t.peak:.0f}" if t else "failed" for t in found]
        body.append([row.title, *starts, *peaks])
    names = [NAMES[peer] for peer in peers]
    head = [subject.what, *[f"{name}, s" for name in names], *[f"{name}, MB" for name in names]]
    return markdown_table(head, body)


def verdict(rows: Sequence[Row]) -> str:
    """How groundup stands to the better of the other compilers."""
    won, able = ahead(rows)
    if not able:
        return ""
    both = [row for row in rows if row.best() and "compiled" in row.timings]
    rival, _ = geometric_mean(both, lambda row: best[1] if (best := row.best()) else None)
    ours, _ = mean_ratio(both, "compiled")
    return (
        f"groundup is ahead of the better of torch.compile and JAX at {won:g} of {able:g}. The "
        f"geometric mean is {ours:.2f} for groundup and {rival:.2f} for the better of those two at "
        "each row."
    )


def losses(subject: Subject, rows: Sequence[Row]) -> str:
    """Where a peer is ahead, with the reason as far as it is known; which peers gave no time."""
    with REASONS.open("rb") as file:
        known = tomllib.load(file)["inference" if subject.inference else "step"]
    lines = []
    for row, peer in behind(rows):
        times = row.timings[peer].ratio / row.timings["compiled"].ratio
        why = known.get(row.name, {}).get(peer, "")
        lines.append(
            f"- {NAMES[peer]} at {row.title}, {times:.2f} times as fast" + f": {why}" * bool(why)
        )
    text = "\n".join(["Faster than groundup, the fastest of each row:", "", *lines])
    if not lines:
        text = "No peer is faster than groundup at any row."
    failed = [(p, row, reason(why)) for row in rows for p, why in row.wrong.items()]
    left = [(p, row, why) for row in rows for p, why in row.left.items()]
    for head, found in (("Gave no result, or another one", failed), ("Left to eager code", left)):
        told = [f"- {NAMES[peer]} at {row.title}: `{why}`" for peer, row, why in found]
        text = "\n".join([text, "", f"{head}:", "", *told]) if told else text
    return text


def tables(subject: Subject, rows: Sequence[Row]) -> str:
    """All of it, for a terminal or a page."""
    parts = []
    for threads, some in by_threads(rows).items():
        parts += [
            f"### {subject.what.capitalize()}, {counted(threads)}\n\nPyTorch's time over each "
            "one's, with the middle half: above 1 is faster than PyTorch.",
            speeds(subject, some),
            verdict(some),
            losses(subject, some),
            "The first call in seconds, with empty caches, and megabytes: the most that is held "
            "while it runs, above what the process held when its libraries were imported.",
            costs(subject, some),
        ]
    return "\n\n".join(part for part in parts if part)


def draw(subject: Subject, rows: Sequence[Row]) -> Path:
    """The ratios as a plot beside the documentation."""
    groups = by_threads(rows)
    peers = [peer for peer in peers_of(rows) if peer != rows[0].reference]
    titles = list(dict.fromkeys(row.title for row in rows))
    bounds = [x for row in rows for t in row.timings.values() for x in (t.low, t.high)]
    first, last = math.floor(math.log2(min(bounds))), math.ceil(math.log2(max(bounds)))
    ticks = [2.0**i for i in range(first, last + 1)]
    with style():
        figure = new_figure(
            f"How many times faster than PyTorch each library does each {subject.what}",
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
            words = [f"{tick:g}" if tick >= 1 else f"1/{1 / tick:g}" for tick in ticks]
            axes.set_xticks(ticks, words, minor=False)
            axes.set_xticks([], minor=True)
            axes.set_yticks(range(len(titles)), [title.partition(",")[0] for title in titles])
            axes.set_title(counted(threads))
            axes.set_xlabel("times as fast as PyTorch")
        panels[0].invert_yaxis()
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return viz.save(figure, subject.plot)


def document(subject: Subject, rows: Sequence[Row]) -> str:
    """The section of the documentation."""
    return f"""{subject.introduction}

![Times as fast as PyTorch, for each {subject.what} and library](_static/{subject.plot.name})

{tables(subject, rows)}

{machine()}
"""


def machine() -> str:
    """What was measured on, and with which releases."""
    versions = []
    for name, package in (("NumPy", "numpy"), ("PyTorch", "torch"), ("JAX", "jax")):
        try:
            versions.append(f"{name} {importlib.metadata.version(package).partition('+')[0]}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"Measured on: {processor()}, Python {platform.python_version()}, {', '.join(versions)}."
