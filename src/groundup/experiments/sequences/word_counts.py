"""Bags of words: counts, naive Bayes as a linear layer, and TF-IDF.

Shapes: N texts, V known words, C classes.
"""

from __future__ import annotations

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn
from groundup.experiments.sequences.docstrings import words

Array = np.ndarray


def counted(texts: list[str], known: dict[str, int]) -> Array:
    """How often each known word is in each text, (N, words)."""
    counts = np.zeros((len(texts), len(known)), np.float32)
    for i, text in enumerate(texts):
        for word in words(text):
            if word in known:
                counts[i, known[word]] += 1
    return counts


def naive_bayes(counts: gu.Tensor, labels: gu.Tensor, classes: int, alpha: float) -> nn.Linear:
    """The logarithms of naive Bayes as the weights of a linear layer."""
    of_class = F.one_hot(labels, classes).T.float()
    n = of_class @ counts + alpha
    model = nn.Linear(counts.shape[1], classes)
    with gu.no_grad():
        model.weight.assign((n / n.sum(dim=1, keepdim=True)).log())
        assert model.bias is not None
        model.bias.assign(((of_class.sum(dim=1) + 1) / (len(labels) + classes)).log())
    return model


def tf_idf(counts: Array, seen: Array) -> Array:
    """Vectors of length 1 whose entries are larger for words that fewer seen texts have."""
    rarity = 1 + np.log((1 + len(seen)) / (1 + (seen > 0).sum(axis=0)))
    x = np.log1p(counts - 1, where=counts > 0, out=np.full_like(counts, -1)) + 1
    x = x * rarity.astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
