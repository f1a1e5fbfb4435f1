"""What all models of pairs share: what they are given, and the layers that encode it.

A model is given for each pair the number of its TF and of its gene, and the expression of both over
all samples, and gives a logit: the larger, the likelier an edge. A model may leave out what it does
not need, and says so.

Shapes: N pairs, S samples, D features of an encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from ....engine.tensor import Tensor
from ....nn import Dropout, Embedding, Linear, Module, ReLU, Sequential, init

Initial = Literal["he", "xavier"]


class PairModel(Module):
    """Base class: ``forward`` gives a logit for each pair.

    Attributes:
        knows_tfs: whether it has a vector for each TF, and so speaks only of those.
        knows_genes: whether it has a vector for each gene.
        reads_expression: whether it looks at expression; its first weights then belong to the
            samples that it was trained with, and others mean nothing to it.

    Shape:
        tf, gene (N,) integers; tf_x, gene_x (N, S) -> (N,).

    Example:
        >>> class Agreement(PairModel):
        ...     def forward(self, tf, tf_x, gene, gene_x):
        ...         return (tf_x * gene_x).mean(-1)
        >>> one = gu.tensor([0])
        >>> Agreement()(one, gu.ones(1, 4), one, gu.ones(1, 4)).tolist()
        [1.0]
    """

    knows_tfs: bool = False
    knows_genes: bool = False
    reads_expression: bool = False

    def size(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())


class TowerModel(PairModel):
    """Base class of models that encode TF and gene apart: the logit is the product of the two.

    So a matrix of all pairs is one product of matrices. A scale or a temperature is part of the
    TF's encoding.

    Example:
        >>> class Correlation(TowerModel):
        ...     def encode_tf(self, tf, x):
        ...         return x / x.shape[-1]
        ...     def encode_gene(self, gene, x):
        ...         return x
        >>> one = gu.tensor([0])
        >>> Correlation()(one, gu.ones(1, 4), one, gu.ones(1, 4)).tolist()
        [1.0]
    """

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs by their numbers (N,) and expression (N, S) as vectors (N, D).

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no encode_tf")

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes by their numbers (N,) and expression (N, S) as vectors (N, D).

        Raises:
            NotImplementedError: the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no encode_gene")

    def forward(self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor) -> Tensor:
        """The product of the two encodings."""
        return (self.encode_tf(tf, tf_x) * self.encode_gene(gene, gene_x)).sum(-1)


def encoder(sizes: Sequence[int], dropout: float, initial: Initial = "he") -> Sequential:
    """Linear layers with ReLU and dropout between them.

    Args:
        sizes: of the input, of each hidden layer, of the output.
        dropout: of hidden units, in training.
        initial: normal weights after He et al. (2015) or uniform ones after Glorot and Bengio
            (2010, "Xavier"); biases begin at 0.

    Example:
        >>> sum(p.numel() for p in encoder([256, 256, 128], 0.1).parameters())
        98688
    """
    layers: list[Module] = []
    for inside, outside in pairwise(sizes):
        if layers:
            layers += [ReLU(), Dropout(dropout)]
        layer = Linear(inside, outside)
        if initial == "he":
            init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        init.zeros_(layer.bias)
        layers.append(layer)
    return Sequential(*layers)


def table(rows: int, width: int, deviation: float) -> Embedding:
    """A learned vector for each of several things, which begins normal with this deviation.

    Example:
        >>> table(10, 4, 0.0).weight.abs().sum().item()
        0.0
    """
    layer = Embedding(rows, width)
    init.normal_(layer.weight, 0.0, deviation)
    return layer
