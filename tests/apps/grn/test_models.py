"""The models of pairs: their sizes, their equations, and the loss over the pairs of a batch."""

from itertools import pairwise

import numpy as np
import pytest

import groundup as gu
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.models import (
    CrossEncoder,
    EmbeddingTwoTower,
    Ensemble,
    ExpressionTwoTower,
    Optimised,
    PairedEarly,
    PairedLate,
    PairModel,
    RegulonTowers,
    TowerModel,
    TwoTower,
    info_nce,
)
from groundup.apps.grn.training.recipes import PLANS, Recipe, build

T, G, S = 5, 9, 12


# R13.1, R13.2: the sizes that are written, counted layer by layer.
def dense(*sizes: int) -> int:
    return sum(a * b + b for a, b in pairwise(sizes))


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (TwoTower(T, G), 2 * dense(256, 256, 128) + 256 * (T + G + 1)),
        (TwoTower(T, G, states=3), 2 * dense(256, 256, 128) + 256 * (T + G + 3)),
        (CrossEncoder(T, G), dense(384, 512, 128, 1) + 128 * (T + G + 1)),
        (CrossEncoder(T, G, matched=True), dense(768, 220, 128, 1) + 256 * (T + G + 1)),
        (EmbeddingTwoTower(T, G), 2 * dense(128, 256, 128) + 128 * (T + G)),
        (ExpressionTwoTower(T, G, 2000), 2 * dense(2000, 512, 256, 128)),
        (Optimised(T, G), 2 * dense(256, 512, 256, 128, 64) + 256 * (T + G)),
        (PairedEarly(T, G, S), 2 * dense(S + 128, 512, 256, 128) + 128 * (T + G)),
        (
            PairedLate(T, G, S),
            2 * dense(128, 256, 128) + 2 * dense(S, 512, 256, 128) + 128 * (T + G),
        ),
        (RegulonTowers(T, G, S), 2 * (dense(S, 256, 64) + 2 * 256) + 65 * T),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, PairModel) else "",
)
def test_sizes(model: PairModel, size: int) -> None:
    assert model.size() == size == sum(p.numel() for p in model.parameters())


def test_documented_counts() -> None:
    assert TwoTower(0, 0, states=0).size() == 197_376
    assert CrossEncoder(0, 0, states=0).size() == 262_913
    assert ExpressionTwoTower(0, 0, 2000).size() == 2_377_472
    # What the documents call matched is a third larger; the matched sizes are, tables or not.
    assert CrossEncoder(0, 0, states=0).size() / TwoTower(0, 0, states=0).size() > 1.3
    for tfs, genes in ((0, 0), (191, 3923)):
        ratio = CrossEncoder(tfs, genes, matched=True).size() / TwoTower(tfs, genes).size()
        assert abs(ratio - 1) < 0.01


def inputs(n: int = 6) -> tuple[gu.Tensor, gu.Tensor, gu.Tensor, gu.Tensor]:
    random = np.random.default_rng(0)
    return (
        gu.tensor(random.integers(0, T, n)),
        gu.tensor(random.normal(size=(n, S)).astype(np.float32)),
        gu.tensor(random.integers(0, G, n)),
        gu.tensor(random.normal(size=(n, S)).astype(np.float32)),
    )


@pytest.mark.parametrize("name", PLANS)
def test_what_a_model_says_it_reads(name: str, seed: int) -> None:
    plan = PLANS[name]
    model = build(name, T, G, S, plan.recipe.options).eval()
    tf, tf_x, gene, gene_x = inputs()
    logits = model(tf, tf_x, gene, gene_x)
    assert logits.shape == (6,)
    assert np.isfinite(logits.detach().numpy()).all()

    def changes(*other: gu.Tensor) -> bool:
        return not gu.allclose(model(*other), logits)

    assert changes((tf + 1) % T, tf_x, gene, gene_x) == model.knows_tfs
    assert changes(tf, tf_x, (gene + 1) % G, gene_x) == model.knows_genes
    assert changes(tf, tf_x * 2 + 1, gene, gene_x) == model.reads_expression
    assert changes(tf, tf_x, gene, gene_x * 2 + 1) == model.reads_expression
    if isinstance(model, TowerModel):
        product = (model.encode_tf(tf, tf_x) * model.encode_gene(gene, gene_x)).sum(-1)
        assert gu.allclose(product, logits)


@pytest.mark.parametrize("name", PLANS)
def test_every_parameter_learns(name: str, seed: int) -> None:
    model = build(name, T, G, S, PLANS[name].recipe.options)
    model(*inputs(60)).square().sum().backward()
    still = [
        key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert not still


def test_two_tower_equation(seed: int) -> None:
    # R13.1: encoders 256-256-128, temperature 0.07, and a state that is added to the TF.
    model = TwoTower(T, G, states=2).eval()
    tf, nothing, gene = gu.tensor([1, 4]), gu.zeros(2, 0), gu.tensor([0, 8])
    state = gu.tensor([1, 0])

    def encoded(layers: gu.nn.Module, x: np.ndarray) -> np.ndarray:
        w = [p.detach().numpy() for p in layers.parameters()]
        return np.maximum(x @ w[0].T + w[1], 0) @ w[2].T + w[3]

    e_tf, e_gene, e_state = (
        t.weight.detach().numpy() for t in (model.tf_table, model.gene_table, model.state_table)
    )
    a = encoded(model.tf_encoder, e_tf[[1, 4]] + e_state[[1, 0]])
    b = encoded(model.gene_encoder, e_gene[[0, 8]])
    found = model(tf, nothing, gene, nothing, state).detach().numpy()
    np.testing.assert_allclose(found, (a * b).sum(-1) / 0.07, rtol=1e-4)
    first = model(tf, nothing, gene, nothing, gu.tensor([0, 0]))
    assert gu.allclose(model(tf, nothing, gene, nothing), first)
    cosine = TwoTower(T, G, similarity="cosine").eval()
    bounded = cosine(tf, nothing, gene, nothing).detach().numpy()
    assert (np.abs(bounded) <= 1 / 0.07 + 1e-3).all()


@pytest.mark.parametrize("wrong", [{"similarity": "angle"}, {"temperature": 0.0}])
def test_two_tower_refuses(wrong: dict) -> None:
    with pytest.raises(GRNError, match="two-tower"):
        build("two-tower", T, G, S, wrong)


def test_own_model_without_its_vector(seed: int) -> None:
    """With the TF's own vector always dropped, which TF it is makes no difference in training."""
    model = RegulonTowers(T, G, S, tf_dropout=1.0, input_dropout=0.0, dropout=0.0)
    with gu.no_grad():
        model.tf_bias.weight.assign(gu.randn(T, 1))
    tf, tf_x, gene, gene_x = inputs()
    one, other = model(tf, tf_x, gene, gene_x), model((tf + 1) % T, tf_x, gene, gene_x)
    assert gu.allclose(one, other)
    model.eval()
    assert not gu.allclose(model(tf, tf_x, gene, gene_x), model((tf + 1) % T, tf_x, gene, gene_x))


def brute(scores: np.ndarray, edges: np.ndarray) -> float:
    """InfoNCE pair by pair, from its equation."""
    total = 0.0
    for i in range(len(scores)):
        wrong = [j for j in range(scores.shape[1]) if j != i and not edges[i, j]]
        below = np.exp(scores[i, i]) + sum(np.exp(scores[i, j]) for j in wrong)
        total -= np.log(np.exp(scores[i, i]) / below)
    return total / len(scores)


# R13.1: InfoNCE; known positives are no wrong answers.
def test_info_nce_by_its_equation() -> None:
    random = np.random.default_rng(1)
    scores = random.normal(size=(7, 9))
    edges = random.random((7, 9)) < 0.3
    x = gu.tensor(scores, requires_grad=True)
    loss = info_nce(x, gu.tensor(edges))
    assert abs(loss.item() - brute(scores, edges)) < 1e-9
    loss.backward()
    masked = edges & ~np.eye(7, 9, dtype=bool)
    assert (x.grad.numpy()[masked] == 0).all()
    assert (x.grad.numpy()[~masked] != 0).all()
    step = 1e-6
    for i, j in ((0, 0), (2, 5), (3, 1), (1, 8)):
        near = scores.copy()
        near[i, j] += step
        slope = (brute(near, edges) - brute(scores, edges)) / step
        assert abs(slope - x.grad.numpy()[i, j]) < 1e-5


def test_info_nce_at_the_ends() -> None:
    far = gu.tensor(np.diag([1000.0, 1000.0]).astype(np.float32))
    assert info_nce(far, gu.eye(2).bool()).item() == 0
    everything = gu.ones(3, 3).bool()
    assert info_nce(gu.randn(3, 3), everything).item() == 0


def test_ensemble() -> None:
    class Member:
        def __init__(self, p: float) -> None:
            self.p = p

        def probability(self, pairs: np.ndarray) -> np.ndarray:
            return self.p * (1 + pairs[:, 0])

        def score(self, pairs: np.ndarray) -> np.ndarray:
            return np.log(self.probability(pairs))

    pairs = np.array([[0, 3], [1, 2]])
    three = Ensemble([Member(0.1), Member(0.2), Member(0.3)])
    np.testing.assert_allclose(three.probability(pairs), [0.2, 0.4])
    mean = np.log([0.1, 0.2, 0.3]).mean()
    np.testing.assert_allclose(three.score(pairs), [mean, mean + np.log(2)])
    np.testing.assert_allclose(three.spread(pairs), np.std([0.1, 0.2, 0.3]) * np.array([1, 2]))
    with pytest.raises(GRNError, match="at least 2"):
        Ensemble([Member(0.5)])


def test_unknown_model_and_option() -> None:
    with pytest.raises(GRNError, match="two-tower"):
        build("transformer", T, G, S, {})
    with pytest.raises(GRNError, match="depth"):
        build("regulon", T, G, S, {"depth": 3})


# R13.2: every technique of the documents' optimised model.
def test_the_optimised_recipe() -> None:
    recipe = PLANS["optimised"].recipe
    assert (recipe.loss, recipe.alpha, recipe.gamma) == ("focal", 0.25, 2.0)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (recipe.schedule, recipe.warm_up, recipe.clip) == ("cosine", 10, 1.0)
    assert recipe.learning_rate == 0.01
    assert recipe.patience is not None
    weights = [p for name, p in Optimised(T, G).named_parameters() if name.endswith("0.weight")]
    bound = np.sqrt(6 / (256 + 512))  # Glorot and Bengio's uniform weights
    assert all(bound * 0.98 < float(w.detach().abs().max()) <= bound for w in weights)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"optimizer": "lion"}, "adamw"),
        ({"negatives": "all"}, "matched"),
        ({"epochs": 0}, "epochs 0"),
        ({"batch": 0}, "batch 0"),
        ({"patience": 0}, "patience 0"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"ratio": 0}, "ratio 0"),
        ({"clip": -1}, "clip -1"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"schedule": "cosine", "warm_up": 60}, "warm_up 60"),
    ],
)
def test_settings_out_of_range(wrong: dict, words: str) -> None:
    with pytest.raises(GRNError, match=words):
        Recipe(**wrong)
