"""Data: sets of arrays and text, splits, a loader, augmentation, and maps of many dimensions.

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
from .pca import PCA, pca
from .source_code import code_words, standard_library
from .split import random_split, split
from .text import TextDataset, Vocabulary, read_text
from .token_file import RandomWindows, TokenFile, token_dtype, write_tokens
from .tsne import TSNE, tsne

__all__ = [
    "PCA",
    "TSNE",
    "Compose",
    "DataLoader",
    "Dataset",
    "Digits",
    "Noise",
    "RandomWindows",
    "Rotate",
    "Shift",
    "Subset",
    "TensorDataset",
    "TextDataset",
    "TokenFile",
    "Vocabulary",
    "code_words",
    "default_collate",
    "load_digits",
    "pca",
    "random_split",
    "read_text",
    "rotate",
    "shift",
    "split",
    "standard_library",
    "token_dtype",
    "tsne",
    "write_tokens",
]
