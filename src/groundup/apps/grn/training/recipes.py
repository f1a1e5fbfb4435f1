"""How each model is made and trained: a recipe, and the models by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import GRNError
from ..models import (
    CrossEncoder,
    EmbeddingTwoTower,
    ExpressionTwoTower,
    Optimised,
    PairedEarly,
    PairedLate,
    PairModel,
    RegulonTowers,
    TwoTower,
)

_CHOICES = {
    "optimizer": ("adamw", "adam", "sgd"),
    "schedule": ("constant", "cosine"),
    "loss": ("bce", "focal", "infonce"),
    "negatives": ("uniform", "matched"),
}


@dataclass(frozen=True)
class Recipe:
    """Settings of training.

    Attributes:
        optimizer: "adamw", "adam" or "sgd".
        learning_rate: the highest.
        momentum: of "sgd".
        weight_decay: of "adamw" apart from the gradient, else an L2 penalty.
        schedule: "constant", or "cosine": half a cosine down to 0 after the warm-up.
        warm_up: epochs in which the learning rate rises; of "cosine".
        clip: the largest norm of all gradients together; None for any.
        loss: "bce", "focal", or "infonce", which needs a model of two towers and draws nothing
            beside the edges.
        alpha, gamma: of the focal loss.
        offered: of "infonce": genes that are drawn evenly for each batch and offered beside its
            own.
        masked: of "infonce": whether known targets of a TF are left out of its wrong answers.
        log_q: of "infonce": whether scores are corrected for how often a gene is offered.
        epochs: at most.
        patience: epochs without a better AUROC on validation before training ends; the weights
            that were best are kept. None trains to the end and keeps the last.
        batch: pairs for one step.
        negatives: how pairs that stand beside the edges are drawn, anew for each epoch.
        ratio: such pairs for each edge.
        pooled: whether a model that reads expression sees the mean over the genes of a group, such
            as an operon, in place of a gene's own; without groups it makes no difference.
        options: of the model, such as ``{"dropout": 0.2}``.

    Raises:
        GRNError: a setting out of its range.

    Example:
        >>> Recipe(loss="hinge")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: loss 'hinge': expected one of bce, focal, infonce
    """

    optimizer: str = "adamw"
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "constant"
    warm_up: int = 0
    clip: float | None = None
    loss: str = "bce"
    alpha: float = 0.25
    gamma: float = 2.0
    offered: int = 0
    masked: bool = True
    log_q: bool = True
    epochs: int = 60
    patience: int | None = 15
    batch: int = 512
    negatives: str = "matched"
    ratio: float = 1.0
    pooled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise GRNError(
                    f"{name} {getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        for name, low in (("epochs", 1), ("batch", 1), ("warm_up", 0), ("offered", 0)):
            if getattr(self, name) < low:
                raise GRNError(f"{name} {getattr(self, name)}: expected at least {low}")
        if self.patience is not None and self.patience < 1:
            raise GRNError(f"patience {self.patience}: expected at least 1, or none")
        if self.schedule == "cosine" and self.warm_up >= self.epochs:
            raise GRNError(f"warm_up {self.warm_up}: expected fewer than the {self.epochs} epochs")
        for name in ("learning_rate", "ratio", "clip"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise GRNError(f"{name} {getattr(self, name)}: expected a positive number")
        for name, below in (("momentum", 1.0), ("weight_decay", float("inf"))):
            if not 0 <= getattr(self, name) < below:
                raise GRNError(f"{name} {getattr(self, name)}: expected 0 to below {below:g}")

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What another recipe, as a dictionary, has otherwise, in words.

        A setting that it does not have, as it is older, is as usual.

        Example:
            >>> Recipe(batch=10).differences({**asdict(Recipe()), "batch": 20})
            ['batch was 20, now 10']
        """
        own = json.loads(json.dumps(asdict(self)))
        before = json.loads(json.dumps({**asdict(Recipe()), **other}))
        return [f"{k} was {before.get(k)}, now {v}" for k, v in own.items() if before.get(k) != v]


@dataclass(frozen=True)
class Plan:
    """A model and how it is trained if nothing else is said.

    Attributes:
        about: what it is, in a line.
        build: makes it from the numbers of TFs, genes and samples, and its options.
        recipe: the settings.
    """

    about: str
    build: Callable[..., PairModel]
    recipe: Recipe


_SGD = Recipe(
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=1e-4,
    schedule="cosine",
    warm_up=10,
    clip=1.0,
    loss="focal",
    epochs=300,
    patience=40,
)
_MATCHED = Recipe(options={"matched": True})

PLANS: Mapping[str, Plan] = {
    "regulon": Plan(
        "TF's own vector and its expression against the gene's expression",
        RegulonTowers,
        Recipe(learning_rate=0.002, weight_decay=0.05, epochs=100),
    ),
    "expression": Plan("two towers over expression", ExpressionTwoTower, Recipe()),
    "embedding": Plan("two towers over learned vectors", EmbeddingTwoTower, Recipe()),
    "two-tower": Plan(
        "two towers over learned vectors, by InfoNCE", TwoTower, Recipe(loss="infonce")
    ),
    "two-tower-mixed": Plan(
        "the same, with genes drawn evenly as further wrong answers",
        TwoTower,
        Recipe(loss="infonce", offered=512),
    ),
    "cross-encoder": Plan("one network over learned vectors", CrossEncoder, Recipe()),
    "cross-encoder-matched": Plan(
        "the same with as many parameters as the two-tower", CrossEncoder, _MATCHED
    ),
    "optimised": Plan("four layers over learned vectors, focal loss, SGD", Optimised, _SGD),
    "paired-early": Plan("vectors and expression, joined at the input", PairedEarly, Recipe()),
    "paired-late": Plan("vectors and expression, joined at the score", PairedLate, Recipe()),
}
"""All models that `train` knows, by name."""


def plan_of(name: str) -> Plan:
    """The plan of a model.

    Raises:
        GRNError: there is no model of this name.

    Example:
        >>> plan_of("optimised").recipe.loss
        'focal'
    """
    if name not in PLANS:
        raise GRNError(f"model {name!r}: expected one of {', '.join(PLANS)}")
    return PLANS[name]


def build(name: str, tfs: int, genes: int, samples: int, options: Mapping[str, Any]) -> PairModel:
    """A model with initial weights from the default generator.

    Raises:
        GRNError: there is no such model, or it has no such option.

    Example:
        >>> build("expression", 2, 3, 10, {"depth": 3})
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: model 'expression': ... argument 'depth'
    """
    plan = plan_of(name)
    try:
        return plan.build(tfs, genes, samples, **options)
    except (TypeError, ValueError) as error:
        raise GRNError(f"model {name!r}: {error}") from error
