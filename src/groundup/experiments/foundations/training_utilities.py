r"""Training utilities: when do warm-up and clipping of the gradient rescue a network?

**Warm-up** begins with a small learning rate and raises it along a line (Goyal et al., 2017). Adam
moves a weight by $\eta\, m / \sqrt{v}$, where $m$ and $v$ are running means of its gradients $g$
and of their squares, corrected for having begun at zero. After one step they are means of one:

$$m_1 = g_1, \quad v_1 = g_1^2 \quad \Rightarrow \quad \Delta\theta_1 = -\eta\, \frac{g_1}{|g_1|}
= \pm\eta .$$

Each weight goes the whole $\eta$, however small its gradient, in a direction that one batch
chose. Later, where gradients are noise of deviation $\sigma$, $\sqrt{v} \approx \sigma$ and $m$
averages the noise away: its deviation is $\sigma \sqrt{(1 - \beta_1) / (1 + \beta_1)} = 0.23\,
\sigma$ for $\beta_1 = 0.9$, and steps are about a quarter of $\eta$. Also $1 / \sqrt{v}$ varies
most while $v$ is a mean of few squares; for normal gradients its variance is infinite at first (Liu
et al., 2020). $v$ looks back over some $2 / (1 - \beta_2)$ steps, and a warm-up as long as that
needs no tuning (Ma and Yarats, 2021). For $\beta_2 = 0.999$ these are the 2,000 steps of the
document that this project started from. We train for 268 steps with $\beta_2 = 0.98$ as Vaswani et
al. (2017) did, for which the same rule gives **100 steps**; 2,000 are run beside.

Whether it matters depends on the network. Here each of the 8 rows of a digit is a token, and six
blocks of self-attention and an MLP read them. **Post-norm** blocks normalise the sum of shortcut
and layer, $x' = \mathrm{norm}(x + f(x))$; **pre-norm** ones what goes into the layer, $x' = x +
f(\mathrm{norm}(x))$. The first have large gradients near the output from the start, and no path
that is free of norms (Xiong et al., 2020). A run has *failed* if its loss at the end is not finite
or not below 90 % of $\ln 10$, that of always giving the digits' frequencies.

**Clipping** by norm (Pascanu, Mikolov and Bengio, 2013) replaces $g$, of all weights together, by
$g \cdot \min(1, c / \|g\|)$: the same direction, as a vector times a positive number keeps its own,
and no step of gradient descent is longer than $\eta c$. Clipping each element at $\pm c$ bends the
direction: $(100, 0.1)$ becomes $(1, 0.1)$. Adam divides by the size of the gradient anyway; a
factor that is the same in all steps changes none of its steps. Where it matters: in a recurrent
network the gradient with respect to a state $T$ steps back has a product of $T$ matrices. The one
here, with ReLU and the identity as recurrent weights (Le, Jaitly and Hinton, 2015), adds the two
marked ones of 20 numbers, with gradient descent. It has *exploded* if its loss is not finite or 100
times that of always answering 1. By value we clip at 0.05, where 337 weights can have no longer
gradient than 1, too.

The document says neither which network nor which rate. Failure without warm-up is judged where it
speaks most for the document: at the rate where the gap was widest on other seeds; explosion at the
best rate with clipping. Beside that everything is compared at its own best rate, each chosen from
the same number of rates: warm-up and clipping might just stand in for a lower rate. An **MLP** on
digits shows what both do to a network that needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader
from groundup.data.digits import load_digits
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations.unstable import Adder, Reader, sums
from groundup.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    WarmupCosineLR,
)
from groundup.training import Callback, ClipGradients, Schedule, accuracy, fit, predict
from groundup.training.run import Run as Training

LESSON = 12  # R3.12, R2.8
SEEDS = range(10, 20)
LOOK = 2
TUNING_SEEDS = (100, 101, 102)
LABELS = {
    "post": "post-norm",
    "post+warmup": "post-norm, warm-up",
    "post+2000": "post-norm, 2,000 steps of warm-up",
    "pre": "pre-norm",
    "pre+warmup": "pre-norm, warm-up",
    "warmup": "warm-up",
    "warmup+cosine": "warm-up + cosine",
    "unclipped": "RNN, not clipped",
    "norm": "RNN, clipped by norm",
    "value": "RNN, clipped by value",
    "MLP+warmup": "MLP, warm-up",
    "MLP+clipping": "MLP, clipped by norm",
    "post-constant-0.01-0": "post-norm, rate 0.01",
    "post-warmup-0.01-0": "post-norm, warm-up to 0.01",
    "norm-0.1-0": "RNN, clipped by norm, rate 0.1",
    "value-0.1-0": "RNN, clipped by value, rate 0.1",
    "value-0.003-0": "RNN, clipped by value, rate 0.003",
    "unclipped-0.0003-0": "RNN, not clipped, rate 0.0003",
    "rates_trained": "rates at which it trained (%)",
    "early": "failed within 100 steps",
    "tried": "runs",
    "exploded_at": "step at which it exploded",
    "gap": "loss without warm-up minus with it (nats)",
    "test_accuracy": "test accuracy (%)",
    "clipped": "steps with a gradient above 1 (%)",
}
RANGES = {"rates_trained": (0, 100), "test_accuracy": (0, 100), "clipped": (0, 100),
          "exploded_at": (1, math.inf), "validation_loss": (0, math.inf),
          "test_loss": (0, math.inf)}  # fmt: skip
GOAL = "minimize"

RATES = (0.005, 0.01, 0.02)
"""At which failures of the transformers are counted."""
TRIED = {
    "schedules": (0.00125, 0.0025, 0.005, 0.01, 0.02),
    "clipping": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "mlp": (0.003, 0.01, 0.03, 0.1),
}
"""Rates of which each condition has its best."""
WARMUP = 100
CHANCE = math.log(10)
"""Loss of giving each digit its frequency, nats."""
LIMIT = 100 / 6
"""A hundred times the variance of the sum of two numbers from 0 to 1."""
EPOCH = 100
"""Batches of sums."""
PARTS = ("rate", "failure", "2000", "grid", "schedules", "explosion", "clipping", "MLP")

SCHEDULES: dict[str, Callable[[optim.Optimizer, int], LRScheduler]] = {
    "constant": lambda o, steps: ConstantLR(o, factor=1.0),
    "step": lambda o, steps: MultiStepLR(o, [steps // 2, 3 * steps // 4], gamma=0.3),
    "exponential": lambda o, steps: ExponentialLR(o, gamma=0.02 ** (1 / steps)),
    "cosine": lambda o, steps: CosineAnnealingLR(o, T_max=steps),
    "warmup": lambda o, steps: LinearLR(o, start_factor=1 / WARMUP, total_iters=WARMUP),
    "warmup+cosine": lambda o, steps: WarmupCosineLR(o, min(WARMUP, steps - 1), steps),
    "2000": lambda o, steps: LinearLR(o, start_factor=1 / 2000, total_iters=2000),
}
COMPARED = tuple(SCHEDULES)[:-1]
CLIPPING: dict[str, dict[str, float]] = {
    "unclipped": {}, "norm": {"max_norm": 1.0}, "value": {"max_value": 0.05}
}  # fmt: skip
MLPS = {"MLP": (), "MLP+warmup": ("warmup",), "MLP+clipping": ("clipping",)}
CONDITIONS = {"post": ("post", "constant"), "post+warmup": ("post", "warmup"),
              "pre": ("pre", "constant"), "pre+warmup": ("pre", "warmup")}  # fmt: skip


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        parts: of the experiment.
        compared: which of the schedules, clippings and MLPs are compared at their best rates.
        depth: blocks of the transformers.
        epochs: passes of the transformers over the images, of 67 steps each.
        long_epochs: of the one with a warm-up of 2,000 steps.
        rnn_steps: of the recurrent networks.
        mlp_epochs: of the MLP, of 16 steps each.
        draws: networks for each seed that may fail or explode.
        rate: at which the transformers are judged.
        rates: at which it is counted how often they train.
        schedules, clipping, mlp: the learning rate of each.
    """

    parts: tuple[str, ...] = PARTS
    compared: tuple[str, ...] = (*COMPARED, *CLIPPING, *MLPS)
    depth: int = 6
    epochs: int = 4
    long_epochs: int = 31
    rnn_steps: int = 1000
    mlp_epochs: int = 12
    draws: int = 4
    rate: float = 0.01
    rates: tuple[float, ...] = RATES
    schedules: dict[str, float] = field(
        default_factory=lambda: {
            "constant": 0.0025, "step": 0.0025, "exponential": 0.005, "cosine": 0.005,
            "warmup": 0.005, "warmup+cosine": 0.01,
        }
    )  # fmt: skip
    clipping: dict[str, float] = field(
        default_factory=lambda: {"unclipped": 0.0003, "norm": 0.1, "value": 0.003}
    )
    mlp: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MLPS, 0.03))

    def __post_init__(self) -> None:
        for given, known in ((self.parts, PARTS), (self.compared, Config.compared)):
            if unknown := set(given) - set(known):
                raise ValueError(f"no {', '.join(unknown)}: expected some of {', '.join(known)}")
        counts = (self.depth, self.epochs, self.long_epochs, self.mlp_epochs, self.draws)
        if min(*counts, len(self.rates)) < 1 or self.rnn_steps < 1 or self.rnn_steps % EPOCH:
            raise ValueError(
                f"depth, epochs and draws {counts}, {len(self.rates)} rates, {self.rnn_steps} "
                f"rnn_steps: expected at least 1 of each, and a multiple of {EPOCH} rnn_steps"
            )


# The training


class Watch(Callback):
    """Notes the norm of all gradients in each step; ends the training if the loss is too large."""

    traceable = True

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.norms: list[float] = []
        self._norm = gu.zeros((), dtype=gu.float64)

    def on_backward_end(self, run: Training) -> None:
        """Measure, before a clipping that stands behind."""
        gradients = [p.grad for p in run.model.parameters() if p.grad is not None]
        squares = [g.double().square().sum() for g in gradients]  # too large for float32
        self._norm.assign(gu.stack(squares).sum().sqrt())

    def on_step_end(self, run: Training) -> None:
        """Note it."""
        self.norms.append(self._norm.item())
        run.stop = not run.history.steps["loss"][-1] <= self.limit

    def state_dict(self) -> dict[str, Any]:
        """The norms so far."""
        return {"norms": gu.tensor(self.norms, dtype=gu.float64)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.norms = state["norms"].tolist()


@dataclass
class Trained:
    """What a training left: loss and norm of the gradients of each step, and what was measured."""

    losses: list[float]
    norms: list[float]
    measured: dict[str, float]

    @property
    def trained(self) -> bool:
        """Whether the loss at the end is clearly below that of the digits' frequencies."""
        return self.measured["validation_loss"] < 0.9 * CHANCE

    @property
    def early(self) -> bool:
        """Whether it failed, and no mean of ten losses was below that after step 100."""
        later = np.convolve(self.losses, np.ones(10) / 10, "valid")[91:]
        return not self.trained and not bool((later < 0.9 * CHANCE).any())

    @property
    def exploded(self) -> bool:
        """Whether training was ended because of the loss."""
        return not self.losses[-1] <= LIMIT


class Laboratory:
    """Trains the networks of a seed, each once."""

    def __init__(self, config: Config, seed: int, run: Trial) -> None:
        self.config, self.seed, self.run = config, seed, run
        self.digits = load_digits((0.6, 0.2, 0.2), seed)
        self.held_out = [self.digits.validation.tensors, self.digits.test.tensors]
        self.fits: dict[str, Trained] = {}

    def reader(self, norm: str, schedule: str, rate: float, draw: int = 0) -> Trained:
        """A transformer on digits; the draw decides how it begins, and the order of the images."""
        name, config = f"{norm}-{schedule}-{rate:g}-{draw}", self.config
        if name not in self.fits:
            gu.manual_seed(self.seed + 1000 * draw)
            model = Reader(config.depth, post=norm == "post")
            adam = optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.98))
            data = DataLoader(self.digits.train, batch_size=16, shuffle=True, drop_last=True)
            epochs = config.long_epochs if schedule == "2000" else config.epochs
            plan = [Schedule(SCHEDULES[schedule](adam, epochs * len(data)))]
            judged = (norm, schedule) in (CONDITIONS["post"], CONDITIONS["post+warmup"])
            kept = judged and rate == config.rate and draw == 0
            self._train(name, model, adam, data, epochs, plan, self.held_out, kept=kept)
        return self.fits[name]

    def mlp(self, name: str, rate: float) -> Trained:
        """An MLP on digits."""
        gu.manual_seed(self.seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        adam = optim.Adam(model.parameters(), lr=rate)
        data = DataLoader(self.digits.train, batch_size=64, shuffle=True, drop_last=True)
        tricks: list[Callback] = []
        if "warmup" in MLPS[name]:
            tricks.append(Schedule(SCHEDULES["warmup"](adam, 0)))
        if "clipping" in MLPS[name]:
            tricks.append(ClipGradients(max_norm=1.0))
        self._train(name, model, adam, data, self.config.mlp_epochs, tricks, self.held_out)
        return self.fits[name]

    def adder(self, clipping: str, rate: float, draw: int = 0) -> Trained:
        """A recurrent network; the draw decides how it begins, and its numbers."""
        name, bounds = f"{clipping}-{rate:g}-{draw}", CLIPPING[clipping]
        if name not in self.fits:
            gu.manual_seed(1000 * self.seed + draw)
            random, model = np.random.default_rng((self.seed, draw)), Adder()
            sgd = optim.SGD(model.parameters(), lr=rate)
            data = [sums(16, 20, random) for _ in range(EPOCH)]
            held_out = [sums(500, 20, random), sums(500, 20, random)]
            clip = [ClipGradients(**bounds)] if bounds else []
            epochs = self.config.rnn_steps // EPOCH
            self._train(name, model, sgd, data, epochs, clip, held_out, F.mse_loss, draw == 0)
        return self.fits[name]

    def _train(
        self,
        name: str,
        model: nn.Module,
        optimizer: optim.Optimizer,
        data: Iterable[Any],
        epochs: int,
        tricks: Sequence[Callback],
        held_out: Sequence[Any],
        loss: Callable[..., gu.Tensor] = F.cross_entropy,
        kept: bool = True,
    ) -> None:
        """Train and measure; what is not kept has neither checkpoint nor series: it is faster."""
        watch = Watch(LIMIT if loss is F.mse_loss else math.inf)
        given, seen = (model, loss, optimizer, data), [watch, *tricks]
        if kept:
            history = self.run.fit(name, *given, epochs=epochs, callbacks=seen, animate=False)
        else:
            history = fit(*given, epochs=epochs, callbacks=seen)
        measured = {}
        for part, batch in zip(("validation", "test"), held_out, strict=True):
            output, target = predict(model, [batch])
            found = loss(output, target).item()
            measured[f"{part}_loss"] = math.inf if math.isnan(found) else found
            if loss is F.cross_entropy:
                measured[f"{part}_accuracy"] = 100 * accuracy(output, target)
        self.fits[name] = Trained(history.steps["loss"], watch.norms, measured)


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train what the parts ask for; what occurs in two of them is trained once."""
    lab = Laboratory(config, seed, run)
    metrics: dict[str, float] = {}

    def note(condition: str, **measures: float) -> None:
        metrics.update({f"{condition}/{name}": float(value) for name, value in measures.items()})

    if "rate" in config.parts:
        plain, warm = (lab.reader("post", name, config.rate) for name in ("constant", "warmup"))
        note("post+warmup", trained=warm.trained, tried=1)
        note("post", gap=plain.measured["validation_loss"] - warm.measured["validation_loss"])
    if "failure" in config.parts:
        fits = [lab.reader("post", "constant", config.rate, i) for i in range(config.draws)]
        failed, early = sum(not f.trained for f in fits), sum(f.early for f in fits)
        note("post", failed=failed, early=early, tried=len(fits))
    if "2000" in config.parts:
        note("post+2000", trained=lab.reader("post", "2000", config.rate).trained, tried=1)
    if "grid" in config.parts:
        for name in run.track(list(CONDITIONS), "rates"):
            norm, schedule = CONDITIONS[name]
            fits = [lab.reader(norm, schedule, rate) for rate in config.rates]
            note(name, rates_trained=100 * sum(f.trained for f in fits) / len(fits))
    if "explosion" in config.parts:
        for name in CLIPPING:
            fits = [lab.adder(name, config.clipping["norm"], i) for i in range(config.draws)]
            count = sum(f.exploded for f in fits)
            note(name, exploded=count, stable=len(fits) - count, tried=len(fits))
            if name == "unclipped":
                note(name, exploded_at=len(fits[0].losses) if fits[0].exploded else math.inf)
    if "schedules" in config.parts:
        for name in (name for name in COMPARED if name in config.compared):
            note(name, **lab.reader("post", name, config.schedules[name]).measured)
    if "clipping" in config.parts:
        for name in (name for name in CLIPPING if name in config.compared):
            note(name, **lab.adder(name, config.clipping[name]).measured)
    if "MLP" in config.parts:
        for name in (name for name in MLPS if name in config.compared):
            found = lab.mlp(name, config.mlp[name])
            above = 100 * sum(norm > 1 for norm in found.norms) / len(found.norms)
            note(name, **found.measured, clipped=above)
    for name, found in lab.fits.items():
        run.save(
            name,
            losses=gu.tensor(found.losses),
            norms=gu.tensor(found.norms, dtype=gu.float64),
            trained=gu.tensor(float(found.trained)),
        )
    return metrics


TUNED = [
    Tuned("rate", RATES, "post/gap", "maximize", given={"parts": ("rate",)}),
    *(
        Tuned(
            f"{part}.{name}",
            TRIED[part],
            f"{name}/validation_loss",
            "minimize",
            given={"parts": ("MLP" if part == "mlp" else part,), "compared": (name,)},
        )
        for part, names in (("schedules", COMPARED), ("clipping", CLIPPING), ("mlp", MLPS))
        for name in names
    ),
]

DOCUMENT = "Layer 1 completion roadmap, example 12, expected output"
OURS = " (the figure is ours)"
CLAIMS = [
    Claim(
        "without-warm-up", "without warm-up post-norm fails, in more than half of the runs",
        DOCUMENT, 50, "post/failed", of="post/tried", unit=" %",
    ),
    Claim(
        "early", "without warm-up post-norm fails within the first 100 steps, in more than half of "
        "the runs", DOCUMENT, 50, "post/early", of="post/tried", unit=" %",
    ),
    Claim(
        "gap", "with warm-up the loss of post-norm ends 1 nat lower", f"Xiong et al. (2020){OURS}",
        1, "post/gap", neutral=0, digits=1,
    ),
    Claim(
        "with-warm-up", "with a warm-up of 100 steps, as long for its Adam as 2,000 for the usual "
        "one, post-norm trains, in more than half of the runs", DOCUMENT, 50,
        "post+warmup/trained", of="post+warmup/tried", unit=" %",
    ),
    Claim(
        "with-2000", "with a warm-up of 2,000 steps post-norm trains, in more than half of the "
        "runs", DOCUMENT, 50, "post+2000/trained", of="post+2000/tried", unit=" %",
    ),
    Claim(
        "unclipped", "without clipping the gradients explode, in at least 80 % of the runs",
        DOCUMENT, 80, "unclipped/exploded", of="unclipped/tried", unit=" %",
    ),
    Claim(
        "iteration", "without clipping the gradients explode at step 1,234, not earlier", DOCUMENT,
        1234, "unclipped/exploded_at", estimate="median",
    ),
    Claim(
        "clipped", "clipped by norm at 1.0 training is stable, in at least 80 % of the runs",
        DOCUMENT, 80, "norm/stable", of="norm/tried", unit=" %",
    ),
    Claim(
        "by-value", "clipped by value training is stable, in at least 80 % of the runs",
        f"Pascanu, Mikolov and Bengio (2013){OURS}", 80, "value/stable", of="value/tried",
        unit=" %",
    ),
    Claim(
        "range", "with warm-up post-norm trains at one more of three rates (33 of 100 points)",
        f"Xiong et al. (2020){OURS}", 33, "post+warmup/rates_trained",
        minus="post/rates_trained", unit=" points",
    ),
    Claim(
        "pre-norm", "pre-norm trains without warm-up at three rates, in at least 80 % of the runs",
        f"Xiong et al. (2020){OURS}", 80, "pre/rates_trained", unit=" %",
    ),
    Claim(
        "tuned-warm-up", "at their best constant rates the loss without warm-up is at most 1.5 "
        "times that with it", "ours", 1.5, "constant/test_loss", "at most",
        over="warmup/test_loss", digits=1,
    ),
    Claim(
        "tuned-both", "at their best rates the loss at a constant rate is 1.2 times that with "
        "warm-up and cosine", "ours", 1.2, "constant/test_loss", over="warmup+cosine/test_loss",
        digits=1,
    ),
    Claim(
        "tuned-cosine", "at their best rates, without warm-up, the loss with cosine is 1.2 times "
        "that at a constant rate", "ours", 1.2, "cosine/test_loss", over="constant/test_loss",
        digits=1,
    ),
    Claim(
        "tuned-clipping", "at their best rates the RNN's squared error without clipping is 1.2 "
        "times that with clipping by norm", "ours", 1.2, "unclipped/test_loss",
        over="norm/test_loss", digits=1,
    ),
    *(
        Claim(
            f"mlp-{trick}-{better}", f"{text} changes the accuracy of an MLP by less than 1 point "
            f"{direction}", "ours", 1, first, "at most", minus=second, unit=" points", digits=1,
        )
        for trick, text in (("warmup", "warm-up"), ("clipping", "clipping by norm"))
        for better, direction, first, second in (
            ("up", "upwards", f"MLP+{trick}/test_accuracy", "MLP/test_accuracy"),
            ("down", "downwards", "MLP/test_accuracy", f"MLP+{trick}/test_accuracy"),
        )
    ),
]  # fmt: skip


# What the report shows besides tables and curves


def drawn() -> Figure:
    """The schedules, without any training."""
    lines = {}
    for name in COMPARED:
        optimizer = optim.SGD([gu.zeros(1)], lr=1.0)
        schedule, rates = SCHEDULES[name](optimizer, 268), []
        for _ in range(268):
            rates.append(optimizer.param_groups[0]["lr"])
            schedule.step()
        lines[LABELS.get(name, name)] = rates
    return viz.curves(lines, "Step", "Learning rate (highest: 1)")


def shares(results: Results) -> Figure:
    """How often each kind of transformer trained, by learning rate."""
    config, lines = results.config, {}
    for name, (norm, schedule) in CONDITIONS.items():
        lines[LABELS[name]] = [
            100 * np.mean([
                outcome.tensors(f"{norm}-{schedule}-{rate:g}-0")["trained"].item()
                for outcome in results.outcomes.values()
            ])
            for rate in config.rates
        ]  # fmt: skip
    return viz.curves(lines, "Learning rate", "Runs that trained (%)", x=config.rates, log_x=True)


def course(results: Results, names: Mapping[str, str], what: str, label: str) -> Figure:
    """Losses or norms of the first seed: ten steps one by one, then means of ten."""
    lines, places = {}, {}
    outcome = next(iter(results.outcomes.values()))
    for name, words in names.items():
        values = np.array(outcome.tensors(name)[what].tolist())
        values = values[np.isfinite(values)]
        later = values[10 : len(values) // 10 * 10].reshape(-1, 10).mean(axis=1)
        lines[words] = np.concatenate([values[:10], later])
        places[words] = [*range(1, len(values[:10]) + 1), *(15.5 + 10 * np.arange(len(later)))]
    return viz.curves(lines, "Step", label, x=places, log_x=True, log_y=True)


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Schedules, how often networks train, and what happens in a run."""
    config, shown = results.config, next(iter(results.outcomes))
    plans = {"constant": "without warm-up", "warmup": "with warm-up"}
    readers = {f"post-{plan}-{config.rate:g}-0": words for plan, words in plans.items()}
    adders = {f"{name}-{config.clipping['norm']:g}-0": LABELS[name] for name in CLIPPING}
    own = f"unclipped-{config.clipping['unclipped']:g}-0"
    adders |= {own: f"RNN, not clipped, rate {config.clipping['unclipped']:g}"}
    seed = f"(seed {shown})"
    rows = [
        [LABELS.get(name, name), rate]
        for rates in (config.schedules, config.clipping, config.mlp)
        for name, rate in rates.items()
    ]
    found: list[tuple[str, list[viz.Block]]] = [
        ("Schedules", [viz.Plot(drawn(), "The learning rate in each of 268 steps.")])
    ]
    if {"grid", "rate"} <= set(config.parts):
        caption = f"How many of {len(results.outcomes)} runs trained, by learning rate."
        blocks: list[viz.Block] = [viz.Plot(shares(results), caption)]
        for what, label in (("losses", "Loss (nats)"), ("norms", "Norm of the gradient")):
            figure = course(results, readers, what, label)
            blocks.append(viz.Plot(figure, f"Post-norm at {config.rate:g} {seed}."))
        found.append(("Warm-up", blocks))
    if {"explosion", "clipping"} <= set(config.parts):
        blocks = []
        for what, label in (("losses", "Squared error"), ("norms", "Norm before clipping")):
            caption = (
                f"All at a rate of {config.clipping['norm']:g}, and the RNN at its own {seed}."
            )
            blocks.append(viz.Plot(course(results, adders, what, label), caption))
        found.append(("Clipping", blocks))
    caption = "The best of each one's rates on seeds 100 to 102."
    return [*found, ("Learning rates", [viz.Table(["condition", "rate"], rows, caption)])]
