r"""Backpropagation: can a network learn AND, OR and XOR from its mistakes?

The network answers, the loss says how wrong it was, and the chain rule says how much each weight
had to do with it. For one hidden layer with tanh, a sigmoid output $p$ and the cross-entropy
$L = -\frac{1}{N}\sum \big(y \log p + (1 - y) \log(1 - p)\big)$, going backwards:

$$\delta = \frac{\partial L}{\partial s} = \frac{p - y}{N}, \qquad
\frac{\partial L}{\partial W_2} = \delta^\top h, \qquad
\frac{\partial L}{\partial h} = \delta\, W_2,$$

$$\epsilon = \frac{\partial L}{\partial h} \odot (1 - h^2), \qquad
\frac{\partial L}{\partial W_1} = \epsilon^\top x .$$

The first is the difference between answer and truth, because the derivative of the sigmoid cancels
against that of the logarithm; each further one is a product with what came later (Rumelhart, Hinton
and Williams, 1986). `by_hand` below writes it out in NumPy, and the experiment compares it with the
engine, which knows only the derivative of each single operation.

**Without a hidden layer there is no XOR.** Such a network says yes where $w_1 x_1 + w_2 x_2 + b >
0$. XOR demands $b \le 0$, $w_1 + b > 0$, $w_2 + b > 0$ and $w_1 + w_2 + b \le 0$. The middle two
add up to $w_1 + w_2 + 2b > 0$, the outer two to $w_1 + w_2 + 2b \le 0$: a contradiction, whatever
the weights (Minsky and Papert, 1969). So at most 3 of the 4 answers are right, however long it
trains. With a hidden layer such weights exist; whether gradient descent finds them depends on where
it starts, most of all where there are only two hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments import Claim, Results, Trial

LESSON = 2  # R3.2
SEEDS = range(50)
LOOK = 12
LABELS = {
    "right": "answers right (of 4)",
    "solved": "share of runs that learned it",
    "tried": "networks trained",
    "hand": "Gradients by hand against the engine's",
    "difference": "largest difference",
    "loss": "cross-entropy (nats)",
}
RANGES = {"right": (0, 4), "solved": (0, 1)}

EPOCH = 50
"""Steps between two looks at the bar."""

Array = np.ndarray

INPUTS = gu.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
FUNCTIONS = {"AND": [0.0, 0.0, 0.0, 1.0], "OR": [0.0, 1.0, 1.0, 1.0], "XOR": [0.0, 1.0, 1.0, 0.0]}
WIDTHS = {"AND": (0, 2), "OR": (0, 2), "XOR": (0, 2, 4)}
"""Hidden units of the networks that learn each."""


def network(hidden: int) -> nn.Sequential:
    """A network 2-hidden-1 that gives logits, or 2-1 if there are no hidden units."""
    if hidden == 0:
        return nn.Sequential(nn.Linear(2, 1))
    return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))


def by_hand(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> dict[str, Array]:
    """The gradients of the cross-entropy of a network with one hidden layer, by the chain rule.

    Args:
        x: inputs (N, 2).
        y: truths (N, 1), 0 or 1.
        w1, b1: weights (H, 2) and biases (H,) of the hidden layer.
        w2, b2: weights (1, H) and bias (1,) of the output.

    Returns:
        The gradient of each weight under the name that the engine's module gives it.
    """
    # forward: what each layer gives
    h = np.tanh(x @ w1.T + b1)
    p = 1 / (1 + np.exp(-(h @ w2.T + b2)))
    # backward: how much the loss changes with the sum that goes into each unit
    delta = (p - y) / len(x)
    epsilon = (delta @ w2) * (1 - h**2)
    return {
        "0.weight": epsilon.T @ x,
        "0.bias": epsilon.sum(axis=0),
        "2.weight": delta.T @ h,
        "2.bias": delta.sum(axis=0),
    }


def largest_difference(seed: int) -> float:
    """Between the gradients by hand and the engine's, in float64, over all weights."""
    gu.manual_seed(seed)
    model = network(4).double()
    x, y = INPUTS.double(), gu.tensor(FUNCTIONS["XOR"]).double().unsqueeze(1)
    F.binary_cross_entropy_with_logits(model(x), y).backward()
    hand = by_hand(x.numpy(), y.numpy(), *[p.detach().numpy() for p in model.parameters()])
    return max(
        float(np.abs(hand[name] - p.grad.numpy()).max())
        for name, p in model.named_parameters()
        if p.grad is not None
    )


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of gradient descent, each on all four examples.
        lr: the learning rate.
        momentum: of gradient descent.
    """

    steps: int = 1000
    lr: float = 0.3
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.steps < 1 or self.steps % EPOCH:
            raise ValueError(f"steps {self.steps}: expected a multiple of {EPOCH}")


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train a network of each width on each function; count the right answers."""
    metrics = {"hand/difference": largest_difference(seed)}
    for function, truth in FUNCTIONS.items():
        target = gu.tensor(truth).unsqueeze(1)
        for hidden in WIDTHS[function]:
            name = f"{function}-2-{hidden}-1" if hidden else f"{function}-2-1"
            gu.manual_seed(seed)
            model = network(hidden)
            run.fit(
                name,
                model,
                F.binary_cross_entropy_with_logits,
                optim.SGD(model.parameters(), lr=config.lr, momentum=config.momentum),
                [(INPUTS, target)] * EPOCH,
                epochs=config.steps // EPOCH,
                animate=function == "XOR",
            )
            right = ((model(INPUTS) > 0).float() == target).sum().item()
            metrics |= {
                f"{name}/right": right,
                f"{name}/solved": float(right == 4),
                f"{name}/tried": 1,
            }
    return metrics


SOURCE = "Layer 1 completion roadmap, example 2 (the figures are ours)"
CLAIMS = [
    *(
        Claim(
            f"{name}-{hidden}",
            f"a network 2-{hidden}-1 learns {name} in at least 80 % of the runs", SOURCE, 80,
            f"{name}-2-{hidden}-1/solved", of=f"{name}-2-{hidden}-1/tried", unit=" %",
        )
        for name, hidden in (("AND", 2), ("OR", 2), ("XOR", 2), ("XOR", 4))
    ),
    *(
        Claim(
            f"{name}-line",
            f"a network without a hidden layer learns {name} in at least 80 % of the runs", SOURCE,
            80, f"{name}-2-1/solved", of=f"{name}-2-1/tried", unit=" %",
        )
        for name in WIDTHS
    ),
    Claim(
        "line", "without a hidden layer at most 3 of the 4 answers of XOR are right",
        "Minsky and Papert (1969)", 3, "XOR-2-1/right", "at most", estimate="median",
    ),
]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """A network before and after it has learned XOR, and one that cannot."""
    seed, outcome = next(iter(results.outcomes.items()))
    blocks: list[viz.Block] = []
    for hidden in WIDTHS["XOR"]:
        name = f"XOR-2-{hidden}-1" if hidden else "XOR-2-1"
        gu.manual_seed(seed)
        before, after = network(hidden), network(hidden)
        after.load_state_dict(outcome.weights(name))
        right = int(outcome.metrics[f"{name}/right"])
        drawing = viz.before_and_after(
            before, after, [1, 0], labels=["x1", "x2"], output_labels=["logit of x1 xor x2"]
        )
        caption = f"{name}, seed {seed}, shown 10: {right} of 4 answers right after training."
        blocks.append(viz.Plot(drawing, caption))
    return [("XOR before and after", blocks)]
