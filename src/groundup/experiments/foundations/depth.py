r"""Depth: what lets a network of 6, 16, 32 or 64 layers learn at all?

A network is a chain of functions, each applied to what the last one gives, $h_{k+1} = f_k(h_k)$. By
the chain rule the gradient comes back through the product of their Jacobians $J_k$:

$$\frac{\partial \mathcal{L}}{\partial h_1} = J_1^\top J_2^\top \cdots J_K^\top
\frac{\partial \mathcal{L}}{\partial h_{K+1}} .$$

**Why the plain product shrinks.** Let $f(h) = W \mathrm{relu}(h)$, with $n$ units and independent
weights of mean 0 and variance $v$. ReLU lets half of the squares through, and each row of $W$ adds
up $n$ of them. Going forward and, in the same way, going back:

$$\mathrm{E}\,|h_{k+1}|^2 = \frac{nv}{2} \, \mathrm{E}\,|h_k|^2 , \qquad
\mathrm{E}\,|J_k^\top g|^2 = \frac{nv}{2} \, \mathrm{E}\,|g|^2 .$$

Whatever $nv/2$ is, it is raised to the power of the depth (Hochreiter, 1991; Glorot and Bengio,
2010). PyTorch's default has $v = 1/(3n)$, a factor of 1/6 a layer: over the 62 layers between the
first and the last of 64 the gradient shrinks to $6^{-31} = 10^{-24}$. He et al. (2015) take
$v = 2/n$, so that the factor is 1; for linear layers Saxe et al. (2014) get it from orthogonal
matrices. But length is not all. The cosine $c$ between two images becomes
$(\sqrt{1 - c^2} + (\pi - \arccos c)\, c)/\pi$ at each layer (Cho and Saul, 2009), which creeps
towards 1: after many layers all images look the same.

**Why a shortcut helps.** With $h_{k+1} = h_k + f_k(h_k)$ each Jacobian is $I + J_k$, and

$$\prod_k (I + J_k) = I + \sum_k J_k + \sum_{j<k} J_j J_k + \dots :$$

the gradient of the last layer reaches the first as it is, whatever the blocks do to theirs (He et
al., 2016). Now the squares grow by $1 + (nv/2)^2$ for each block of two layers, harmless for
$v = 1/(3n)$, but $2^{31}$ in all for He's $2/n$. With layer normalisation before each relu (Ba et
al., 2016) every block adds the same amount, whatever came in: growth is a sum, no power.

**Batch normalisation** (Ioffe and Szegedy, 2015) holds the signal at one size, not the gradient.
Without shortcuts what goes into a layer has the variance $nv(\pi - 1)/(2\pi)$ over the batch; the
way back divides by it and multiplies by $nv/2$: a factor of $\pi/(\pi - 1) = 1.47$ a layer, which
makes it explode (Yang et al., 2019).

**What is claimed.** The document that this project started from has 6 layers fail ("gradient
vanishes, fails to converge"), reach 97 % with residuals, and 98 %, and that faster, with layer
normalisation too; of what, it does not say ("complex task"). We take the 8x8 digits and count
layers with weights, the first and the last included. We read "vanishes" as: before training, less
than a hundredth of the gradient by what the last block gives arrives at what the first layer gives;
"fails" as: fewer than half of the test images are right. Six layers turn out to be few, so the same
is done with 16, 32 and 64.

**What is measured.** All networks are made of the same blocks, relu, linear, relu, linear, of 64
units, with PyTorch's default initialisation except where He's is named; normalisation stands before
each relu. Gradients are by what a block gives, not by its weights, which hide the matter: in a
plain network without biases every layer has the same $\sum W_{ij}\, \partial \mathcal{L}/\partial
W_{ij}$, since each scales the output alike. SGD with momentum 0.9 and a cosine schedule takes 240
steps, at the best of seven rates for each network and depth: that of the highest validation
accuracy, averaged over all epochs, so that both how fast and how far it comes counts. Whoever does
not reach the loss counts with all steps. The last figures show the loss around trained weights, in
two random directions with the length of each unit's own weights (Li et al., 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from statistics import fmean

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader
from groundup.data.digits import Digits, load_digits
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations.signal_propagation import compare, decades, initialise
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import Schedule, accuracy, gradient_flow, loss_landscape, predict

LESSON = 6  # R3.6
SEEDS = range(10, 20)
TUNING_SEEDS = (100, 101)
LOOK = 1
DEPTHS = (6, 16, 32, 64)
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
PIXELS, CLASSES = 64, 10
ENOUGH = 0.1
"""Training loss (nats, mean over as many steps as an epoch has) to which steps are counted."""
SHOWN = 256
"""Training images by which signals and gradients are measured."""


# The networks


@dataclass(frozen=True)
class Kind:
    """How a network is built.

    Attributes:
        residual: each block is added to what goes into it.
        norm: stands before each relu, if anything.
        he: He's initialisation, else PyTorch's default.
    """

    residual: bool = False
    norm: type[nn.LayerNorm] | type[nn.BatchNorm1d] | None = None
    he: bool = False


KINDS = {
    "plain": Kind(),
    "plain-He": Kind(he=True),
    "residual": Kind(residual=True),
    "residual-LN": Kind(residual=True, norm=nn.LayerNorm),
    "plain-BN": Kind(norm=nn.BatchNorm1d),
    "residual-BN": Kind(residual=True, norm=nn.BatchNorm1d),
}
NAMES = {
    "plain": "plain",
    "plain-He": "plain, He's initialisation",
    "residual": "residual",
    "residual-LN": "residual, LayerNorm",
    "plain-BN": "plain, BatchNorm",
    "residual-BN": "residual, BatchNorm",
}
CONDITIONS = [f"{name}-{depth}" for depth in DEPTHS for name in KINDS]
LABELS = {
    **{f"{name}-{depth}": f"{depth} layers, {NAMES[name]}" for depth in DEPTHS for name in KINDS},
    "test_accuracy": "test accuracy (%)",
    "validation_accuracy": "validation accuracy (%)",
    "mean_validation_accuracy": "validation accuracy, mean of all epochs (%)",
    "steps": f"steps to a training loss of {ENOUGH:g}",
    "signal": "signal, last block over first layer (decades)",
    "gradient": "gradient, first layer over last block (decades)",
    "gradient_after": "the same after training (decades)",
    "epoch_loss": "cross-entropy (nats)",
}
RANGES = {
    "test_accuracy": (0, 100),
    "validation_accuracy": (0, 100),
    "mean_validation_accuracy": (0, 100),
    "steps": (0, math.inf),
}


def network(kind: Kind, depth: int, width: int) -> nn.Sequential:
    """A network of so many layers with weights: one, blocks of two, one.

    Args:
        kind: how it is built.
        depth: even, at least 4.
        width: units of each layer.

    Shape:
        Images (N, 1, 8, 8) to logits (N, 10).
    """

    def half() -> list[nn.Module]:
        before = [kind.norm(width)] if kind.norm else []
        return [*before, nn.ReLU(), nn.Linear(width, width)]

    blocks: list[nn.Module] = [nn.Sequential(*half(), *half()) for _ in range((depth - 2) // 2)]
    if kind.residual:
        blocks = [nn.Residual(block) for block in blocks]
    head = [*half()[:-1], nn.Linear(width, CLASSES)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, width), *blocks, *head)
    if kind.he:
        initialise(model, 2.0)
    return model


def stream(depth: int) -> list[str]:
    """Names of the first layer and of each block, whose outputs are $h_1$, $h_2$, ..."""
    return [str(1 + i) for i in range(depth // 2)]


BEST = [
    *(0.1, 0.03, 0.3, 0.03, 0.1, 0.1),  # 6 layers, in the order of KINDS
    *(0.1, 0.01, 0.1, 0.01, 0.03, 0.1),  # 16
    *(0.1, 0.01, 0.1, 0.01, 0.01, 0.1),  # 32
    *(0.1, 0.003, 0.03, 0.01, 0.001, 0.03),  # 64
]
"""Of RATES, the best for each of CONDITIONS. Plain networks of 16 layers and more learn at none of
them, so theirs mean nothing; nor does the one of 64 with BatchNorm, not even at 0.0003 or 0.0001.
"""


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        epochs: passes over the training images, of 16 steps each.
        batch_size: images for one step.
        width: units of each layer.
        depths: layers with weights: even numbers from 4.
        networks: which to train.
        lr: the learning rate of each network and depth.
    """

    epochs: int = 15
    batch_size: int = 64
    width: int = 64
    depths: tuple[int, ...] = DEPTHS
    networks: tuple[str, ...] = tuple(KINDS)
    lr: dict[str, float] = field(default_factory=lambda: dict(zip(CONDITIONS, BEST, strict=True)))

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.width < 1:
            raise ValueError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, width {self.width}: expected "
                "at least 1 epoch, 2 images and 1 unit"
            )
        if unknown := set(self.networks) - set(KINDS):
            raise ValueError(f"no network {', '.join(unknown)}: there are {', '.join(KINDS)}")
        if wrong := [depth for depth in self.depths if depth < 4 or depth % 2]:
            raise ValueError(f"depths {wrong}: expected even numbers from 4")
        wanted = {f"{name}-{depth}" for name in self.networks for depth in self.depths}
        if missing := sorted(wanted - set(self.lr)):
            raise ValueError(f"no lr for {', '.join(missing)}: expected one for each network")


@lru_cache(maxsize=1)
def split(seed: int) -> Digits:
    """60 % of the images to learn from, 20 % to choose by, 20 % to test on."""
    return load_digits((0.6, 0.2, 0.2), seed)


def shown(seed: int) -> tuple[gu.Tensor, gu.Tensor]:
    """Training images by which signals and gradients are measured, and their labels."""
    x, y = split(seed).train.tensors
    return x[:SHOWN], y[:SHOWN]


# The experiment


def percent_correct(output: gu.Tensor, target: gu.Tensor) -> float:
    """Accuracy in percent."""
    return 100 * accuracy(output, target)


def arrival(losses: Sequence[float], window: int) -> int:
    """Steps until the mean of so many losses is low enough, or all steps."""
    means = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    low = np.flatnonzero(means <= ENOUGH)
    return window + int(low[0]) if len(low) else len(losses)


def train(config: Config, name: str, depth: int, seed: int, run: Trial) -> dict[str, float]:
    """Train one network; measure its gradients before and after."""
    condition, digits, batch = f"{name}-{depth}", split(seed), shown(seed)
    ends = [stream(depth)[0], stream(depth)[-1]]
    gu.manual_seed(seed)
    model = network(KINDS[name], depth, config.width)
    first, last = gradient_flow(model, F.cross_entropy, batch, ends).values()
    optimizer = optim.SGD(model.parameters(), lr=config.lr[condition], momentum=0.9)
    loader = DataLoader(digits.train, config.batch_size, shuffle=True, drop_last=True)
    history = run.fit(
        condition,
        model,
        F.cross_entropy,
        optimizer,
        loader,
        epochs=config.epochs,
        validation=[digits.validation.tensors],
        metrics={"accuracy": percent_correct},
        callbacks=[Schedule(CosineAnnealingLR(optimizer, T_max=config.epochs), per="epoch")],
        animate=False,
    )
    first_after, last_after = gradient_flow(model, F.cross_entropy, batch, ends).values()
    seen = history.epochs["validation_accuracy"]
    found = {
        "test_accuracy": percent_correct(*predict(model, [digits.test.tensors])),
        "steps": arrival(history.steps["loss"], len(loader)),
        "signal": decades(last.activation, first.activation),
        "gradient": decades(first.gradient, last.gradient),
        "gradient_after": decades(first_after.gradient, last_after.gradient),
        "validation_accuracy": seen[-1],
        "mean_validation_accuracy": fmean(seen),
    }
    return {f"{condition}/{measure}": value for measure, value in found.items()}


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train every network at every depth with one seed."""
    metrics: dict[str, float] = {}
    for depth in config.depths:
        for name in config.networks:
            metrics |= train(config, name, depth, seed, run)
    return metrics


TUNED = [
    Tuned(
        f"lr.{name}-{depth}",
        RATES,
        f"{name}-{depth}/mean_validation_accuracy",
        given={"networks": (name,), "depths": (depth,)},
    )
    for depth in DEPTHS
    for name in KINDS
]


# What the document claims, and what the lesson says

SOURCE = "Layer 1 completion roadmap, example 6, expected output"
OURS = "the derivation above (the figure is ours)"
CLAIMS = [
    Claim(
        "vanishes", "6 layers without residuals: the gradient at the first layer is less than a "
        "hundredth of that at the last block", SOURCE + " (the figure is ours)", -2,
        "plain-6/gradient", "at most", neutral=0, unit=" decades", digits=1,
    ),
    Claim(
        "fails", "6 layers without residuals fail: at most half of the test images are right",
        SOURCE + " (the figure is ours)", 50, "plain-6/test_accuracy", "at most", unit=" %",
    ),
    Claim(
        "residual", "6 layers with residuals reach 97 % test accuracy", SOURCE, 97,
        "residual-6/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "layernorm", "6 layers with residuals and LayerNorm reach 98 % test accuracy", SOURCE, 98,
        "residual-LN-6/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "faster", "6 layers with residuals need more steps without LayerNorm than with it",
        SOURCE, 1, "residual-6/steps", over="residual-LN-6/steps", digits=2,
    ),
    Claim(
        "faster-64", "64 layers with residuals need more steps without LayerNorm than with it",
        SOURCE + ", taken to 64 layers", 1, "residual-64/steps", over="residual-LN-64/steps",
        digits=2,
    ),
    Claim(
        "fails-16", "16 layers without residuals fail: at most half of the test images are right",
        OURS, 50, "plain-16/test_accuracy", "at most", unit=" %",
    ),
    Claim(
        "vanishes-64", "64 layers without residuals: the gradient shrinks by 24 powers of ten",
        OURS, -24, "plain-64/gradient", "equals", unit=" decades",
    ),
    Claim(
        "identity-64", "64 layers with residuals: the gradient at the first layer is at least as "
        "large as at the last block", OURS, 0, "residual-64/gradient", unit=" decades", digits=2,
    ),
    Claim(
        "residual-64", "64 layers with residuals reach 90 % test accuracy",
        "He et al. (2016; the figure is ours)", 90, "residual-64/test_accuracy", unit=" %",
        digits=1,
    ),
    Claim(
        "he-16", "16 layers without residuals reach 90 % with He's initialisation",
        "He et al. (2015; the figure is ours)", 90, "plain-He-16/test_accuracy", unit=" %",
        digits=1,
    ),
    Claim(
        "he-32", "32 layers without residuals reach 90 % with He's initialisation",
        "He et al. (2015), who train 30 layers so (the figure is ours)", 90,
        "plain-He-32/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "explodes", "64 layers with BatchNorm and without residuals: the gradient grows by 5 "
        "powers of ten", "Yang et al. (2019); 1.47 to the power of 31", 5, "plain-BN-64/gradient",
        unit=" decades", digits=1,
    ),
    Claim(
        "shortcut", "64 layers with BatchNorm are 50 points better with residuals than without",
        "He et al. (2016; the figure is ours)", 50, "residual-BN-64/test_accuracy",
        minus="plain-BN-64/test_accuracy", unit=" points", digits=1,
    ),
]  # fmt: skip


# What the report shows besides tables and curves


def by_depth(
    results: Results, measure: str, words: str, least: float = 0.0, most: float = math.inf
) -> viz.Plot:
    """A line for each network: a measure over the depths, the mean over the seeds."""
    config = results.config
    lines = {
        NAMES[name]: np.array([results.column(f"{name}-{d}/{measure}") for d in config.depths]).T
        for name in config.networks
    }
    lines = {name: values for name, values in lines.items() if np.isfinite(values).all()}
    figure = viz.curves(lines, "Layers", words, x=config.depths, possible=(least, most))
    return viz.Plot(figure, f"{LABELS[measure].capitalize()} by number of layers.")


def flows(results: Results, trained: bool) -> viz.Plot:
    """The gradient after the first layer and after each block, at the greatest depth."""
    config, depth = results.config, max(results.config.depths)
    seed, outcome = next(iter(results.outcomes.items()))
    lines = {}
    for name in config.networks:
        gu.manual_seed(seed)
        model = network(KINDS[name], depth, config.width)
        if trained:
            model.load_state_dict(outcome.weights(f"{name}-{depth}"))
        flow = gradient_flow(model, F.cross_entropy, shown(seed), stream(depth))
        gradients = [layer.gradient for layer in flow.values()]
        if all(0 < g < math.inf for g in gradients):
            lines[NAMES[name]] = gradients
    when = "after" if trained else "before"
    figure = viz.curves(lines, "Block", "Gradient (rms)", x=range(len(stream(depth))), log_y=True)
    caption = f"Of one image's loss by what each block gives, {depth} layers, {when} training, "
    return viz.Plot(figure, f"{caption}seed {seed}; block 0 is the first layer.")


RANDOM = (
    ("plain, v = 0.01²", "plain", 0.0064),
    ("plain, v = 1/(3n), PyTorch's default", "plain", 1 / 3),
    ("plain, v = 1/n, Xavier's", "plain", 1.0),
    ("plain, v = 2/n, He's", "plain", 2.0),
    ("residual, v = 1/(3n)", "residual", 1 / 3),
    ("residual, v = 2/n", "residual", 2.0),
    ("residual, LayerNorm, v = 2/n", "residual-LN", 2.0),
    ("plain, BatchNorm, v = 2/n", "plain-BN", 2.0),
)
"""Words, network and n v (for n = 64)."""
DRAWS = 5


def initialisation() -> viz.Table:
    """The formulas of the lesson beside what random networks of 64 layers do."""
    batches = [shown(seed) for seed in range(DRAWS)]
    rows = []
    for words, name, gain in RANDOM:
        kind = KINDS[name]
        build = partial(network, kind, 64, PIXELS)
        norm = "" if kind.norm is None else kind.norm.__name__.removesuffix("1d")
        found = compare(build, gain, batches, stream(64), residual=kind.residual, norm=norm)
        digits = (1, 1, 1, 1, 3, 3)
        cells = ["" if v is None else f"{v:.{d}f}" for v, d in zip(found, digits, strict=True)]
        rows.append([words, *cells])
    what = ("signal", "gradient", "cosine")
    headers = ["weights", *(f"{name}, {how}" for name in what for how in ("formula", "measured"))]
    caption = (
        "64 layers of 64 units before training, without biases: by how many powers of ten the "
        "signal grows from the first layer to the last block, and the gradient on its way back; "
        f"the cosine between two images after the last block. Measured: mean of {DRAWS} draws."
    )
    return viz.Table(headers, rows, caption, align="lrrrrrr")


LANDSCAPES = ("plain-He-16", "residual-16")
LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def landscapes(results: Results) -> list[viz.Block]:
    """The loss around a trained network without and with residuals, in the same scale."""
    seed, outcome = next(iter(results.outcomes.items()))
    drawn: list[viz.Block] = []
    for condition in LANDSCAPES:
        name, _, depth = condition.rpartition("-")
        model = network(KINDS[name], int(depth), results.config.width)
        model.load_state_dict(outcome.weights(condition))
        found = loss_landscape(
            model, F.cross_entropy, [shown(seed)], points=25, generator=gu.Generator(seed)
        )
        figure = viz.contours(
            found.x, found.y, found.loss, "First random direction", "Second random direction",
            "Cross-entropy (nats)", [[0, 0]], path_ends=("", "trained weights"),
            title=LABELS[condition], levels=LEVELS,
        )  # fmt: skip
        caption = f"{LABELS[condition]}, seed {seed}: {SHOWN} training images."
        drawn.append(viz.Plot(figure, caption))
    return drawn


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Accuracy, steps and gradients by depth; what initialisation does; landscapes."""
    found: list[tuple[str, list[viz.Block]]] = [
        (
            "Depth",
            [
                by_depth(results, "test_accuracy", "Test accuracy (%)", most=100.0),
                by_depth(results, "steps", f"Steps to a loss of {ENOUGH:g}"),
            ],
        ),
        (
            "Gradient flow",
            [
                by_depth(results, "gradient", "Gradient ratio (decades)", least=-math.inf),
                flows(results, trained=False),
                flows(results, trained=True),
            ],
        ),
        ("Initialisation, computed and measured", [initialisation()]),
    ]
    first = next(iter(results.outcomes.values()))
    if all(f"{condition}/steps" in first.metrics for condition in LANDSCAPES):
        found.append(("Loss landscapes", landscapes(results)))
    return found
