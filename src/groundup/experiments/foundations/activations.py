r"""Activations: what comes through six layers, and what comes back?

Between two linear layers stands a function that bends; without it six layers are one. Forward,
layer $l$ gives $h_l = f(s_l)$ with $s_l = W_l h_{l-1} + b_l$. Backward, the chain rule multiplies
by the slope of $f$ and by the weights, once a layer:

$$\frac{\partial L}{\partial h_{l-1}} = W_l^\top \left(f'(s_l) \odot
\frac{\partial L}{\partial h_l}\right)$$

So from layer 6 to layer 1 it is five slopes and five matrices that decide what is left.

- **sigmoid** $1 / (1 + e^{-s})$: its slope $f(1 - f)$ is at most 1/4.
- **tanh**: its slope $1 - f^2$ is at most 1, less wherever the unit says something.
- **ReLU** $\max(0, s)$ (Nair and Hinton, 2010): slope 1 or 0. What is on passes the gradient whole;
  a unit that is off for every example gets none and stays off: it is dead.
- **leaky ReLU** (Maas et al., 2013): slope 0.01 instead of 0, so there is always a way back.
- **GELU** $s\,\Phi(s)$ (Hendrycks and Gimpel, 2016) and **SiLU** or Swish $s\,\sigma(s)$ (Elfwing
  et al., 2018): smooth; their slopes reach 1.13 and 1.10.
- **softmax** $e^{s_i} / \sum_j e^{s_j}$ makes one set of probabilities of all units of a layer, so
  its place is the output. With the cross-entropy the gradient there is plainly $p - y$.

**How much is left can be bounded before anything is trained.** Let each $W_l$ begin as $g$ times an
orthogonal matrix, which changes no length (Saxe et al., 2014). Then what reaches layer 1 is at most
$(g \max |f'|)^5$ of what is at layer 6. For the sigmoid with $g = 1$ that is $4^{-5}$, less than
0.1 %, whatever the data. It is the product that counts, not the sigmoid alone: with $g = 4$ the
bound is 1. That network takes part as "sigmoid, 4 x W". The others have the usual gains
(`nn.init.calculate_gain`): 1 for the sigmoid, 5/3 for tanh, $\sqrt 2$ for ReLU and its relatives.

**What is claimed.** The document that this project started from says of six layers: with sigmoids
the gradient vanishes after layer 3 and training fails; with ReLU all layers are active, 94 %; leaky
ReLU prevents dead neurons, 96 %; GELU 95 %. Of what, it does not say ("a complex function"). We
read: at layer 3, or else below it, at layer 2, at most 1 % of the gradient at layer 6 is left,
before training; failed is at most 15 % right of ten digits, 55 % of two spirals, where guessing
gives 10 and 50; a layer is active if half of its units are not dead; a unit is dead if its slope is
below 0.001 for every training example. Of leaky ReLU that can never be said, since 0.01 is its
smallest slope; so the question is whether ReLU has units that die.

**What is measured.** Six layers of 64 units on the 8x8 digits (60 % of the images to learn from,
20 % to choose by, 20 % to test on), by gradient descent with momentum. Each activation has its own
learning rate, the best of the same seven on seeds that are not reported. The digits are too easy to
tell those activations apart that train at all, so there is a second task: **two spirals** (Lang and
Witbrock, 1988) of two and a half turns each, 800 points to learn from. And since Adam divides each
weight's gradient by its size, which makes up for much of what vanished, the digits are learned with
Adam too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader, TensorDataset
from groundup.data.digits import load_digits
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.trial import Outcome
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import Callback, Schedule, accuracy, evaluate, gradient_flow, loss_landscape
from groundup.training.run import Run as Training

LESSON = 5  # R3.5, R2.1, R2.10
SEEDS = range(10, 20)
LOOK = 2
TUNING_SEEDS = (100, 101, 102)
LABELS = {
    "test_accuracy": "test accuracy (%)",
    "validation_accuracy": "validation accuracy (%)",
    "dead": "dead units (%)",
    "active": "not dead, weakest layer (%)",
    "left": "gradient left at layer 1 (%)",
    "left_at_2": "gradient left at layer 2 (%)",
    "left_at_3": "gradient left at layer 3 (%)",
    "epoch_loss": "cross-entropy (nats)",
}
RANGES = {
    **dict.fromkeys(("test_accuracy", "validation_accuracy", "dead", "active"), (0, 100)),
    **dict.fromkeys(("left", "left_at_2", "left_at_3"), (0, math.inf)),
}
DEPTH, WIDTH = 6, 64
DEAD = 0.001
"""A slope below it is none; nor is what is no number any more, where training diverged."""


# The networks


class Activation(NamedTuple):
    """What stands between the layers.

    Attributes:
        layer: makes it.
        gain: what the orthogonal initial weights are multiplied by.
        slope: the largest that it has.
    """

    layer: Callable[[], nn.Module]
    gain: float
    slope: float


ROOT = math.sqrt(2)
ACTIVATIONS = {
    "sigmoid": Activation(nn.Sigmoid, 1.0, 0.25),
    "sigmoid_x4": Activation(nn.Sigmoid, 4.0, 0.25),
    "tanh": Activation(nn.Tanh, 5 / 3, 1.0),
    "ReLU": Activation(nn.ReLU, ROOT, 1.0),
    "leaky_ReLU": Activation(nn.LeakyReLU, ROOT, 1.0),
    "GELU": Activation(nn.GELU, ROOT, 1.129),
    "SiLU": Activation(nn.SiLU, ROOT, 1.0999),
}


def words(name: str) -> str:
    """An activation as a figure names it."""
    return {"sigmoid_x4": "sigmoid, 4 x W"}.get(name, name.replace("_", " "))


def network(name: str, inputs: int, outputs: int) -> nn.Sequential:
    """Six hidden layers of 64 units; logits come out."""
    activation = ACTIVATIONS[name]
    layers: list[nn.Module] = [nn.Flatten()]
    for size in (inputs, *[WIDTH] * (DEPTH - 1)):
        layers += [_linear(size, WIDTH, activation.gain), activation.layer()]
    model = nn.Sequential(*layers, _linear(WIDTH, outputs, 1.0))
    for bias in [p for p in model.parameters() if p.ndim == 1]:
        nn.init.zeros_(bias)
    return model


def _linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    return layer


HIDDEN = [str(2 * layer + 2) for layer in range(DEPTH)]
"""The names of the activations in the network, from layer 1 to layer 6."""


def bound(name: str, layers: int = DEPTH - 1) -> float:
    """The largest share of the gradient, in percent, that can come down so many layers."""
    activation = ACTIVATIONS[name]
    return 100 * (activation.gain * activation.slope) ** layers


# What is looked at


def arrived(model: nn.Module, batch: tuple[gu.Tensor, ...]) -> list[float]:
    """The size of the gradient at what each hidden layer gives, from layer 1 to layer 6."""
    flow = gradient_flow(model, F.cross_entropy, batch, HIDDEN)
    return [flow[name].gradient for name in HIDDEN]


class Watch(Callback):
    """Looks at the gradients before training and after each epoch."""

    def __init__(self, batch: tuple[gu.Tensor, ...]) -> None:
        self.batch = batch
        self.rows: list[list[float]] = []

    def on_fit_start(self, run: Training) -> None:
        """Look, unless the training goes on."""
        if not self.rows:
            self.rows.append(arrived(run.model, self.batch))

    def on_epoch_end(self, run: Training) -> None:
        """Look."""
        self.rows.append(arrived(run.model, self.batch))

    def state_dict(self) -> dict[str, Any]:
        """What was seen."""
        return {"rows": gu.tensor(self.rows, dtype=gu.float64)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.rows = state["rows"].tolist()


def sloped(layer: nn.Module, s: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
    """What an activation gives, and its slope at the same places."""
    s = s.detach().requires_grad_()
    y = layer(s)
    (slope,) = gu.grad(y.sum(), s)
    assert slope is not None
    return y.detach(), slope


def alive(model: nn.Sequential, x: gu.Tensor) -> list[float]:
    """The share of each hidden layer's units, in percent, whose slope is not always nothing."""
    shares = []
    for name, layer in model.named_children():
        if name in HIDDEN:
            x, slope = sloped(layer, x)
            shares.append(100 * (slope.abs() >= DEAD).any(dim=0).float().mean().item())
        else:
            x = layer(x)
    return shares


# The tasks


class Data(NamedTuple):
    """Inputs and labels to learn from, to choose by and to test on."""

    train: TensorDataset
    validation: tuple[gu.Tensor, ...]
    test: tuple[gu.Tensor, ...]


def digits(seed: int) -> Data:
    """The 8x8 digits: 60, 20 and 20 %."""
    train, validation, test = load_digits((0.6, 0.2, 0.2), seed)
    return Data(train, validation.tensors, test.tensors)


def spirals(seed: int) -> Data:
    """Points on two arms that wind two and a half times around each other: 800, 400 and 400."""
    random = np.random.default_rng(seed)
    arm = random.integers(0, 2, 1600)
    radius = np.sqrt(random.uniform(0.02, 1.0, 1600))
    angle = np.pi * (5 * radius + arm)
    x = 2 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x += 0.04 * random.standard_normal(x.shape)
    points, labels = gu.tensor(x.astype(np.float32)), gu.tensor(arm)
    parts = [(points[a:b], labels[a:b]) for a, b in ((0, 800), (800, 1200), (1200, 1600))]
    return Data(TensorDataset(*parts[0]), *parts[1:])


class Task(NamedTuple):
    """Something to learn.

    In turn: data by seed; how many numbers go in, and classes; optimizer; learning rates to choose
    from; the field of the config that says how long; who takes part.
    """

    data: Callable[[int], Data]
    shape: tuple[int, int]
    optimizer: Callable[..., optim.Optimizer]
    rates: tuple[float, ...]
    epochs: str
    activations: tuple[str, ...]


def momentum(weights: Any, lr: float) -> optim.Optimizer:
    """Gradient descent with momentum 0.9."""
    return optim.SGD(weights, lr=lr, momentum=0.9)


SGD_RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
ADAM_RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
ALL, ADAPTIVE = tuple(ACTIVATIONS), ("sigmoid", "sigmoid_x4", "ReLU")
TASKS = {
    "digits": Task(digits, (64, 10), momentum, SGD_RATES, "epochs", ALL),
    "adam": Task(digits, (64, 10), optim.Adam, ADAM_RATES, "epochs", ADAPTIVE),
    "spirals": Task(spirals, (2, 2), momentum, SGD_RATES, "spirals_epochs", ALL),
}

LABELS |= {
    f"{name}-{task_name}": f"{words(name)}, {place}"
    for task_name, place in (("digits", "digits"), ("adam", "Adam"), ("spirals", "spirals"))
    for name in TASKS[task_name].activations
}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        activations: which to train with.
        tasks: on what, of digits, adam (the digits with Adam) and spirals.
        epochs: passes over the training images.
        spirals_epochs: passes over the points of the spirals.
        batch_size: examples for one step.
        digits: the learning rate of each activation for the digits.
        adam: the same with Adam.
        spirals: the same for the spirals.
    """

    activations: tuple[str, ...] = ALL
    tasks: tuple[str, ...] = tuple(TASKS)
    epochs: int = 20
    spirals_epochs: int = 40
    batch_size: int = 64
    digits: dict[str, float] = field(
        default_factory=lambda: {
            "sigmoid": 0.1, "sigmoid_x4": 0.3, "tanh": 0.1, "ReLU": 0.03, "leaky_ReLU": 0.03,
            "GELU": 0.01, "SiLU": 0.03,
        }
    )  # fmt: skip
    adam: dict[str, float] = field(
        default_factory=lambda: {"sigmoid": 0.01, "sigmoid_x4": 0.01, "ReLU": 0.01}
    )
    spirals: dict[str, float] = field(
        default_factory=lambda: {
            "sigmoid": 0.1, "sigmoid_x4": 0.3, "tanh": 0.1, "ReLU": 0.1, "leaky_ReLU": 0.1,
            "GELU": 0.1, "SiLU": 0.3,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        for what, given, known in (
            ("activation", self.activations, ACTIVATIONS),
            ("task", self.tasks, TASKS),
        ):
            if unknown := [name for name in given if name not in known]:
                raise ValueError(f"no {what} {', '.join(unknown)}: expected of {', '.join(known)}")
        counts = self.epochs, self.spirals_epochs, self.batch_size
        if min(counts) < 1:
            raise ValueError(
                f"epochs, spirals_epochs, batch_size {counts}: expected at least 1 of each"
            )


# The experiment


def percent_right(model: nn.Module, batch: tuple[gu.Tensor, ...]) -> float:
    """Accuracy in percent."""
    return 100 * evaluate(model, [batch], {"accuracy": accuracy})["accuracy"]


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train with every activation on every task."""
    metrics: dict[str, float] = {}
    for task_name in config.tasks:
        task = TASKS[task_name]
        data = task.data(seed)
        for name in [name for name in config.activations if name in task.activations]:
            gu.manual_seed(seed)
            model = network(name, *task.shape)
            epochs, rate = getattr(config, task.epochs), getattr(config, task_name)[name]
            optimizer = task.optimizer(model.parameters(), lr=rate)
            watch = Watch(data.validation)
            run.fit(
                f"{name}-{task_name}",
                model,
                F.cross_entropy,
                optimizer,
                DataLoader(data.train, batch_size=config.batch_size, shuffle=True),
                epochs=epochs,
                callbacks=[
                    Schedule(CosineAnnealingLR(optimizer, T_max=epochs), per="epoch"),
                    *([watch] if task_name == "digits" else []),
                ],
                animate=task_name == "spirals" and name in ADAPTIVE,
            )
            shares = alive(model, data.train.tensors[0])
            found = {
                "validation_accuracy": percent_right(model, data.validation),
                "test_accuracy": percent_right(model, data.test),
                "dead": 100 - sum(shares) / DEPTH,
                "active": min(shares),
            }
            if task_name == "digits":
                first = watch.rows[0]
                found |= {
                    "left_at_2": 100 * first[1] / first[-1],
                    "left_at_3": 100 * first[2] / first[-1],
                    "left": 100 * first[0] / first[-1],
                }
                run.save(f"gradients-{name}", gradients=gu.tensor(watch.rows, dtype=gu.float64))
            metrics |= {f"{name}-{task_name}/{measure}": x for measure, x in found.items()}
    return metrics


TUNED = [
    Tuned(
        f"{task_name}.{name}",
        task.rates,
        f"{name}-{task_name}/validation_accuracy",
        given={"tasks": (task_name,), "activations": (name,)},
    )
    for task_name, task in TASKS.items()
    for name in task.activations
]

# What is claimed

SOURCE = "Layer 1 completion roadmap, example 5, expected output"
READ = f"{SOURCE}, as read above"
OURS = "Layer 1 completion roadmap, example 5 (the figures are ours)"
PLACES = {"digits": "the digits", "spirals": "the spirals"}
CLAIMS = [
    Claim(
        "vanishes-at-3", "at layer 3 of sigmoids at most 1 % of the gradient at layer 6 is left",
        READ, 1, "sigmoid-digits/left_at_3", "at most", unit=" %", digits=2,
    ),
    Claim(
        "vanishes", "below layer 3 of sigmoids at most 1 % of the gradient at layer 6 is left",
        READ, 1, "sigmoid-digits/left_at_2", "at most", unit=" %", digits=2,
    ),
    Claim(
        "fails-digits", "sigmoids fail to learn the digits: at most 15 % right", READ, 15,
        "sigmoid-digits/test_accuracy", "at most", unit=" %", digits=1,
    ),
    Claim(
        "fails-spirals", "sigmoids fail to learn the spirals: at most 55 % right", READ, 55,
        "sigmoid-spirals/test_accuracy", "at most", unit=" %", digits=1,
    ),
    Claim(
        "fails-adam", "sigmoids fail to learn the digits with Adam too: at most 15 % right", READ,
        15, "sigmoid-adam/test_accuracy", "at most", unit=" %", digits=1,
    ),
    Claim(
        "active", "with ReLU all layers are active: half of the units of the weakest or more",
        READ, 50, "ReLU-digits/active", unit=" %", digits=1,
    ),
    *(
        Claim(
            f"{name}-{task}", f"{name.replace('_', ' ')} reaches {figure} % on {place}", SOURCE,
            figure, f"{name}-{task}/test_accuracy", unit=" %", digits=1,
        )
        for task, place in PLACES.items()
        for name, figure in (("ReLU", 94), ("leaky_ReLU", 96), ("GELU", 95))
    ),
    *(
        Claim(
            f"{name}-gain-{task}",
            f"{name.replace('_', ' ')} is {gain} better than ReLU on {place}", SOURCE, figure,
            f"{name}-{task}/test_accuracy", minus=f"ReLU-{task}/test_accuracy", unit=" points",
            digits=1,
        )
        for task, place in PLACES.items()
        for name, figure, gain in (("leaky_ReLU", 2, "2 points"), ("GELU", 1, "1 point"))
    ),
    *(
        Claim(
            f"dead-{task}",
            f"leaky ReLU prevents dead units on {place}: 1 point fewer than with ReLU", READ,
            1, f"ReLU-{task}/dead", minus=f"leaky_ReLU-{task}/dead", unit=" points", digits=1,
        )
        for task, place in PLACES.items()
    ),
    Claim(
        "bound", "six sigmoids leave at most 0.1 % of the gradient at layer 1 (4^-5)", OURS, 0.1,
        "sigmoid-digits/left", "at most", unit=" %", digits=2,
    ),
    Claim(
        "ReLU-passes", "six ReLUs leave at least half of the gradient at layer 1", OURS, 50,
        "ReLU-digits/left", unit=" %", digits=1,
    ),
    Claim(
        "weights", "with weights 4 times as large six sigmoids learn the digits: 90 % right", OURS,
        90, "sigmoid_x4-digits/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "adam", "with Adam sigmoids are at least 10 points better on the digits than without",
        OURS, 10, "sigmoid-adam/test_accuracy", minus="sigmoid-digits/test_accuracy",
        unit=" points", digits=1,
    ),
]  # fmt: skip


# What the report shows besides tables and curves


def shapes() -> list[viz.Block]:
    """The functions and their slopes."""
    s = gu.linspace(-4, 4, 161)
    found = {words(n): sloped(ACTIVATIONS[n].layer(), s) for n in ALL if n != "sigmoid_x4"}
    values = {name: y.numpy() for name, (y, _) in found.items()}
    slopes = {name: slope.numpy() for name, (_, slope) in found.items()}
    return [
        viz.Plot(viz.curves(values, "Sum that goes in", "What comes out", x=s), "Activations."),
        viz.Plot(
            viz.curves(slopes, "Sum that goes in", "Slope", x=s),
            "Their slopes: what the gradient is multiplied by on the way back.",
        ),
    ]


def flows(results: Results) -> list[viz.Block]:
    """Gradients layer by layer, at the start over all seeds and over time for one."""
    names = results.config.activations
    rows = {
        name: np.stack([_gradients(outcome, name) for outcome in results.outcomes.values()])
        for name in names
    }
    left = {words(n): 100 * r[:, 0] / r[:, 0, -1:] for n, r in rows.items()}
    steps = np.arange(DEPTH - 1, -1, -1)
    left["bound for sigmoid"] = np.array([bound("sigmoid", int(n)) for n in steps])
    start = viz.curves(left, "Hidden layer, from the input", "Gradient, % of layer 6", log_y=True)
    seed = next(iter(results.outcomes))
    panels = {words(name): r[0].T for name, r in rows.items()}
    over_time = viz.heatmaps(
        panels,
        "Epoch",
        "Hidden layer, from the input",
        "Gradient at the layer's output",
        x=range(results.config.epochs + 1),
        log=True,
    )
    return [
        viz.Plot(start, "At the start: how much of the gradient at layer 6 arrives at the others."),
        viz.Plot(
            over_time,
            f"Over time (digits, seed {seed}): root mean square of one image's gradient with "
            "respect to what each layer gives.",
        ),
    ]


def _gradients(outcome: Outcome, name: str) -> np.ndarray:
    """(epochs + 1, layers); what is not finite any more counts as nothing."""
    found = outcome.tensors(f"gradients-{name}")["gradients"].numpy()
    return np.where(np.isfinite(found), found, 0.0)


def surfaces(results: Results) -> list[viz.Block]:
    """The loss around the weights that training ended with."""
    seed, outcome = next(iter(results.outcomes.items()))
    batch = digits(seed).validation
    blocks: list[viz.Block] = []
    for name in ("sigmoid", "ReLU"):
        if name not in results.config.activations:
            continue
        model = network(name, 64, 10)
        model.load_state_dict(outcome.weights(f"{name}-digits"))
        seen = loss_landscape(
            model, F.cross_entropy, [batch], points=17, generator=gu.Generator(seed)
        )
        figure = viz.contours(
            seen.x, seen.y, seen.loss, "First random direction", "Second random direction",
            "Cross-entropy (nats)", [[0, 0]], path_ends=("", "weights after training"),
            title=words(name),
        )  # fmt: skip
        caption = (
            f"{words(name)}, validation images, seed {seed}: loss from {seen.loss.min():.3g} to "
            f"{seen.loss.max():.3g}. In both directions each filter has the norm of the weights' "
            "own (Li et al., 2018)."
        )
        blocks.append(viz.Plot(figure, caption))
    return blocks


def rates(results: Results) -> list[viz.Block]:
    """The learning rates."""
    config = results.config
    lines = [f"{'':22}" + "".join(f"{task:>9}" for task in TASKS)]
    for name in config.activations:
        chosen = [getattr(config, task).get(name) for task in TASKS]
        cells = "".join(f"{'-' if rate is None else format(rate, 'g'):>9}" for rate in chosen)
        lines.append(f"{words(name):22}{cells}")
    note = "The best of seven on seeds 100 to 102. Where nothing trains the choice means nothing."
    return [viz.Code("\n".join(lines), note)]


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The functions, the gradients, the loss around the weights, and the learning rates."""
    found = [("Activations and their slopes", shapes())]
    if "digits" in results.config.tasks:
        found += [("Gradients by layer", flows(results)), ("Landscapes", surfaces(results))]
    return [*found, ("Learning rates", rates(results))]
