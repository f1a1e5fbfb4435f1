"""The models of regulation beside the same ones in PyTorch: outputs, losses, whole trainings.

The twins are written from the equations, with PyTorch's layers and loss functions; they share
weights and batches with ours. R13.1, R13.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.apps.grn.models import InBatch, TowerModel, info_nce
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.task.splits import split_pairs
from groundup.apps.grn.training.pairs import PairBatches, features
from groundup.apps.grn.training.recipes import PLANS, Recipe, build
from groundup.apps.grn.training.train import train
from groundup.nn import functional as F

torch = pytest.importorskip("torch", reason="PyTorch is missing")

from tests.peers.comparison import compare  # noqa: E402
from tests.peers.twins import assert_same_outputs_and_gradients, random, twins  # noqa: E402

nn, T = torch.nn, torch.nn.functional
TFS, GENES, SAMPLES = 5, 9, 12


def layers(*sizes: int) -> Any:
    """Linear layers with ReLU between; the zeroth of each three stands for dropout's place."""
    found: list[Any] = []
    for inside, outside in pairwise(sizes):
        found += [nn.ReLU(), nn.Identity()] if found else []
        found.append(nn.Linear(inside, outside))
    return nn.Sequential(*found)


class Towers(nn.Module):
    """The product of two encodings."""

    def forward(self, tf: Any, tf_x: Any, gene: Any, gene_x: Any) -> Any:
        return (self.of_tf(tf, tf_x) * self.of_gene(gene, gene_x)).sum(-1)


class Embedded(Towers):
    """Encoders of learned vectors over the root of their width."""

    def __init__(self, tfs: int, genes: int, *sizes: int) -> None:
        super().__init__()
        self.tf_table, self.gene_table = nn.Embedding(tfs, sizes[0]), nn.Embedding(genes, sizes[0])
        self.tf_encoder, self.gene_encoder = layers(*sizes), layers(*sizes)
        self.root = math.sqrt(sizes[-1])

    def of_tf(self, tf: Any, x: Any) -> Any:
        return self.tf_encoder(self.tf_table(tf)) / self.root

    def of_gene(self, gene: Any, x: Any) -> Any:
        return self.gene_encoder(self.gene_table(gene))


class Tempered(Towers):
    """The two-tower model, with a state."""

    def __init__(self, tfs: int, genes: int, similarity: str = "dot") -> None:
        super().__init__()
        self.tf_table, self.gene_table = nn.Embedding(tfs, 256), nn.Embedding(genes, 256)
        self.state_table = nn.Embedding(1, 256)
        self.tf_encoder, self.gene_encoder = layers(256, 256, 128), layers(256, 256, 128)
        self.cosine = similarity == "cosine"

    def of_tf(self, tf: Any, x: Any) -> Any:
        return self.turned(self.tf_encoder(self.tf_table(tf) + self.state_table.weight[0])) / 0.07

    def of_gene(self, gene: Any, x: Any) -> Any:
        return self.turned(self.gene_encoder(self.gene_table(gene)))

    def turned(self, vector: Any) -> Any:
        return T.normalize(vector, dim=-1) if self.cosine else vector


class Crossed(nn.Module):
    """One network over three vectors side by side."""

    def __init__(self, tfs: int, genes: int, *sizes: int) -> None:
        super().__init__()
        self.tf_table, self.gene_table, self.state_table = (
            nn.Embedding(count, sizes[0] // 3) for count in (tfs, genes, 1)
        )
        self.network = layers(*sizes)

    def forward(self, tf: Any, tf_x: Any, gene: Any, gene_x: Any) -> Any:
        state = self.state_table(torch.zeros_like(tf))
        return self.network(torch.cat([self.tf_table(tf), self.gene_table(gene), state], 1))[:, 0]


class Expressed(Towers):
    """Encoders of expression."""

    def __init__(self, samples: int, *sizes: int) -> None:
        super().__init__()
        self.tf_encoder, self.gene_encoder = layers(samples, *sizes), layers(samples, *sizes)
        self.root = math.sqrt(sizes[-1])

    def of_tf(self, tf: Any, x: Any) -> Any:
        return self.tf_encoder(x) / self.root

    def of_gene(self, gene: Any, x: Any) -> Any:
        return self.gene_encoder(x)


class Early(Towers):
    """Encoders of a vector and expression."""

    def __init__(self, tfs: int, genes: int, samples: int) -> None:
        super().__init__()
        self.tf_table, self.gene_table = nn.Embedding(tfs, 128), nn.Embedding(genes, 128)
        self.tf_encoder = layers(samples + 128, 512, 256, 128)
        self.gene_encoder = layers(samples + 128, 512, 256, 128)

    def of_tf(self, tf: Any, x: Any) -> Any:
        return self.tf_encoder(torch.cat([self.tf_table(tf), x], 1)) / math.sqrt(128)

    def of_gene(self, gene: Any, x: Any) -> Any:
        return self.gene_encoder(torch.cat([self.gene_table(gene), x], 1))


class Late(nn.Module):
    """The sum of two models."""

    def __init__(self, tfs: int, genes: int, samples: int) -> None:
        super().__init__()
        self.embedding = Embedded(tfs, genes, 128, 256, 128)
        self.expression = Expressed(samples, 512, 256, 128)

    def forward(self, *pairs: Any) -> Any:
        return self.embedding(*pairs) + self.expression(*pairs)


class Regulon(Towers):
    """A TF's own vector and bias beside its expression; a gene's expression."""

    def __init__(self, tfs: int, samples: int, width: int = 64, hidden: int = 256) -> None:
        super().__init__()
        self.tf_table, self.tf_bias = nn.Embedding(tfs, width), nn.Embedding(tfs, 1)
        self.tf_encoder, self.gene_encoder = (
            nn.Sequential(
                nn.Identity(),
                nn.Linear(samples, hidden),
                nn.LayerNorm(hidden),
                nn.GELU(),
                nn.Identity(),
                nn.Linear(hidden, width),
            )
            for _ in range(2)
        )
        self.root = math.sqrt(width)

    def forward(self, tf: Any, tf_x: Any, gene: Any, gene_x: Any) -> Any:
        vector = self.tf_table(tf) + self.tf_encoder(tf_x)
        return (vector * self.gene_encoder(gene_x)).sum(1) / self.root + self.tf_bias(tf)[:, 0]


TWINS: dict[str, Callable[[int, int, int], Any]] = {
    "regulon": lambda tfs, genes, samples: Regulon(tfs, samples),
    "expression": lambda tfs, genes, samples: Expressed(samples, 512, 256, 128),
    "embedding": lambda tfs, genes, samples: Embedded(tfs, genes, 128, 256, 128),
    "two-tower": lambda tfs, genes, samples: Tempered(tfs, genes),
    "two-tower-mixed": lambda tfs, genes, samples: Tempered(tfs, genes),
    "cross-encoder": lambda tfs, genes, samples: Crossed(tfs, genes, 384, 512, 128, 1),
    "cross-encoder-matched": lambda tfs, genes, samples: Crossed(tfs, genes, 768, 220, 128, 1),
    "optimised": lambda tfs, genes, samples: Embedded(tfs, genes, 256, 512, 256, 128, 64),
    "paired-early": Early,
    "paired-late": Late,
}


@pytest.fixture(autouse=True)
def _drawn_alike() -> None:
    torch.manual_seed(0)
    gu.manual_seed(0)


def test_every_model_has_a_twin() -> None:
    assert set(TWINS) == set(PLANS)


def pairs(count: int = 7) -> tuple[Any, ...]:
    numbers = torch.arange(count)
    return numbers % TFS, random(count, SAMPLES), numbers % GENES, random(count, SAMPLES, seed=1)


@pytest.mark.parametrize("name", TWINS)
def test_outputs_and_gradients(name: str) -> None:
    ours = build(name, TFS, GENES, SAMPLES, PLANS[name].recipe.options)
    ours, theirs = twins(ours, TWINS[name](TFS, GENES, SAMPLES))
    ours.eval()
    tf, tf_x, gene, gene_x = pairs()
    if not PLANS[name].build(TFS, GENES, SAMPLES).reads_expression:
        tf_x, gene_x = tf_x.detach(), gene_x.detach()
    assert_same_outputs_and_gradients(ours, theirs, (tf, tf_x, gene, gene_x))


def test_cosine_two_tower() -> None:
    ours = build("two-tower", TFS, GENES, 0, {"similarity": "cosine"})
    ours, theirs = twins(ours, Tempered(TFS, GENES, "cosine"))
    ours.eval()
    tf, tf_x, gene, gene_x = (x.detach() for x in pairs())
    assert_same_outputs_and_gradients(ours, theirs, (tf, tf_x, gene, gene_x))


def their_info_nce(scores: Any, left_out: Any) -> Any:
    """The cross-entropy of the diagonal, with what is left out at minus infinity."""
    own = torch.eye(*scores.shape, dtype=torch.bool)
    kept = scores.masked_fill(left_out & ~own, -math.inf)
    return T.cross_entropy(kept, torch.arange(len(scores)))


def their_focal(scores: Any, labels: Any, alpha: float, gamma: float) -> Any:
    p = torch.where(labels > 0.5, scores.sigmoid(), 1 - scores.sigmoid())
    weight = torch.where(labels > 0.5, alpha, 1 - alpha)
    return (-weight * (1 - p) ** gamma * torch.log(p)).mean()


@pytest.mark.parametrize("offered", [0, 4])
def test_info_nce(offered: int) -> None:
    scores = random(6, 6 + offered)
    left_out = torch.rand(6, 6 + offered, generator=torch.Generator().manual_seed(2)) < 0.4
    compare(info_nce, their_info_nce, (scores, left_out), {}, order=1)
    value = info_nce(gu.tensor(scores.detach().numpy()), gu.tensor(left_out.numpy())).item()
    assert value == pytest.approx(their_info_nce(scores, left_out).item(), rel=1e-6)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 5.0)])
def test_focal_loss(alpha: float, gamma: float) -> None:
    labels = (torch.arange(30) % 3 == 0).double()
    settings = {"alpha": alpha, "gamma": gamma}
    scores = random(30)
    compare(F.focal_loss, their_focal, (scores, labels), settings, order=1)
    value = F.focal_loss(
        gu.tensor(scores.detach().numpy()), gu.tensor(labels.numpy()), **settings
    ).item()
    assert value == pytest.approx(their_focal(scores, labels, **settings).item(), rel=1e-6)


def posed() -> Known:
    problem = example_problem(tfs=12, genes=60, samples=20)
    return problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))


PLAIN: dict[str, dict[str, Any]] = {
    "regulon": {"input_dropout": 0.0, "dropout": 0.0, "tf_dropout": 0.0},
    "cross-encoder-matched": {"matched": True, "dropout": 0.0},
}
"""Options without dropout, which draws otherwise here than in PyTorch."""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("regulon", {}),
        ("expression", {"optimizer": "adam", "weight_decay": 0.01}),
        ("embedding", {"negatives": "uniform", "ratio": 2.0}),
        ("two-tower", {}),
        ("two-tower-mixed", {"offered": 16}),
        ("cross-encoder-matched", {}),
        ("optimised", {"epochs": 6, "warm_up": 2, "learning_rate": 0.3}),
        ("paired-early", {"loss": "focal", "clip": 0.1}),
    ],
)
def test_a_whole_training(name: str, settings: dict[str, Any]) -> None:
    """The same initial weights and batches: optimisers, schedules, clipping and losses agree."""
    known = posed()
    shared = {"epochs": 3, "patience": None, "batch": 64}
    own = vars(PLANS[name].recipe) | shared | settings
    recipe = Recipe(**own | {"options": PLAIN.get(name, {"dropout": 0.0})})
    trained = train(known, name, recipe, seed=3)
    gu.manual_seed(3)  # as `train` does before it builds
    start = build(name, 12, 60, 20, recipe.options)
    theirs = TWINS[name](12, 60, 20)
    theirs.load_state_dict({n: torch.tensor(x.numpy()) for n, x in start.state_dict().items()})
    losses = descend(theirs, PairBatches(known, recipe, 3, features(known, start.reads_expression)))
    np.testing.assert_allclose(trained.history["loss"], losses, rtol=2e-4)
    assert losses[-1] < 0.99 * losses[0], "the loss hardly moved: nothing was compared"
    ours = trained.model.state_dict()
    for key, after in theirs.state_dict().items():
        if recipe.loss == "infonce" and key == "gene_encoder.3.bias":
            continue  # adds the same to all scores of a TF: its gradient is rounding alone
        before = start.state_dict()[key].numpy()
        way = np.linalg.norm(after.numpy() - before)
        assert np.linalg.norm(ours[key].numpy() - after.numpy()) <= 0.01 * way + 1e-6, key
    asked = np.argwhere(np.ones((12, 60), bool))
    args = asked[:, 0], trained.x[trained.tfs[asked[:, 0]]], asked[:, 1], trained.x[asked[:, 1]]
    with torch.no_grad():
        logits = theirs(*map(torch.tensor, args)).numpy().reshape(12, 60)
    scores = trained.score(asked).reshape(12, 60)
    if recipe.loss == "infonce":  # as above
        scores, logits = (x - x.mean(axis=1, keepdims=True) for x in (scores, logits))
    np.testing.assert_allclose(scores, logits, rtol=5e-3, atol=5e-3)


def descend(model: Any, batches: PairBatches) -> list[float]:
    """PyTorch's training by a recipe; the mean loss of each epoch."""
    recipe, steps = batches.recipe, len(batches) * batches.recipe.epochs
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    own = {"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {}
    optimizer = kinds[recipe.optimizer](
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **own
    )
    up = recipe.warm_up * len(batches)

    def rate(step: int) -> float:
        if recipe.schedule == "constant":
            return 1.0
        if step < up:
            return (step + 1) / (up + 1)
        return (1 + math.cos(math.pi * (step - up) / (steps - up))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    means = []
    for _ in range(recipe.epochs):
        found = []
        for batch in batches:
            tf, tf_x, gene, gene_x, *rest = (torch.tensor(x.numpy()) for x in batch)
            if recipe.loss == "infonce":
                log_q, left_out = rest
                scores = model.of_tf(tf, tf_x) @ model.of_gene(gene, gene_x).T - log_q
                loss = their_info_nce(scores, left_out)
            else:
                scores = model(tf, tf_x, gene, gene_x)
                focal = (recipe.alpha, recipe.gamma)
                loss = (
                    their_focal(scores, rest[0], *focal)
                    if recipe.loss == "focal"
                    else T.binary_cross_entropy_with_logits(scores, rest[0])
                )
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            found.append(loss.item())
        means.append(float(np.mean(found)))
    return means


def test_scores_in_a_batch_with_log_q() -> None:
    """Every TF of a batch with every gene, less log q, as one product of matrices."""
    ours, theirs = twins(build("two-tower", TFS, GENES, 0, {}), Tempered(TFS, GENES))
    assert isinstance(ours, TowerModel)
    ours.eval()
    tf, gene, log_q = torch.tensor([0, 3, 4]), torch.tensor([8, 2, 2, 5]), random(4).detach()
    none = torch.zeros(4, 0).double()
    expected = theirs.of_tf(tf, none) @ theirs.of_gene(gene, none).T - log_q
    found = InBatch(ours)(*(gu.tensor(x.numpy()) for x in (tf, none[:3], gene, none, log_q)))
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
