r"""The forward pass: what does a network compute before it has learned anything?

A neuron multiplies its inputs by weights, adds a bias, and squeezes the sum between 0 and 1:

$$y = \sigma\Big(b + \sum_i w_i x_i\Big), \qquad \sigma(s) = \frac{1}{1 + e^{-s}}$$

With steep weights it is a gate. Weights 20 and 20 with bias -10 give almost 1 if either input is 1:
OR. Weights -20 and -20 with bias 30 give almost 1 unless both are: NAND. A third neuron that wants
both of those, weights 20 and 20 with bias -30, then answers XOR, which is 1 for the inputs 01 and
10 only. Nobody has trained anything: **what a network computes lies in its weights**.

That does not make it easy to come by such weights. Here 10,000 networks 2-H-1 a seed are drawn at
random (weights and biases normal, as wide as `spread`), and the four answers of each are rounded to
0 or 1. There are 16 functions of two bits. Guessing each answer with a coin gives XOR in 1 of 16
cases, 6.25 %. Random networks do worse: a sum that runs through a squeezing function prefers to
rise or fall along a direction, and XOR does both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

import groundup as gu
from groundup import nn, viz
from groundup.experiments import Claim, Results, Trial
from groundup.viz.figure import new_figure

LESSON = 1  # R3.1
SEEDS = range(10)
LABELS = {
    "hand": "Weights set by hand",
    "coin": "A coin for each answer",
    "right": "answers right (of 4)",
    "solved": "networks that compute XOR",
    "draws": "networks drawn",
    "share": "compute XOR (%)",
}
RANGES = {"share": (0, 100)}
WIDTHS = (2, 4, 16)

INPUTS = gu.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = gu.tensor([0.0, 1.0, 1.0, 0.0])


def by_hand() -> nn.Sequential:
    """A network 2-2-1 that computes XOR: OR and NAND, then AND of the two."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())
    model.load_state_dict(
        {
            "0.weight": gu.tensor([[20.0, 20.0], [-20.0, -20.0]]),
            "0.bias": gu.tensor([-10.0, 30.0]),
            "2.weight": gu.tensor([[20.0, 20.0]]),
            "2.bias": gu.tensor([-30.0]),
        }
    )
    return model


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        draws: random networks of each width.
        spread: standard deviation of their weights and biases.
    """

    draws: int = 10_000
    spread: float = 3.0

    def __post_init__(self) -> None:
        if self.draws < 1 or self.spread <= 0:
            raise ValueError(
                f"draws {self.draws}, spread {self.spread:g}: expected at least 1, above 0"
            )


def answers_of_random_networks(width: int, draws: int, spread: float) -> gu.Tensor:
    """What each of many networks 2-width-1 answers.

    Shape:
        (draws, 4): 0 or 1 for each of the inputs 00, 01, 10, 11.
    """
    hidden = gu.sigmoid(
        INPUTS @ (spread * gu.randn(draws, 2, width)) + spread * gu.randn(draws, 1, width)
    )
    output = hidden @ (spread * gu.randn(draws, width, 1)) + spread * gu.randn(draws, 1, 1)
    return (output.squeeze(-1) > 0).float()  # the sigmoid exceeds one half where the sum exceeds 0


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Ask the network that was made by hand, and as many that were drawn."""
    gu.manual_seed(seed)
    output = by_hand()(INPUTS).squeeze(-1)
    metrics = {
        "hand/right": float(((output > 0.5).float() == XOR).sum().item()),
        "coin/share": 100 / 16,
    }
    places = gu.tensor([8.0, 4.0, 2.0, 1.0])
    counts = {}
    for width in run.track(WIDTHS, "drawing networks"):
        answers = answers_of_random_networks(width, config.draws, config.spread)
        solved = (answers == XOR).all(dim=1).sum().item()
        metrics |= {
            f"2-{width}-1/solved": solved,
            f"2-{width}-1/draws": config.draws,
            f"2-{width}-1/share": 100 * solved / config.draws,
        }
        functions = (answers * places).sum(dim=1).numpy().astype(int)
        counts[f"width {width}"] = gu.tensor(np.bincount(functions, minlength=16))
    run.save("functions", **counts)
    return metrics


SOURCE = "Layer 1 completion roadmap, example 1, random weights (the figure is ours)"
CLAIMS = [
    Claim(
        "by-hand", "a network 2-2-1 with weights set by hand computes XOR: 4 of 4 answers",
        "Layer 1 completion roadmap, example 1", 4, "hand/right", "equals", estimate="exact",
    ),
    *(
        Claim(
            f"random-{width}",
            f"random weights (2-{width}-1) compute XOR less often than a coin does", SOURCE, 6.25,
            f"2-{width}-1/solved", "at most", of=f"2-{width}-1/draws", unit=" %", digits=2,
        )
        for width in WIDTHS
    ),
]  # fmt: skip


def functions_figure(results: Results, width: int) -> Figure:
    """How often each of the 16 functions of two bits was drawn."""
    outcomes = results.outcomes.values()
    counts = np.sum([o.tensors("functions")[f"width {width}"].numpy() for o in outcomes], axis=0)
    shares = 100 * counts / counts.sum()
    order = np.argsort(-shares, kind="stable")
    with viz.style():
        words = f"Share of each function of two bits among random networks 2-{width}-1"
        figure = new_figure(f"{words}; XOR (0110): {shares[0b0110]:.2f} %.")
        axes = figure.subplots()
        axes.axhline(100 / 16, color="black", linestyle=":", linewidth=1)
        axes.annotate("a coin", (15.4, 100 / 16), ha="right", va="bottom", fontsize=9)
        for place, function in enumerate(order):
            parity = function in (0b0110, 0b1001)
            axes.bar(
                place, shares[function], width=0.8, edgecolor="black", linewidth=0.6,
                color="#D55E00" if parity else "#9cc3de", hatch="///" if parity else None,
            )  # fmt: skip
        axes.set_xticks(range(16), [f"{f:04b}" for f in order], rotation=90, family="monospace")
        axes.set(
            xlabel="Answers to 00, 01, 10, 11 (hatched: XOR, XNOR)",
            ylabel="Random networks (%)",
            yscale="log",
        )
    return figure


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The network that was made by hand, at work, and what random ones compute."""
    drawn: list[viz.Block] = [
        viz.Plot(
            viz.network(
                by_hand(), bits, labels=["x1", "x2"], output_labels=["x1 xor x2"],
                title=f"x1 = {bits[0]}, x2 = {bits[1]}",
            ),
            "OR is the upper hidden node, NAND the lower one.",
        )
        for bits in ([0, 1], [1, 1])
    ]  # fmt: skip
    random: list[viz.Block] = [
        viz.Plot(
            functions_figure(results, width),
            f"What random networks 2-{width}-1 compute, all seeds together.",
        )
        for width in (WIDTHS[0], WIDTHS[-1])
    ]
    return [("XOR by hand", drawn), ("The functions of random networks", random)]
