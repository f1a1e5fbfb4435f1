r"""Boolean functions: parity, majority and adders from examples.

Any function of bits can be written as an OR of ANDs: one hidden neuron for each input that is
answered with 1, and an output neuron that asks whether any of them is on. So one hidden layer is
always enough, if it is wide enough (for parity of $n$ bits this recipe takes $2^{n-1}$ neurons).
The question is what gradient descent finds, starting from random weights:

- **majority** of three bits: at least two are 1. A single neuron can do it: $x_1 + x_2 + x_3 >
  1.5$.
- **parity** of three bits: an odd number of them is 1. Changing any bit changes the answer, so no
  single bit says anything about it, and no single neuron gets more than 6 of 8 answers right.
- **half adder**: two bits make two outputs, sum (XOR) and carry (AND).
- **full adder**: three bits, sum (parity) and carry (majority). The outputs share the hidden units.

Every truth table is learned in full, so nothing is held back for a test: this is about what can be
represented and found, not about generalisation. For that, the last table leaves one of the eight
rows of parity out and asks for it. A network has no reason to prefer parity to another function
that agrees with the seven rows it has seen, and the nearest seen rows all have the other answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments import Claim, Results, Trial

LESSON = 3  # R3.3
SEEDS = range(40)
LOOK = 10
LABELS = {
    "rows": "rows right (all outputs)",
    "learned": "share of runs with all rows right",
    "tried": "networks trained",
    "unseen": "share of runs with the unseen row right",
    "loss": "cross-entropy (nats)",
}
RANGES = {"learned": (0, 1), "unseen": (0, 1), "rows": (0, 8)}
EPOCH = 50
"""Steps between two looks at the bar."""


def table(bits: int) -> gu.Tensor:
    """All rows of a truth table's inputs, 2^bits of them."""
    return gu.tensor([[float(bit) for bit in row] for row in product((0, 1), repeat=bits)])


def parity(x: gu.Tensor) -> gu.Tensor:
    """1 where an odd number of bits is 1."""
    return (x.sum(dim=1) % 2).unsqueeze(1)


def majority(x: gu.Tensor) -> gu.Tensor:
    """1 where more than half of the bits are 1."""
    return (x.sum(dim=1) > x.shape[1] / 2).float().unsqueeze(1)


def adder(x: gu.Tensor) -> gu.Tensor:
    """Sum and carry of two or three bits."""
    return gu.cat([parity(x), (x.sum(dim=1) >= 2).float().unsqueeze(1)], dim=1)


TASKS = {
    "majority-3": (3, majority),
    "parity-3": (3, parity),
    "half-adder": (2, adder),
    "full-adder": (3, adder),
}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        hidden: hidden units.
        steps: of Adam, each on all rows.
        lr: the learning rate.
    """

    hidden: int = 8
    steps: int = 1000
    lr: float = 0.03

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.steps < 1 or self.steps % EPOCH:
            raise ValueError(
                f"hidden {self.hidden}, steps {self.steps}: expected at least 1 unit, and a "
                f"multiple of {EPOCH} steps"
            )


def network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with tanh, or none at all; logits come out."""
    if hidden == 0:
        return nn.Sequential(nn.Linear(inputs, outputs))
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


def rows_right(model: nn.Module, x: gu.Tensor, y: gu.Tensor) -> int:
    """For how many rows all outputs are right."""
    return int(((model(x) > 0).float() == y).all(dim=1).sum().item())


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Learn each truth table with and without a hidden layer, then parity with a row left out."""
    metrics: dict[str, float] = {}

    def trained(name: str, hidden: int, x: gu.Tensor, y: gu.Tensor) -> nn.Sequential:
        gu.manual_seed(seed)
        model = network(x.shape[1], hidden, y.shape[1])
        run.fit(
            name,
            model,
            F.binary_cross_entropy_with_logits,
            optim.Adam(model.parameters(), lr=config.lr),
            [(x, y)] * EPOCH,
            epochs=config.steps // EPOCH,
            animate=hidden > 0,
        )
        return model

    for task, (bits, function) in TASKS.items():
        x = table(bits)
        y = function(x)
        for name, hidden in ((task, config.hidden), (f"{task}-no-hidden", 0)):
            right = rows_right(trained(name, hidden, x, y), x, y)
            metrics |= {
                f"{name}/rows": right,
                f"{name}/learned": float(right == len(x)),
                f"{name}/tried": 1,
            }
    x, y = table(3), parity(table(3))
    out = seed % len(x)
    seen = [row for row in range(len(x)) if row != out]
    model = trained("parity-3-unseen", config.hidden, x[seen], y[seen])
    metrics |= {
        "parity-3-unseen/learned": float(rows_right(model, x[seen], y[seen]) == len(seen)),
        "parity-3-unseen/unseen": rows_right(model, x[[out]], y[[out]]),
        "parity-3-unseen/tried": 1,
    }
    return metrics


SOURCE = "Layer 1 completion roadmap, example 3 (the figures are ours)"
CLAIMS = [
    *(
        Claim(
            task, f"8 hidden units learn {task} in at least 80 % of the runs", SOURCE, 80,
            f"{task}/learned", of=f"{task}/tried", unit=" %",
        )
        for task in TASKS
    ),
    Claim(
        "majority-3-line",
        "without a hidden layer majority-3 is learned in at least 80 % of the runs", SOURCE, 80,
        "majority-3-no-hidden/learned", of="majority-3-no-hidden/tried", unit=" %",
    ),
    *(
        Claim(
            f"{task}-line",
            f"without a hidden layer {task} is learned in at most 20 % of the runs", SOURCE, 20,
            f"{task}-no-hidden/learned", "at most", of=f"{task}-no-hidden/tried", unit=" %",
        )
        for task in ("parity-3", "half-adder", "full-adder")
    ),
    Claim(
        "unseen", "the row of parity that was left out is answered right in at least half of the "
        "runs", SOURCE, 50, "parity-3-unseen/unseen", of="parity-3-unseen/tried", unit=" %",
    ),
]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The adder before and after training, at work on 1 + 1 + 0."""
    config = results.config
    seed, outcome = next(iter(results.outcomes.items()))
    gu.manual_seed(seed)
    before, after = network(3, config.hidden, 2), network(3, config.hidden, 2)
    after.load_state_dict(outcome.weights("full-adder"))
    drawing = viz.before_and_after(
        before, after, [1, 1, 0], labels=["a", "b", "carry in"], output_labels=["sum", "carry"]
    )
    caption = f"Logits for 1 + 1 + 0, seed {seed}: the carry has to be positive, the sum negative."
    return [("The full adder", [viz.Plot(drawing, caption)])]
