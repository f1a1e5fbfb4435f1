"""Data: sets of arrays and text, splits, a seeded loader, augmentation of small images.

::

    from groundup.data import DataLoader, TensorDataset, load_digits

    train, validation, test = load_digits(seed=0)
    for images, labels in DataLoader(train, batch_size=32, shuffle=True):
        ...

A set gives items, a split says which of them serve for what, a loader makes batches of them.
"""

from .augment import Compose, Noise, Rotate, Shift, rotate, shift
from .dataset import Dataset, Subset, TensorDataset
from .digits import Digits, load_digits
from .loader import DataLoader, default_collate
from .split import random_split, split
from .text import TextDataset, Vocabulary, read_text

__all__ = [
    "Compose",
    "DataLoader",
    "Dataset",
    "Digits",
    "Noise",
    "Rotate",
    "Shift",
    "Subset",
    "TensorDataset",
    "TextDataset",
    "Vocabulary",
    "default_collate",
    "load_digits",
    "random_split",
    "read_text",
    "rotate",
    "shift",
    "split",
]
