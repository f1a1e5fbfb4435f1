r"""Convolution: does a CNN read handwritten digits better than an MLP, with fewer parameters?

A fully connected layer gives every pixel of an image its own weight for every hidden unit; it does
not know that pixels have neighbours. A convolution slides one small kernel over the image (LeCun et
al., 1989). Output channel $o$ at position $p$ is

$$y_{o,p} = b_o + \sum_{c,k} w_{o,c,k} \, x_{c,p+k}$$

summed over the input channels $c$ and the offsets $k$ within the kernel. So a stroke is recognised
wherever it stands, and all positions share the same weights. The networks, on real 8x8 images:

- **MLP**: 64 pixels, 128 hidden units, 10 classes;
  64 × 128 + 128 + 128 × 10 + 10 = 9,610 parameters.
- **CNN**: 1 to 16 channels (3x3), max pooling (2x2), 16 to 32 channels (3x3), 10 classes;
  160 + 4,640 + 330 = 5,130 parameters.

The document that this project started from writes the CNN as "Conv 8->16, MaxPool, Conv 16->32,
Flatten, Dense 10", and claims 87 % for the MLP with 8,320 parameters against 94 % for the CNN with
1,234. An image has one channel, so we read 8 as its side; no reading of that line has as few as
1,234 parameters, since the second convolution alone has 16 × 32 × 9 = 4,608 weights.

Every network trains on 60 % of the images with AdamW and a cosine schedule. Learning rates were
chosen by validation accuracy (20 %) on seeds that are not reported, each network with the same
number of trials (`groundup run digits --tune` repeats that); the test images (20 %) are looked at
once, by the final weights. A seed decides the split, the initial weights and the order of the
batches.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader
from groundup.data.digits import Digits, load_digits
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import Schedule, accuracy, predict

LESSON = 8  # R3.8
SEEDS = range(5)
TUNING_SEEDS = (100, 101, 102)
LABELS = {
    "majority": "Majority class",
    "neighbour": "Nearest neighbour",
    "softmax": "Softmax regression",
    "test_accuracy": "test accuracy (%)",
    "validation_accuracy": "validation accuracy (%)",
    "seconds": "training time (s)",
    "epoch_loss": "cross-entropy (nats)",
}
RANGES = {
    "test_accuracy": (0, 100),
    "validation_accuracy": (0, 100),
    "seconds": (0, math.inf),
}
OBJECTIVE = "CNN/validation_accuracy"


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
    "softmax": softmax_regression,
    "MLP": mlp,
    "CNN": cnn,
}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        epochs: passes over the training images.
        batch_size: images for one step.
        weight_decay: of AdamW.
        networks: which to train, of softmax, MLP and CNN.
        lr: the learning rate of each network.
    """

    epochs: int = 40
    batch_size: int = 64
    weight_decay: float = 0.01
    networks: tuple[str, ...] = tuple(NETWORKS)
    lr: dict[str, float] = field(default_factory=lambda: {"softmax": 0.1, "MLP": 0.03, "CNN": 0.01})

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"epochs {self.epochs}, batch_size {self.batch_size}: expected at least 1 of each"
            )
        if unknown := set(self.networks) - set(NETWORKS):
            raise ValueError(f"no network {', '.join(unknown)}: there are {', '.join(NETWORKS)}")


def split(seed: int) -> Digits:
    """60 % of the images to learn from, 20 % to choose by, 20 % to test on."""
    return load_digits((0.6, 0.2, 0.2), seed)


# What needs no training


def majority(digits: Digits) -> float:
    """How often the commonest digit of the training images is right."""
    common = statistics.mode(digits.train.tensors[1].tolist())
    return (digits.test.tensors[1] == common).double().mean().item()


def nearest_neighbour(digits: Digits) -> float:
    """How often the training image at the smallest Euclidean distance has the right label."""
    (x, y), (points, labels) = digits.train.tensors, digits.test.tensors
    x, points = x.flatten(1), points.flatten(1)
    # $|a - b|^2 = |a|^2 - 2\, a \cdot b + |b|^2$, and $|a|^2$ does not change which $b$ is nearest.
    distances = (x * x).sum(dim=1) - 2 * (points @ x.T)
    return (y[distances.argmin(dim=1)] == labels).double().mean().item()


# The experiment


def percent_correct(output: gu.Tensor, target: gu.Tensor) -> float:
    """Accuracy in percent."""
    return 100 * accuracy(output, target)


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train every network with one seed; the test images are used once, at the end."""
    digits = split(seed)
    metrics = {
        "majority/test_accuracy": 100 * majority(digits),
        "neighbour/test_accuracy": 100 * nearest_neighbour(digits),
    }
    predictions = {"labels": digits.test.tensors[1]}
    for name in config.networks:
        gu.manual_seed(seed)
        model = NETWORKS[name]()
        optimizer = optim.AdamW(
            model.parameters(), lr=config.lr[name], weight_decay=config.weight_decay
        )
        schedule = CosineAnnealingLR(optimizer, T_max=config.epochs)
        history = run.fit(
            name,
            model,
            F.cross_entropy,
            optimizer,
            DataLoader(digits.train, batch_size=config.batch_size, shuffle=True),
            epochs=config.epochs,
            validation=[digits.validation.tensors],
            metrics={"accuracy": percent_correct},
            callbacks=[Schedule(schedule, per="epoch")],
        )
        scores, labels = predict(model, [digits.test.tensors])
        predictions[name] = scores.argmax(dim=1)
        metrics |= {
            f"{name}/test_accuracy": 100 * (predictions[name] == labels).double().mean().item(),
            f"{name}/validation_accuracy": history.epochs["validation_accuracy"][-1],
            f"{name}/parameters": sum(p.numel() for p in model.parameters()),
            f"{name}/seconds": run.seconds[name],
        }
    run.save("predictions", **predictions)
    return metrics


# How the learning rates were chosen: the same trials for each network

TUNED = [
    Tuned(
        f"lr.{name}",
        (0.001, 0.003, 0.01, 0.03, 0.1),
        f"{name}/validation_accuracy",
        given={"networks": (name,)},
    )
    for name in NETWORKS
]


# What the source document claims

SOURCE = "Layer 1 completion roadmap, example 8, expected output"
CLAIMS = [
    Claim(
        "mlp-accuracy", "the MLP reaches 87 % test accuracy", SOURCE, 87,
        "MLP/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "cnn-accuracy", "the CNN reaches 94 % test accuracy", SOURCE, 94,
        "CNN/test_accuracy", unit=" %", digits=1,
    ),
    Claim(
        "cnn-gain", "the CNN is 7 points better than the MLP", SOURCE, 7,
        "CNN/test_accuracy", minus="MLP/test_accuracy", unit=" points", digits=1,
    ),
    Claim(
        "mlp-parameters", "the MLP has 8,320 parameters", SOURCE, 8320,
        "MLP/parameters", "equals", estimate="exact",
    ),
    Claim(
        "cnn-parameters", "the CNN has 1,234 parameters", SOURCE, 1234,
        "CNN/parameters", "equals", estimate="exact",
    ),
    Claim(
        "fewer-parameters", "the CNN has 6.7 times fewer parameters", SOURCE, 6.7,
        "MLP/parameters", "equals", over="CNN/parameters", estimate="exact", digits=1,
    ),
]  # fmt: skip


# What the report shows besides tables and curves


def mistakes_figure(results: Results, network: str, most: int = 40) -> Figure | None:
    """The test images that a network misread, with what it took them for."""
    images, titles = [], []
    for seed, outcome in results.outcomes.items():
        pixels = split(seed).test.tensors[0].numpy()
        found = outcome.tensors("predictions")
        pairs = zip(found["labels"].tolist(), found[network].tolist(), strict=True)
        for i, (label, prediction) in enumerate(pairs):
            if label != prediction:
                images.append(pixels[i, 0])
                titles.append(f"{label} as {prediction}")
    if not images:
        return None
    return viz.image_grid(np.array(images[:most]), titles[:most], columns=8, ink=True)


def mistakes(results: Results, network: str) -> list[viz.Block]:
    """The confusions and the misread images of a network, all seeds together."""
    labels, predictions = [], []
    for outcome in results.outcomes.values():
        found = outcome.tensors("predictions")
        labels += found["labels"].tolist()
        predictions += found[network].tolist()
    wrong = sum(a != b for a, b in zip(labels, predictions, strict=True))
    counts = viz.count_confusion(labels, predictions, range(10))
    blocks: list[viz.Block] = [
        f"Over all seeds the {network} read {len(labels):,} test images, {wrong:,} of them "
        "wrongly.",
        viz.Plot(viz.confusion_matrix(counts, range(10)), "Test images, all seeds."),
    ]
    if (figure := mistakes_figure(results, network)) is not None:
        caption = "Misread test images, the first 40: what each is, as what it was read."
        blocks.append(viz.Plot(figure, caption))
    return blocks


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Confusions, misread images, learned filters and layers."""
    shown = [name for name in ("CNN", "MLP") if name in results.config.networks]
    found = [(f"Mistakes of the {name}", mistakes(results, name)) for name in shown]
    if "CNN" in shown:
        seed, first = next(iter(results.outcomes.items()))
        weights = first.weights("CNN")
        found.append(
            (
                "What the CNN learned",
                [
                    viz.Plot(
                        viz.filters(weights["0.weight"].numpy()),
                        f"The 16 kernels of the first convolution (seed {seed}).",
                    ),
                    viz.Plot(
                        viz.filters(weights["3.weight"].numpy()),
                        f"The kernels of the second convolution (seed {seed}): a column for each "
                        "of 32 filters, a row for each of 16 input channels.",
                    ),
                ],
            )
        )
    for name in shown:
        summary = NETWORKS[name]().summary(gu.zeros(1, 1, 8, 8))
        found.append((f"Layers of the {name}", [viz.Code(str(summary), "For one image.")]))
    return found
