"""1,797 real handwritten digits, 8x8 pixels, that come with scikit-learn; nothing is downloaded.

They are the test part of "Optical recognition of handwritten digits" (Alpaydin and Kaynak, 1998,
UCI machine learning repository): digits of 13 people, each pixel a count of ink from 0 to 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..engine.base import wrap
from ..engine.random import Generator
from .dataset import TensorDataset
from .split import split


class Digits(NamedTuple):
    """Three disjoint data sets of (image, label).

    Attributes:
        train: to learn from.
        validation: to choose among models, and to know when to stop.
        test: to measure the one that was chosen.

    Example:
        >>> Digits._fields
        ('train', 'validation', 'test')
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset


def load_digits(fractions: Sequence[float] = (0.7, 0.15, 0.15), seed: int = 0) -> Digits:
    """The digits, cut into training, validation and test sets with equal shares of each digit.

    Args:
        fractions: shares of the three sets; they add up to 1.
        seed: decides who is in which set, and nothing else does.

    Shape:
        Images (N, 1, 8, 8), float32 in [0, 1]; labels (N,), int64 in [0, 9].

    Returns:
        (train, validation, test).

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
        ValueError: the fractions are not three positive numbers that add up to 1.

    Example:
        >>> train, validation, test = load_digits()
        >>> len(train), len(validation), len(test)
        (1258, 270, 269)
        >>> image, label = train[0]
        >>> image.shape, label.dtype
        ((1, 8, 8), dtype('int64'))
    """
    if len(fractions) != 3:
        raise ValueError(
            f"load_digits: fractions {tuple(fractions)}; expected three, "
            "for training, validation and test"
        )
    try:
        from sklearn.datasets import load_digits as bundled
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn, which is not installed; "
            "install it with: pip install 'groundup[data]'"
        ) from error
    ink, labels = bundled(return_X_y=True)
    images = (ink / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    parts = split(len(labels), fractions, stratify=labels, generator=Generator(seed))
    return Digits(
        *(TensorDataset(wrap(images[part]), wrap(labels[part].astype(np.int64))) for part in parts)
    )
