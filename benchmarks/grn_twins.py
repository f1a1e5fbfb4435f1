"""Models of regulation in PyTorch as one would write them there, with the same names of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.apps.grn.models import PairModel
from groundup.apps.grn.training.recipes import Recipe


def layers(sequential: Any) -> nn.Sequential:
    """The same layers in PyTorch."""
    make: dict[str, Callable[[Any], nn.Module]] = {
        "Linear": lambda x: nn.Linear(x.in_features, x.out_features),
        "Dropout": lambda x: nn.Dropout(x.p),
        "LayerNorm": lambda x: nn.LayerNorm(x.normalized_shape),
        "GELU": lambda x: nn.GELU(),
        "ReLU": lambda x: nn.ReLU(),
    }
    return nn.Sequential(*(make[type(layer).__name__](layer) for layer in sequential))


def table(of: Any) -> nn.Embedding:
    """A table of vectors of the same size."""
    return nn.Embedding(*of.weight.shape)


class Towers(nn.Module):
    """Two towers: TF and gene are encoded apart."""

    def forward(self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor) -> Tensor:
        """The product of the two encodings."""
        return (self.encode_tf(tf, tf_x) * self.encode_gene(gene, gene_x)).sum(-1)


class Regulon(Towers):
    """`RegulonTowers`."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.scale, self.tf_dropout = of.scale, of.tf_dropout
        self.tf_table, self.tf_bias = table(of.tf_table), table(of.tf_bias)
        self.tf_encoder, self.gene_encoder = layers(of.tf_encoder), layers(of.gene_encoder)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs, with their bias as the last number."""
        vector, bias = self.tf_table(tf), self.tf_bias(tf)
        if self.training and self.tf_dropout:
            kept = torch.rand(len(tf), 1) >= self.tf_dropout
            vector, bias = vector * kept, bias * kept
        return torch.cat([(vector + self.tf_encoder(x)) * self.scale, bias], -1)

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes, with a 1 that the TF's bias is multiplied with."""
        return torch.cat([self.gene_encoder(x), torch.ones(len(x), 1)], -1)


class Embedded(Towers):
    """`EmbeddingTwoTower`, of which `Optimised` is one."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.scale = of.scale
        self.tf_table, self.gene_table = table(of.tf_table), table(of.gene_table)
        self.tf_encoder, self.gene_encoder = layers(of.tf_encoder), layers(of.gene_encoder)

    def encode_tf(self, tf: Tensor, x: Tensor) -> Tensor:
        """TFs."""
        return self.tf_encoder(self.tf_table(tf)) * self.scale

    def encode_gene(self, gene: Tensor, x: Tensor) -> Tensor:
        """Genes."""
        return self.gene_encoder(self.gene_table(gene))


class Cross(nn.Module):
    """`CrossEncoder`."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.tf_table, self.gene_table = table(of.tf_table), table(of.gene_table)
        self.state_table, self.network = table(of.state_table), layers(of.network)

    def forward(self, tf: Tensor, tf_x: Tensor, gene: Tensor, gene_x: Tensor) -> Tensor:
        """What the network says of each pair."""
        state = self.state_table(torch.zeros_like(tf))
        side_by_side = torch.cat([self.tf_table(tf), self.gene_table(gene), state], -1)
        return self.network(side_by_side).squeeze(-1)


TWINS: dict[str, Callable[[Any], nn.Module]] = {
    "regulon": Regulon,
    "optimised": Embedded,
    "cross-encoder": Cross,
}


def twin_of(name: str, model: PairModel) -> nn.Module:
    """A model with the weights of ours."""
    twin = TWINS[name](model)
    weights = {key: torch.tensor(value.numpy()) for key, value in model.state_dict().items()}
    twin.load_state_dict(weights)
    return twin.train(model.training)


def loss_of(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a recipe."""
    if recipe.loss == "focal":
        alpha, gamma = recipe.alpha, recipe.gamma

        def focal(logits: Tensor, y: Tensor) -> Tensor:
            surprise = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
            p = torch.sigmoid(logits)
            missing = p + y - 2 * p * y  # what is missing to a probability of 1 for the truth
            weight = alpha * y + (1 - alpha) * (1 - y)
            return (weight * missing**gamma * surprise).mean()

        return focal
    return F.binary_cross_entropy_with_logits
