"""Convolution: does a CNN read handwritten digits better than an MLP, with fewer parameters?

A fully connected layer gives every pixel of an image its own weight for every hidden unit; it does
not know that pixels have neighbours. A convolution slides one small kernel over the image,

    y[o, p] = b[o] + sum over channels c and offsets k of  w[o, c, k] x[c, p + k],

so a stroke is recognised wherever it stands, and the weights are shared by all positions (LeCun et
al., 1989). The networks, on real 8x8 images:

    MLP   64 pixels -> 128 -> 10                               64*128 + 128 + 128*10 + 10 =  9,610
    CNN   1 -> 16 channels (3x3), max pool (2), 16 -> 32 (3x3), 10
                                                              160 + 4,640 + 330           =  5,130

The document that this project started from writes the CNN as "Conv 8->16, MaxPool, Conv 16->32,
Flatten, Dense 10", and claims 87 % for the MLP with 8,320 parameters against 94 % for the CNN with
1,234. An image has one channel, so we read 8 as its side; no reading of that line has as few as
1,234 parameters, since the second convolution alone has 16 * 32 * 9 = 4,608 weights.

Every network trains on 60 % of the images with AdamW and a cosine schedule. Learning rates were
chosen by validation accuracy (20 %) on seeds that are not reported (`--tune` repeats that), each
network with the same number of trials; the test images (20 %) are looked at once, by the final
weights. A seed decides the split, the initial weights and the order of the batches.

    python -m groundup.experiments.digits            # five seeds; the last line is the report's
    path python -m groundup.experiments.digits --tune     # how the learning rates were chosen

Covers R3.8.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader
from groundup.data.digits import Digits, load_digits
from groundup.engine.files import write_atomically
from groundup.experiments.claims import Claim, mean_interval
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import Callback, Schedule, accuracy, fit, predict


@dataclass
class Config:
    """What the experiment can be run with."""

    seeds: int = 5
    epochs: int = 40
    batch_size: int = 64
    weight_decay: float = 0.01
    learning_rates: dict[str, float] = field(
        default_factory=lambda: {"Softmax regression": 0.1, "MLP": 0.03, "CNN": 0.01}
    )


# The networks


def softmax_regression() -> nn.Sequential:
    """No hidden layer: what a linear model can do."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def mlp() -> nn.Sequential:
    """Every pixel connected to each of 128 hidden units."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Sequential:
    """Two convolutions; the shapes are (N, channels, height, width)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),  # (N, 1, 8, 8) -> (N, 16, 6, 6)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (N, 16, 3, 3)
        nn.Conv2d(16, 32, 3),  # -> (N, 32, 1, 1)
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "Softmax regression": softmax_regression,
    "MLP": mlp,
    "CNN": cnn,
}


def split(seed: int) -> Digits:
    """60 % of the images to learn from, 20 % to choose by, 20 % to test on."""
    return load_digits((0.6, 0.2, 0.2), seed)


# Training one network


@dataclass
class Outcome:
    """What one network did with one seed; the curves are by epoch."""

    network: str
    seed: int
    validation_accuracy: float
    test_accuracy: float
    seconds: float
    curves: dict[str, list[float]]
    model: nn.Sequential
    labels: list[int]
    predictions: list[int]


class Advance(Callback):
    """Moves a progress bar by one for every epoch."""

    def __init__(self, tick: Callable[[], object]) -> None:
        self.tick = tick

    def on_epoch_end(self, *_: Any) -> None:
        """Move it."""
        self.tick()


def train(
    network: str, seed: int, config: Config, learning_rate: float, tick: Callable[[], object]
) -> Outcome:
    """Train one network with one seed; the test images are used once, at the end."""
    digits = split(seed)
    gu.manual_seed(seed)
    model = NETWORKS[network]()
    optimizer = optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=config.weight_decay)
    schedule = CosineAnnealingLR(optimizer, T_max=config.epochs)
    start = time.perf_counter()
    history = fit(
        model,
        F.cross_entropy,
        optimizer,
        DataLoader(digits.train, batch_size=config.batch_size, shuffle=True),
        epochs=config.epochs,
        validation=[digits.validation.tensors],
        metrics={"accuracy": accuracy},
        callbacks=[Schedule(schedule, per="epoch"), Advance(tick)],
    )
    seconds = time.perf_counter() - start
    scores, labels = predict(model, [digits.test.tensors])
    predictions = scores.argmax(dim=1)
    return Outcome(
        network,
        seed,
        history.epochs["validation_accuracy"][-1],
        (predictions == labels).double().mean().item(),
        seconds,
        history.epochs,
        model,
        labels.tolist(),
        predictions.tolist(),
    )


# What needs no training


def majority(digits: Digits) -> float:
    """Always the commonest digit of the training images."""
    common = statistics.mode(digits.train.tensors[1].tolist())
    return (digits.test.tensors[1] == common).double().mean().item()


def nearest_neighbour(digits: Digits) -> float:
    """The label of the training image at the smallest Euclidean distance."""
    (x, y), (points, labels) = digits.train.tensors, digits.test.tensors
    x, points = x.flatten(1), points.flatten(1)
    # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, and |a|^2 does not change which b is nearest
    distances = (x * x).sum(dim=1) - 2 * (points @ x.T)
    return (y[distances.argmin(dim=1)] == labels).double().mean().item()


def tune(config: Config, console: Console) -> None:
    """Show validation accuracy by learning rate, on seeds that are not reported."""
    rates, seeds = (0.001, 0.003, 0.01, 0.03, 0.1), (100, 101, 102)
    table = Table("network", "learning rate", "validation accuracy, mean of 3 seeds")
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("trying", total=len(NETWORKS) * len(rates) * 3 * config.epochs)
        for network in NETWORKS:
            for rate in rates:
                found = [
                    train(network, seed, config, rate, lambda: progress.advance(bar))
                    for seed in seeds
                ]
                mean = statistics.fmean(outcome.validation_accuracy for outcome in found)
                table.add_row(network, f"{rate:g}", f"{mean:.2%}")
    console.print(table)


# The whole experiment


@dataclass
class Result:
    """All outcomes, by network, and the baselines, a value for each seed."""

    outcomes: dict[str, list[Outcome]]
    baselines: dict[str, list[float]]

    def parameters(self, network: str) -> int:
        """How many numbers a network learns."""
        return sum(p.numel() for p in self.outcomes[network][0].model.parameters())

    def accuracies(self, network: str) -> list[float]:
        """Test accuracy in percent, for each seed."""
        return [100 * outcome.test_accuracy for outcome in self.outcomes[network]]


def run(config: Config, console: Console) -> Result:
    """Train every network with every seed."""
    result = Result({network: [] for network in NETWORKS}, {})
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=config.seeds * len(NETWORKS) * config.epochs)
        for seed in range(config.seeds):
            for network in NETWORKS:
                progress.update(bar, description=f"{network}, seed {seed}")
                rate = config.learning_rates[network]
                outcome = train(network, seed, config, rate, lambda: progress.advance(bar))
                result.outcomes[network].append(outcome)
    splits = [split(seed) for seed in range(config.seeds)]
    result.baselines = {
        "Majority class": [100 * majority(digits) for digits in splits],
        "Nearest neighbour": [100 * nearest_neighbour(digits) for digits in splits],
    }
    return result


def claims(result: Result) -> list[Claim]:
    """The source document's claims beside what was measured."""
    small, large = result.parameters("CNN"), result.parameters("MLP")
    cnn_accuracy, mlp_accuracy = result.accuracies("CNN"), result.accuracies("MLP")
    gains = [a - b for a, b in zip(cnn_accuracy, mlp_accuracy, strict=True)]
    return [
        Claim("the MLP reaches 87 % test accuracy", 87, "at least", mlp_accuracy, " %", 1),
        Claim("the CNN reaches 94 % test accuracy", 94, "at least", cnn_accuracy, " %", 1),
        Claim("the CNN is 7 points better than the MLP", 7, "at least", gains, " points", 1),
        Claim("the MLP has 8,320 parameters", 8320, "equals", [large]),
        Claim("the CNN has 1,234 parameters", 1234, "equals", [small]),
        Claim("the CNN has 6.7 times fewer parameters", 6.7, "equals", [large / small], "", 1),
    ]


# Showing it


def rows(result: Result) -> list[tuple[str, str, str, str]]:
    """Name, test accuracy with interval, parameters and training time of each model."""
    found = []
    for name, values in result.baselines.items():
        found.append((name, _percent(values), "0", "–"))
    for name, outcomes in result.outcomes.items():
        seconds = statistics.median(outcome.seconds for outcome in outcomes)
        count = f"{result.parameters(name):,}"
        found.append((name, _percent(result.accuracies(name)), count, f"{seconds:.1f} s"))
    return found


def _percent(values: list[float]) -> str:
    interval = mean_interval(values)
    return f"{interval.mean:.1f} % ({interval.low:.1f} to {interval.high:.1f})"


COLUMNS = ("model", "test accuracy (95 % interval)", "parameters", "training time, median")
CLAIM_COLUMNS = ("claim of the source document", "claimed", "measured", "verdict")


def show(result: Result, config: Config, console: Console) -> None:
    """Print both tables."""
    table = Table(*COLUMNS, title=f"8x8 digits, {config.seeds} seeds, {config.epochs} epochs")
    for row in rows(result):
        table.add_row(*row)
    console.print(table)
    table = Table(*CLAIM_COLUMNS)
    for claim in claims(result):
        table.add_row(*claim.cells())
    console.print(table)


def curves_figure(result: Result) -> Any:
    """Validation accuracy of every network by epoch."""
    return viz.curves(
        {
            name: 100 * _by_epoch(found, "validation_accuracy")
            for name, found in result.outcomes.items()
        },
        "Epoch",
        "Validation accuracy (%)",
    )


def loss_figure(result: Result) -> Any:
    """Training and validation loss by epoch, of the two networks that are compared."""
    series = {}
    for name in ("MLP", "CNN"):
        series[f"{name}, training"] = _by_epoch(result.outcomes[name], "loss")
        series[f"{name}, validation"] = _by_epoch(result.outcomes[name], "validation_loss")
    return viz.curves(series, "Epoch", "Cross-entropy (nats)", log_y=True)


def _by_epoch(outcomes: list[Outcome], key: str) -> np.ndarray:
    return np.array([outcome.curves[key] for outcome in outcomes])


def mistakes_figure(result: Result, network: str, most: int = 40) -> Any:
    """The test images that a network misread, with what it took them for."""
    images, titles = [], []
    for outcome in result.outcomes[network]:
        pixels = split(outcome.seed).test.tensors[0].numpy()
        pairs = zip(outcome.labels, outcome.predictions, strict=True)
        for i, (label, prediction) in enumerate(pairs):
            if label != prediction:
                images.append(pixels[i, 0])
                titles.append(f"{label} read as {prediction}")
    if not images:
        return None
    return viz.image_grid(np.array(images[:most]), titles[:most], columns=8, ink=True)


def report(result: Result, config: Config, path: Path) -> Path:
    """One HTML page: tables, curves, confusions, mistakes, filters, layers."""
    page = viz.Report(
        "Reading handwritten digits",
        f"A CNN and an MLP on 1,797 real 8x8 images: {config.seeds} seeds, {config.epochs} epochs",
    )
    page.section(
        "Result",
        viz.Table(COLUMNS, rows(result), caption="Mean over seeds with Student's t interval."),
        viz.Table(
            CLAIM_COLUMNS,
            [claim.cells() for claim in claims(result)],
            caption="A claim is judged by the interval: refuted if the interval excludes it.",
        ),
    )
    page.section(
        "Learning",
        viz.Plot(loss_figure(result), "Loss by epoch: mean over seeds and its interval."),
        viz.Plot(curves_figure(result), "Accuracy on the validation images by epoch."),
    )
    for network in ("CNN", "MLP"):
        outcomes = result.outcomes[network]
        labels = [label for outcome in outcomes for label in outcome.labels]
        predictions = [p for outcome in outcomes for p in outcome.predictions]
        counts = viz.count_confusion(labels, predictions, range(10))
        wrong = sum(a != b for a, b in zip(labels, predictions, strict=True))
        blocks: list[Any] = [
            f"Over all seeds the {network} read {len(labels):,} test images, "
            f"{wrong:,} of them wrongly.",
            viz.Plot(viz.confusion_matrix(counts, range(10)), "Test images, all seeds."),
        ]
        if (figure := mistakes_figure(result, network)) is not None:
            blocks.append(viz.Plot(figure, "Misread test images (the first 40)."))
        page.section(f"Mistakes of the {network}", *blocks)
    model = result.outcomes["CNN"][0].model
    page.section(
        "What the CNN learned",
        viz.Plot(
            viz.filters(model[0].weight.detach().numpy()),
            "The 16 kernels of the first convolution (seed 0).",
        ),
        viz.Plot(
            viz.filters(model[3].weight.detach().numpy()),
            "The second convolution: a row for each of 32 outputs, a column for each of 16 inputs.",
        ),
    )
    for network in ("CNN", "MLP"):
        summary = result.outcomes[network][0].model.summary(gu.zeros(1, 1, 8, 8))
        page.section(f"Layers of the {network}", viz.Code(str(summary), "For one image."))
    page.section(
        "How it was run",
        viz.Table(("what", "value"), [(k, str(v)) for k, v in environment(config).items()]),
    )
    return page.write(path)


def environment(config: Config) -> dict[str, Any]:
    """What the figures depend on besides the seed."""
    return {
        "command": "python -m groundup.experiments.digits",
        "groundup": gu.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        **asdict(config),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, default=Config.seeds, help="how many seeds (default 5)"
    )
    parser.add_argument("--epochs", type=int, default=Config.epochs, help="default 40")
    parser.add_argument("--folder", type=Path, default=Path("runs/digits"), help="where files go")
    parser.add_argument("--tune", action="store_true", help="show how learning rates were chosen")
    options = parser.parse_args()
    if options.seeds < 1 or options.epochs < 1:
        parser.error(
            f"--seeds {options.seeds} --epochs {options.epochs}: expected at least 1 of each"
        )
    config = Config(seeds=options.seeds, epochs=options.epochs)
    console = Console()
    if options.tune:
        tune(config, console)
        return
    result = run(config, console)
    show(result, config, console)
    numbers = {
        "environment": environment(config),
        "models": [dict(zip(COLUMNS, row, strict=True)) for row in rows(result)],
        "claims": [
            dict(zip(CLAIM_COLUMNS, claim.cells(), strict=True)) for claim in claims(result)
        ],
    }
    folder: Path = options.folder
    write_atomically(folder / "result.json", json.dumps(numbers, indent=2).encode())
    viz.save(curves_figure(result), folder / "accuracy.svg")
    print(report(result, config, folder / "report.html"))


if __name__ == "__main__":
    main()
