r"""Optimizers: how many steps does each need, once each has its best learning rate?

With the gradient $g_t$ of the loss at the weights $\theta_t$:

- **SGD** goes downhill: $\theta_{t+1} = \theta_t - \eta\, g_t$.
- **Momentum** keeps going (Polyak, 1964): $v_t = \mu v_{t-1} + g_t$, $\theta_{t+1} = \theta_t -
  \eta\, v_t$. **Nesterov** (1983) looks at the gradient where the momentum leads.
- **RMSprop** (Hinton, 2012) divides each weight's gradient by its recent size: $s_t = \rho s_{t-1}
  + (1 - \rho) g_t^2$, $\theta_{t+1} = \theta_t - \eta\, g_t / (\sqrt{s_t} + \epsilon)$.
- **Adam** (Kingma and Ba, 2015) does both, with averages corrected for having begun at zero;
  **AdamW** (Loshchilov and Hutter, 2019) also shrinks the weights, apart from the gradient.

The document that this project started from trains 3-bit parity with SGD at a rate of 0.5 (5,000
iterations), with momentum 0.9 (3,200) and with Adam at 0.001 (1,200), and concludes that Adam is
4.2 times faster. Rates mean different things to different optimizers, so such a comparison says as
much about the rates as about the methods. Here each optimizer has its rate chosen from the same
ten values on seeds that are not reported, and the document's own rates are run beside. Steps are
counted, not seconds. Whoever does not arrive counts with the limit of steps, so ratios against it
are lower bounds.

Parity has eight examples and 41 weights. To tell the methods apart on something less small, the
same race is run on **two spirals** (Lang and Witbrock, 1988), 200 points that wind around each
other, with a network of 1,185 weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.training import Callback
from groundup.training.run import Run as Training

LESSON = 4  # R3.4
SEEDS = range(10)
LOOK = 4
TUNING_SEEDS = (100, 101, 102)
LABELS = {
    "parity": "steps to learn parity",
    "spirals": "steps to learn two spirals",
    "parity_as_documented": "steps to learn parity, the document's rates",
    "loss": "loss",
}
RANGES = {
    "parity": (0, math.inf),
    "spirals": (0, math.inf),
    "parity_as_documented": (0, math.inf),
}
GOAL = "minimize"

Rule = Callable[[Iterable[Any], float], optim.Optimizer]
RULES: dict[str, Rule] = {
    "SGD": lambda weights, lr: optim.SGD(weights, lr=lr),
    "momentum": lambda weights, lr: optim.SGD(weights, lr=lr, momentum=0.9),
    "Nesterov": lambda weights, lr: optim.SGD(weights, lr=lr, momentum=0.9, nesterov=True),
    "RMSprop": lambda weights, lr: optim.RMSprop(weights, lr=lr),
    "Adam": lambda weights, lr: optim.Adam(weights, lr=lr),
    "AdamW": lambda weights, lr: optim.AdamW(weights, lr=lr),
}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
DOCUMENTED = {"SGD": 0.5, "momentum": 0.5, "Adam": 0.001}
"""The rates at which the document compares."""
EPOCH = 50
"""Steps between two looks at the bar."""


# The tasks


@dataclass(frozen=True)
class Task:
    """Something to learn: all examples in each step, until the loss is low enough.

    Attributes:
        data: seed -> inputs and targets.
        network: what learns.
        loss: what is minimised.
        enough: the loss at which it counts as learned.
        limit: steps after which it is given up.
    """

    data: Callable[[int], tuple[gu.Tensor, gu.Tensor]]
    network: Callable[[], nn.Sequential]
    loss: Callable[..., gu.Tensor]
    enough: float
    limit: int


def parity(seed: int) -> tuple[gu.Tensor, gu.Tensor]:
    """The eight rows of three bits, and whether an odd number of them is 1."""
    x = gu.tensor([[float(i >> k & 1) for k in (2, 1, 0)] for i in range(8)])
    return x, (x.sum(dim=1) % 2).unsqueeze(1)


def parity_network() -> nn.Sequential:
    """3-8-1 with sigmoids, as in the document."""
    return nn.Sequential(nn.Linear(3, 8), nn.Sigmoid(), nn.Linear(8, 1), nn.Sigmoid())


def spirals(seed: int) -> tuple[gu.Tensor, gu.Tensor]:
    """Two arms of 100 points each that wind almost twice around each other, with noise."""
    random = np.random.default_rng(seed)
    turn = np.linspace(0.25, 1.0, 100)
    arm = turn[:, None] * np.stack([np.cos(5 * np.pi * turn), np.sin(5 * np.pi * turn)], axis=1)
    x = np.concatenate([arm, -arm]) + 0.02 * random.standard_normal((200, 2))
    y = np.repeat([[0.0], [1.0]], 100, axis=0)
    return gu.tensor(x.astype(np.float32)), gu.tensor(y.astype(np.float32))


def spirals_network() -> nn.Sequential:
    """2-32-32-1 with tanh; logits come out."""
    return nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )


TASKS = {
    "parity": Task(parity, parity_network, F.mse_loss, enough=0.01, limit=10_000),
    "spirals": Task(
        spirals, spirals_network, F.binary_cross_entropy_with_logits, enough=0.1, limit=5_000
    ),
}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        optimizers: which to race.
        tasks: on what, of parity and spirals.
        documented: race parity at the document's rates too.
        parity: the learning rate of each optimizer for parity.
        spirals: the learning rate of each optimizer for the spirals.
    """

    optimizers: tuple[str, ...] = tuple(RULES)
    tasks: tuple[str, ...] = tuple(TASKS)
    documented: bool = True
    parity: dict[str, float] = field(
        default_factory=lambda: {
            "SGD": 10.0, "momentum": 3.0, "Nesterov": 3.0, "RMSprop": 0.1, "Adam": 0.1,
            "AdamW": 0.1,
        }
    )  # fmt: skip
    spirals: dict[str, float] = field(
        default_factory=lambda: {
            "SGD": 3.0, "momentum": 1.0, "Nesterov": 1.0, "RMSprop": 0.01, "Adam": 0.1,
            "AdamW": 0.1,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        if unknown := set(self.optimizers) - set(RULES):
            raise ValueError(f"no optimizer {', '.join(unknown)}: there are {', '.join(RULES)}")
        if unknown := set(self.tasks) - set(TASKS):
            raise ValueError(f"no task {', '.join(unknown)}: there are {', '.join(TASKS)}")


# The race


class Arrived(Callback):
    """Ends the training when the loss is low enough."""

    def __init__(self, enough: float) -> None:
        self.enough = enough

    def on_step_end(self, run: Training) -> None:
        """Look at the loss of the step."""
        run.stop = run.history.steps["loss"][-1] <= self.enough


def race(run: Trial, name: str, task: Task, rule: Rule, rate: float, seed: int) -> int:
    """Steps until the loss is low enough, or the limit."""
    gu.manual_seed(seed)
    model = task.network()
    history = run.fit(
        name,
        model,
        task.loss,
        rule(model.parameters(), rate),
        [task.data(seed)] * EPOCH,
        epochs=task.limit // EPOCH,
        callbacks=[Arrived(task.enough)],
        animate=False,
    )
    return len(history.steps["loss"])


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Race the optimizers on each task from the same starts."""
    metrics: dict[str, float] = {}
    for task in config.tasks:
        rates = getattr(config, task)
        for name in config.optimizers:
            steps = race(run, f"{name}-{task}", TASKS[task], RULES[name], rates[name], seed)
            metrics[f"{name}/{task}"] = steps
    if config.documented:
        for name, rate in DOCUMENTED.items():
            steps = race(run, f"{name}-documented", TASKS["parity"], RULES[name], rate, seed)
            metrics[f"{name}/parity_as_documented"] = steps
    return metrics


TUNED = [
    Tuned(
        f"{task}.{name}",
        RATES,
        f"{name}/{task}",
        "minimize",
        given={"tasks": (task,), "optimizers": (name,), "documented": False},
    )
    for task in TASKS
    for name in RULES
]


SOURCE = "Layer 1 completion roadmap, example 4, expected output"
CLAIMS = [
    Claim(
        "adam", "SGD needs 4.2 times as many steps as Adam on parity, at their best rates", SOURCE,
        4.2, "SGD/parity", over="Adam/parity", digits=1,
    ),
    Claim(
        "momentum", "SGD needs 1.6 times as many steps as SGD with momentum on parity, at their "
        "best rates", SOURCE, 1.6, "SGD/parity", over="momentum/parity", digits=1,
    ),
    Claim(
        "adam-documented", "SGD at 0.5 needs 4.2 times as many steps as Adam at 0.001 on parity",
        SOURCE, 4.2, "SGD/parity_as_documented", over="Adam/parity_as_documented", digits=1,
    ),
    Claim(
        "adam-steps", "Adam at 0.001 needs 1,200 steps for parity", SOURCE, 1200,
        "Adam/parity_as_documented", "at most", estimate="median",
    ),
    Claim(
        "sgd-steps", "SGD at 0.5 needs 5,000 steps for parity", SOURCE, 5000,
        "SGD/parity_as_documented", "at most", estimate="median",
    ),
    Claim(
        "adam-spirals", "SGD needs 4.2 times as many steps as Adam on two spirals, at their best "
        "rates", SOURCE, 4.2, "SGD/spirals", over="Adam/spirals", digits=1,
    ),
]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The rates that were chosen."""
    config = results.config
    lines = [f"{'':10}{'parity':>8}{'spirals':>9}"]
    lines += [
        f"{name:10}{config.parity[name]:>8g}{config.spirals[name]:>9g}"
        for name in config.optimizers
    ]
    words = "The learning rate of each optimizer: the best of ten on seeds 100 to 102."
    return [("Learning rates", [viz.Code("\n".join(lines), words)])]
