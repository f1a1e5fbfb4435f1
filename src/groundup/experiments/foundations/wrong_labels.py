"""Few digits, of which some have wrong labels: the data of the lesson on regularisation.

Of 1,797 images 100 are to learn from, 300 to choose by and 1,397 to test on, each part with the
same share of each digit. A seed decides who is where and whose label is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import groundup as gu
from groundup.data import split
from groundup.data.digits import load_digits

WRONG = {"clean": 0.0, "noisy": 0.3}
"""The tasks, and the share of the labels that is wrong in each."""


class Part(NamedTuple):
    """Images (N, 1, 8, 8), their true labels (N,), and those that are given to the learner."""

    images: gu.Tensor
    true: gu.Tensor
    given: gu.Tensor

    def some(self, count: int, seed: int) -> Part:
        """As many of them, with the same share of each digit."""
        if count == len(self.true):
            return self
        share, random = count / len(self.true), gu.Generator(seed)
        rows = split(len(self.true), (share, 1 - share), stratify=self.true, generator=random)[0]
        return Part(*(column[rows] for column in self))


def mislabel(labels: gu.Tensor, share: float, seed: int) -> gu.Tensor:
    """Labels of which a share, exactly, is replaced by another digit."""
    random = np.random.default_rng(seed)
    wrong = random.permutation(len(labels))[: round(share * len(labels))]
    given = labels.numpy().copy()
    given[wrong] = (given[wrong] + random.integers(1, 10, len(wrong))) % 10
    return gu.tensor(given)


def parts(task: str, seed: int) -> tuple[Part, Part, Part]:
    """100 images to learn from, 300 to choose by, 1,397 to test on; test labels are all true."""
    digits = load_digits((100 / 1797, 300 / 1797, 1397 / 1797), seed)
    found = []
    for number, data in enumerate(digits):
        images, labels = data.tensors
        share = WRONG[task] if data is not digits.test else 0.0
        found.append(Part(images, labels, mislabel(labels, share, 10 * seed + number)))
    return found[0], found[1], found[2]


def nearest_neighbour(train: Part, test: Part) -> float:
    """Accuracy in percent of the label of the training image at the smallest distance."""
    x, points = train.images.flatten(1), test.images.flatten(1)
    distances = (x * x).sum(dim=1) - 2 * (points @ x.T)  # $|b|^2$ is the same for all
    return 100 * (train.given[distances.argmin(dim=1)] == test.true).double().mean().item()
