r"""Regularisation: what keeps a large network from over-fitting few examples?

A network with more weights than examples can learn every example by heart. How much that costs
depends on what is learned by heart. Each regulariser makes some solutions dearer than others.

**L2** adds $\lambda \sum w^2$ to the loss. Say that the weights were drawn from a normal
distribution with standard deviation $s$ before any data was seen. By Bayes' rule their probability,
given $N$ examples, is then proportional to $\prod_i p(y_i \mid x_i, w) \cdot e^{-\sum w^2 / 2
s^2}$, whose negative logarithm, divided by $N$, is the mean cross-entropy plus a penalty with

$$\lambda = \frac{1}{2 N s^2},$$

so twice the examples call for half the $\lambda$. A step becomes $w \leftarrow (1 - 2 \eta\lambda)
\, w - \eta\, \partial L / \partial w$: each weight decays by a share of its size.

**L1** adds $\lambda \sum |w|$, which is the same with a Laplace distribution (Tibshirani, 1996).
Where the loss alone is $\frac{1}{2} (w - a)^2$, the best weights with either penalty are

$$w_{L2} = \frac{a}{1 + 2\lambda}, \qquad w_{L1} = \mathrm{sign}(a) \, \max(|a| - \lambda,\, 0) .$$

L2 makes all weights smaller; L1 makes the small ones zero (a soft threshold). Steps along its slope
jump around zero instead of landing on it, so weights below 0.001 are counted.

**Dropout** (Srivastava et al., 2014) switches each hidden unit off with probability $p$ in each
step and divides the others by $1 - p$, so that the next layer receives on average what it would
without: $E[m / (1 - p)] = 1$ for the mask $m$. The logits are linear in the masks of the last
hidden layer, so their mean over all $2^{1000}$ thinned networks is what the whole network gives in
one pass, and its softmax is the normalised geometric mean of all their answers. For a linear unit
with squared error the mean over the masks can be written out:

$$(y - \sum_i w_i x_i)^2 + \frac{p}{1 - p} \sum_i w_i^2 x_i^2 ,$$

an L2 penalty in the scale of each input (Wager et al., 2013). **Noise** of variance $\sigma^2$ on
the inputs adds $\sigma^2 \sum w_i^2$ there (Bishop, 1995). **Early stopping** keeps the weights
of the epoch with the least validation loss, **averaging** (EMA) a mean over the last steps. Shifted
and turned images say what should not matter, smoothing of labels that nothing is certain.

The document that this project started from takes 1000 hidden units and 100 examples: without
regularisation 100 % of the training data and 65 % of the test data are right, with dropout 0.5 95 %
and 88 %, with L2 0.01 96 % and 89 %. It names no data. We take real digits of 8x8 pixels, one
hidden layer with ReLU and dropout on it, and $\lambda \sum w^2$ over the weights of both layers,
not the biases, beside the mean cross-entropy. On **clean** labels such a network has little to
gain, so there is a second task with **30 % wrong** labels in the training data (another digit at
random), where learning by heart costs; networks fit even labels that are all random (Zhang et al.,
2017).

Of 1,797 images 100 train, 300 validate (with 30 % wrong labels too, in that task) and 1,397 test,
once; each part has the same share of each digit. Every network gets 100 epochs of SGD at the rate
that is best without a regulariser: fewer or smaller steps would be early stopping in disguise. Each
strength is the best of six by validation accuracy, for each regulariser and task, on seeds that are
not reported. Whoever has 300 labelled images to choose by could also train with them; the row "400
images" tells what that would bring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader, TensorDataset
from groundup.data.augment import Compose, Noise, Rotate, Shift
from groundup.experiments import Claim, Outcome, Results, Trial, Tuned
from groundup.experiments.foundations.wrong_labels import WRONG, Part, nearest_neighbour, parts
from groundup.training import Average, Callback, EarlyStopping, accuracy, fit
from groundup.training.evaluate import evaluating
from groundup.training.run import Run as Training

LESSON = 11  # R3.11
SEEDS = range(12, 24)
TUNING_SEEDS = (100, 101, 102)
LOOK = 2
GRIDS: dict[str, tuple[float, ...]] = {  # the strengths of each regulariser that are tried
    "dropout": (0.3, 0.5, 0.7, 0.8, 0.9, 0.95),
    "l2": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
    "l1": (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01),
    "patience": (1, 2, 4, 8, 16, 32),
    "shift": (0, 1, 2, 3, 4, 5),
    "turn": (0, 5, 10, 20, 40, 80),
    "noise": (0.1, 0.2, 0.4, 0.6, 0.8, 1.6),
    "smoothing": (0.1, 0.3, 0.5, 0.7, 0.9, 0.97),
    "averaging": (0.9, 0.97, 0.99, 0.997, 0.999, 0.9997),
    "combined": (0.2, 0.4, 0.6, 0.8, 0.9, 1),
}
PAIRS = {"clean": ("dropout", "smoothing"), "noisy": ("dropout", "noise")}
"""The best two by validation; "combined" is the share of both of their strengths."""
DOCUMENTED = {"dropout-0.5": {"dropout": 0.5}, "l2-0.01": {"l2": 0.01}}
CONDITIONS = ("none", *DOCUMENTED, *GRIDS)
WATCHED = ("none", "dropout", "l2", "noise")
"""Those that are drawn by epoch, with wrong labels."""
EVERY = 2
"""Epochs from one point to the next."""
DRAWN = ("none", "l2", "l1")
"""Those whose first layers are drawn, and their losses with wrong labels."""
SIZES = (25, 50, 100, 200, 400)
MASKS = 30
LABELS = {
    "none": "No regulariser", "dropout": "Dropout", "l2": "L2 penalty", "l1": "L1 penalty",
    "dropout-0.5": "Dropout 0.5, as documented", "l2-0.01": "L2 0.01, as documented",
    "patience": "Early stopping", "shift": "Shifted images", "turn": "Turned images",
    "noise": "Noise on the images", "smoothing": "Label smoothing",
    "averaging": "Averaged weights", "combined": "The best two together",
    "400-images": "400 images, no regulariser", "neighbour": "Nearest neighbour",
    "thinned": "Dropout 0.5, single masks", "ensemble": f"Dropout 0.5, mean of {MASKS} masks",
    "clean_train": "training (%)", "clean_validation": "validation (%)", "clean_test": "test (%)",
    "small": "weights below 0.001 (%)", "memorised": "wrong labels learned (%)",
    "noisy_validation": "30 % wrong: validation (%)", "noisy_test": "30 % wrong: test (%)",
    "epoch_loss": "loss with penalty (nats)",
    "validation_cross_entropy": "validation loss (nats)",
}  # fmt: skip
RANGES = {
    name: (0, 100) for name in LABELS if name.startswith(("clean_", "noisy_", "small", "memor"))
}

Numbers = np.ndarray


# Networks and regularisers


def network(dropout: float = 0.0) -> nn.Sequential:
    """64 pixels, 1000 hidden units, 10 digits: 75,010 parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 1000), nn.ReLU(), nn.Dropout(dropout), nn.Linear(1000, 10)
    )


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        epochs: passes over the training images, in batches of 20.
        lr: the learning rate of SGD with momentum 0.9.
        tasks: of clean and noisy.
        conditions: which to train.
        extras: also baselines, numbers of images, and the masks of dropout.
        clean: the strength of each regulariser on clean labels.
        noisy: the strength of each with 30 % wrong labels.
    """

    epochs: int = 100
    lr: float = 0.03
    tasks: tuple[str, ...] = tuple(WRONG)
    conditions: tuple[str, ...] = CONDITIONS
    extras: bool = True
    clean: dict[str, float] = field(
        default_factory=lambda: {
            "dropout": 0.8, "l2": 0.001, "l1": 0.0003, "patience": 8, "shift": 0, "turn": 10,
            "noise": 0.4, "smoothing": 0.5, "averaging": 0.997, "combined": 0.9,
        }
    )  # fmt: skip
    noisy: dict[str, float] = field(
        default_factory=lambda: {
            "dropout": 0.9, "l2": 0.01, "l1": 0.003, "patience": 8, "shift": 1, "turn": 40,
            "noise": 0.6, "smoothing": 0.9, "averaging": 0.999, "combined": 0.6,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.epochs < EVERY:
            raise ValueError(f"epochs {self.epochs}: expected at least {EVERY}")
        if unknown := {*self.tasks, *self.conditions} - {*WRONG, *CONDITIONS}:
            known = ", ".join((*WRONG, *CONDITIONS))
            raise ValueError(f"no {', '.join(unknown)}: expected some of {known}")

    def recipes(self, task: str) -> dict[str, dict[str, float]]:
        """The regularisers of each condition, with their strengths."""
        strength = self.clean if task == "clean" else self.noisy
        alone = {name: {name: strength[name]} for name in GRIDS}
        both = {name: strength["combined"] * strength[name] for name in PAIRS[task]}
        return {"none": {}, **DOCUMENTED, **alone, "combined": both}


def train(
    data: Part,
    validation: Part,
    recipe: Mapping[str, float],
    config: Config,
    seed: int,
    watch: Callback | None = None,
    fit: Callable[..., Any] = fit,
) -> nn.Sequential:
    """A network that was trained with some regularisers; from a seed all of them start alike."""
    gu.manual_seed(seed)
    model = network(recipe.get("dropout", 0.0))
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]

    def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        total = F.cross_entropy(output, target, label_smoothing=recipe.get("smoothing", 0.0))
        if "l2" in recipe:
            total = total + recipe["l2"] * nn.l2_penalty(weights)
        if "l1" in recipe:
            total = total + recipe["l1"] * nn.l1_penalty(weights)
        return total

    makers: dict[str, Callable[[float], Callable[[gu.Tensor], gu.Tensor]]]
    makers = {"shift": lambda pixels: Shift(int(pixels)), "turn": Rotate, "noise": Noise}
    augment = Compose(*(make(recipe[name]) for name, make in makers.items() if name in recipe))
    watched = watch is not None or "patience" in recipe  # validation takes time
    callbacks = [watch] if watch else []
    if "averaging" in recipe:
        callbacks.append(Average(optim.EMA(model, decay=recipe["averaging"])))
    if "patience" in recipe:
        callbacks.append(EarlyStopping(int(recipe["patience"]), monitor="validation_cross_entropy"))
    fit(
        model,
        loss,
        optim.SGD(model.parameters(), lr=config.lr, momentum=0.9),
        DataLoader(
            TensorDataset(data.images, data.given),
            batch_size=20,
            shuffle=True,
            transform=lambda images, labels: (augment(images), labels),
        ),
        epochs=config.epochs,
        validation=[(validation.images, validation.given)] if watched else None,
        metrics={"cross_entropy": F.cross_entropy},
        callbacks=callbacks,
    )
    return model.eval()


class Accuracies(Callback):
    """Keeps how many training labels are repeated, and how many unseen images are read right.

    Nothing is chosen by them; they are for the figures.
    """

    def __init__(self, learned: Part, unseen: Part) -> None:
        self.parts = {"learned": learned, "unseen": unseen._replace(given=unseen.true)}
        self.columns: dict[str, list[float]] = {name: [] for name in self.parts}

    def on_epoch_end(self, run: Training) -> None:
        """Measure both, now and then."""
        if (run.epoch + 1) % EVERY == 0:
            with evaluating(run.model):
                for name, part in self.parts.items():
                    self.columns[name].append(percent(run.model, part))

    def state_dict(self) -> dict[str, Any]:
        """The columns."""
        return {"columns": self.columns}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.columns = {name: list(column) for name, column in state["columns"].items()}


# What is measured


@gu.no_grad()
def percent(model: nn.Module, part: Part) -> float:
    """Answers that agree with the given labels, in percent."""
    return 100 * accuracy(model(part.images), part.given)


@gu.no_grad()
def memorised(model: nn.Module, part: Part) -> float:
    """How many of the wrong labels are repeated, in percent."""
    wrong = part.given != part.true
    return 100 * accuracy(model(part.images[wrong]), part.given[wrong])


@gu.no_grad()
def thinned(model: nn.Sequential, test: Part) -> tuple[float, float]:
    """Accuracies in percent of single masks of dropout, and of the mean of their answers."""
    model.train()
    answers = [F.softmax(model(test.images), dim=1) for _ in range(MASKS)]
    model.eval()
    alone = float(np.mean([accuracy(answer, test.true) for answer in answers]))
    return 100 * alone, 100 * accuracy(gu.stack(answers).mean(dim=0), test.true)


# The experiment


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train with each regulariser on both tasks from the same start; test once, at the end."""
    metrics: dict[str, float] = {}
    curves: dict[str, gu.Tensor] = {}
    weights: dict[str, gu.Tensor] = {}
    for task in config.tasks:
        learn, validation, test = parts(task, seed)
        for name in run.track(config.conditions, f"{task} labels"):
            recipe = config.recipes(task)[name]
            watched = config.extras and task == "noisy" and name in WATCHED
            watch = Accuracies(learn, validation) if watched else None
            recorded = partial(run.fit, name, animate=False) if watched and name in DRAWN else fit
            model = train(learn, validation, recipe, config, seed, watch, recorded)
            weight = model[1].weight.detach()
            if name in DRAWN:
                weights[f"{task}/{name}"] = weight
            if task == "clean":
                metrics[f"{name}/clean_train"] = percent(model, learn)
            metrics |= {
                f"{name}/{task}_validation": percent(model, validation),
                f"{name}/{task}_test": percent(model, test),
            }
            if task == "noisy":
                metrics[f"{name}/memorised"] = memorised(model, learn)
            else:
                small = (weight.abs() < 0.001).double().mean().item()
                metrics[f"{name}/small"] = 100 * small
            if watch is not None:
                curves |= {f"{name}/{part}": gu.tensor(v) for part, v in watch.columns.items()}
            if config.extras and task == "noisy" and name == "dropout-0.5":
                alone, together = thinned(model, test)
                metrics |= {"thinned/noisy_test": alone, "ensemble/noisy_test": together}
        if config.extras:
            metrics[f"neighbour/{task}_test"] = nearest_neighbour(learn, test)
            column = by_images(config, task, seed, run)
            metrics[f"400-images/{task}_test"] = column["none"][-1]
            curves |= {f"{task}/{name}": gu.tensor(values) for name, values in column.items()}
    if config.extras:
        run.save("curves", **curves)
        run.save("weights", **weights)
    return metrics


def by_images(config: Config, task: str, seed: int, run: Trial) -> dict[str, list[float]]:
    """Test accuracies in percent by the number of training images, without and with L2."""
    learn, validation, test = parts(task, seed)
    pool = Part(*(gu.cat(columns) for columns in zip(learn, validation, strict=True)))
    found: dict[str, list[float]] = {"none": [], "l2": []}
    for count in run.track(SIZES, f"{task} labels, by images"):
        data = learn.some(count, seed) if count <= 100 else pool.some(count, seed)
        # The prior stays the same, so the penalty's share falls with the number of images.
        penalty = config.recipes(task)["l2"]["l2"] * 100 / count
        for name, recipe in (("none", {}), ("l2", {"l2": penalty})):
            found[name].append(percent(train(data, validation, recipe, config, seed), test))
    return found


TUNED = [
    Tuned(
        setting,
        values,
        f"{name}/{task}_validation",
        given={"tasks": (task,), "conditions": (name,), "extras": False},
    )
    for setting, values, name, task in [
        ("lr", (0.003, 0.01, 0.03, 0.1, 0.3), "none", "clean"),
        *((f"{task}.{name}", grid, name, task) for task in WRONG for name, grid in GRIDS.items()),
    ]
]

SOURCE = "Layer 1 completion roadmap, example 11, expected output"
OURS = "Layer 1 completion roadmap, example 11 (the figures are ours)"
WORDS = {"clean": "on clean labels", "noisy": "with 30 % wrong labels"}
CLAIMS = [
    *(
        Claim(
            f"{name}-train", f"{words}, {figure} % of the training images are right", SOURCE,
            figure, f"{name}/clean_train", "equals", unit=" %",
        )
        for name, words, figure in (
            ("none", "without regulariser", 100), ("dropout-0.5", "with dropout 0.5", 95),
            ("l2-0.01", "with L2 0.01", 96),
        )
    ),
    *(
        Claim(
            f"none-{task}", f"without regulariser 65 % of the test images are right {WORDS[task]}",
            SOURCE, 65, f"none/{task}_test", "at most", unit=" %", digits=1,
        )
        for task in WRONG
    ),
    *(
        Claim(
            f"{name}-test", f"{words}, {figure} % of the test images are right", SOURCE, figure,
            f"{name}/clean_test", unit=" %", digits=1,
        )
        for name, words, figure in (
            ("dropout-0.5", "with dropout 0.5", 88), ("l2-0.01", "with L2 0.01", 89),
        )
    ),
    *(
        Claim(
            f"{name}-gain-{task}", f"{words} gains {figure} points of test accuracy {WORDS[task]}",
            SOURCE, figure, f"{name}/{task}_test", minus=f"none/{task}_test", unit=" points",
            digits=1,
        )
        for task in WRONG
        for name, words, figure in (("dropout-0.5", "dropout 0.5", 23), ("l2-0.01", "L2 0.01", 24))
    ),
    Claim(
        "by-heart", "without regulariser all wrong labels are learned by heart",
        "Zhang et al. (2017)", 100, "none/memorised", "equals", unit=" %",
    ),
    *(
        Claim(
            f"{name}-tuned", f"{LABELS[name]}, at the best strength: 5 points more test accuracy "
            "with 30 % wrong labels", OURS, 5, f"{name}/noisy_test", minus="none/noisy_test",
            unit=" points", digits=1,
        )
        for name in GRIDS if name != "combined"
    ),
    Claim(
        "ceiling", "on clean labels the best two regularisers together gain at most 2 points", OURS,
        2, "combined/clean_test", "at most", minus="none/clean_test", unit=" points", digits=1,
    ),
    Claim(
        "data-clean", "on clean labels 400 images without regulariser are 3 points better than 100 "
        "with the best two", OURS, 3, "400-images/clean_test", minus="combined/clean_test",
        unit=" points", digits=1,
    ),
    Claim(
        "data-noisy", "with 30 % wrong labels 100 images with early stopping are at least as good "
        "as 400 without regulariser", OURS, 0, "patience/noisy_test", minus="400-images/noisy_test",
        unit=" points", digits=1,
    ),
    Claim(
        "neighbour", "on clean labels the network without regulariser is at least as good as the "
        "nearest neighbour", OURS, 0, "none/clean_test", minus="neighbour/clean_test",
        unit=" points", digits=1,
    ),
    Claim(
        "zeros", "at their best strengths on clean labels L1 leaves 10 times as many weights below "
        "0.001 as L2", "Tibshirani (1996), the figure is ours", 10, "l1/small", over="l2/small",
        digits=1,
    ),
    Claim(
        "one-pass", f"the mean of {MASKS} networks thinned by dropout is at most 1 point better "
        "than the whole network in one pass", "Srivastava et al. (2014), the figure is ours", 1,
        "ensemble/noisy_test", "at most", minus="dropout-0.5/noisy_test", unit=" points", digits=1,
    ),
]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Accuracies by epoch and by number of images, and first layers."""
    config = results.config
    missing = set(WRONG) - set(config.tasks) | {*WATCHED, *DRAWN} - set(config.conditions)
    if missing or not config.extras:
        return []
    columns = [outcome.tensors("curves") for outcome in results.outcomes.values()]
    curves = {name: np.array([column[name].numpy() for column in columns]) for name in columns[0]}
    by_epoch = [
        learning(curves, "learned", "Training labels repeated (%)"),
        learning(curves, "unseen", "Unseen images read right (%)"),
    ]
    series = {
        f"{words}, {labels}": curves[f"{task}/{name}"]
        for task, labels in (("clean", "clean"), ("noisy", "30 % wrong"))
        for name, words in (("none", "No regulariser"), ("l2", "L2"))
    }
    figure = viz.curves(
        series, "Training images", "Test accuracy (%)", x=SIZES, log_x=True, possible=(0, 100)
    )
    by_size = viz.Plot(
        figure, "Test accuracy by number of training images; the L2 penalty falls in proportion."
    )
    return [
        ("By epoch", by_epoch),
        ("By number of images", [by_size]),
        ("The first layer", first_layer(next(iter(results.outcomes.values())))),
    ]


def learning(curves: Mapping[str, Numbers], part: str, words: str) -> viz.Block:
    """An accuracy by epoch, with wrong labels."""
    series = {LABELS[name]: curves[f"{name}/{part}"] for name in WATCHED}
    epochs = EVERY * np.arange(1, series[LABELS["none"]].shape[1] + 1)
    figure = viz.curves(series, "Epoch", words, x=epochs, possible=(0, 100))
    return viz.Plot(figure, f"{words[:-4]}; 30 % of the training labels are wrong.")


def first_layer(outcome: Outcome) -> list[viz.Block]:
    """How large the weights are, and those of the units with the largest ones."""
    weights = {name: w.numpy() for name, w in outcome.tensors("weights").items()}
    sizes = np.geomspace(1e-5, 1, 101)
    shares = {
        LABELS[name]: [100 * np.mean(np.abs(weights[f"clean/{name}"]) < size) for size in sizes]
        for name in DRAWN
    }
    figure = viz.curves(shares, "Size", "Weights that are smaller (%)", x=sizes, log_x=True)
    words = f"Sizes of the first layer's weights, learned from clean labels, seed {outcome.seed}."
    blocks: list[viz.Block] = [viz.Plot(figure, words)]
    for name in DRAWN:
        w = weights[f"noisy/{name}"]
        largest = w[np.argsort(-np.abs(w).sum(axis=1))[:24]].reshape(-1, 1, 8, 8)
        caption = f"{LABELS[name]}, 30 % wrong: the 24 hidden units with the largest weights."
        blocks.append(viz.Plot(viz.filters(largest), caption))
    return blocks
