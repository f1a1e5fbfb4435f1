"""R2.7: embeddings: one-hot, learned, sinusoidal positions, rotary positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.nn.differences import assert_derivatives

import groundup as gu
import groundup.nn.functional as F
from groundup import nn


def normal(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.randn(shape, generator=gu.Generator(seed), dtype=gu.float64)


TOKENS = gu.tensor([[2, 0, 2], [4, 1, 2]])


# ----------------------------------------------------------------------- one-hot and learned


def test_one_hot_is_a_row_of_the_identity() -> None:
    assert gu.equal(F.one_hot(TOKENS, 5), gu.eye(5).long()[TOKENS])
    assert gu.equal(F.one_hot(TOKENS).argmax(-1), TOKENS)


def test_embedding_is_the_product_of_one_hot_with_the_table() -> None:
    table = normal(5, 3).requires_grad_()
    cotangent = normal(2, 3, 3, seed=1)
    looked_up, product = F.embedding(TOKENS, table), F.one_hot(TOKENS, 5).double() @ table
    assert gu.equal(looked_up, product)
    (a,) = gu.grad((looked_up * cotangent).sum(), table)
    (b,) = gu.grad((product * cotangent).sum(), table)
    assert gu.allclose(a, b)
    assert_derivatives(lambda w: F.embedding(TOKENS, w).square().sum(), table.detach().numpy())


@pytest.mark.parametrize("padding", [2, -3])
def test_padding_is_looked_up_and_gets_no_gradient(padding: int) -> None:
    table = normal(5, 3).requires_grad_()
    rows = F.embedding(TOKENS, table, padding_idx=padding)
    assert gu.equal(rows, F.embedding(TOKENS, table))
    (g,) = gu.grad(rows.square().sum(), table)
    expected = 2 * table.detach() * gu.tensor([1.0, 1.0, 0.0, 0.0, 1.0]).unsqueeze(1)
    assert gu.allclose(g, expected)


def test_the_layer_begins_standard_normal_with_a_zero_for_padding() -> None:
    net = nn.Embedding(500, 40, padding_idx=-1, generator=gu.Generator(0))
    assert net.padding_idx == 499
    assert not net.weight[499].any()
    values = net.weight[:499].detach().numpy()
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    assert repr(net) == "Embedding(500, 40, padding_idx=499)"


def test_padding_stays_as_it_is_while_others_learn() -> None:
    net = nn.Embedding(5, 3, padding_idx=2)
    before = net.weight.detach().clone()
    net(TOKENS).sum().backward()
    with gu.no_grad():
        net.weight.sub_(net.weight.grad)
    moved = (net.weight != before).any(1)
    assert moved.tolist() == [True, True, False, False, True]


def test_a_given_table_is_shared_and_frozen_unless_asked() -> None:
    table = normal(5, 3)
    net = nn.Embedding.from_pretrained(table)
    assert gu.equal(net(TOKENS), table[TOKENS])
    assert not net.weight.requires_grad
    table[2] = 0.0
    assert not net(gu.tensor(2)).any()
    free = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1)
    assert free.weight.requires_grad
    assert (free.num_embeddings, free.embedding_dim, free.padding_idx) == (5, 3, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Embedding(5, 3)(gu.tensor([1, 5])), IndexError, "token 5 is outside the vocab"),
        (lambda: nn.Embedding(5, 3)(gu.tensor([-1])), IndexError, "-1 .* of 5 tokens \\(0 to 4\\)"),
        (
            lambda: nn.Embedding(5, 3)(gu.tensor([1.0])),
            TypeError,
            "tokens are float32, expected in",
        ),
        (lambda: nn.Embedding(5, 3, padding_idx=5), ValueError, "padding_idx 5 is outside the voc"),
        (lambda: F.embedding(TOKENS, gu.ones(5)), ValueError, r"weight \(5,\), expected a matrix"),
        (
            lambda: nn.Embedding.from_pretrained(gu.ones(5)),
            ValueError,
            r"the table has shape \(5,\), expected \(num_embeddings, embedding_dim\)",
        ),
    ],
)
def test_tokens_outside_the_vocabulary_are_named(
    call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_tokens_may_have_any_shape_and_integer_type() -> None:
    net = nn.Embedding(5, 3)
    assert net(gu.tensor(4)).shape == (3,)
    assert net(gu.zeros(0, 2).long()).shape == (0, 2, 3)
    assert gu.equal(net(TOKENS.to(gu.uint8)), net(TOKENS))


# ------------------------------------------------------------------------------- sinusoidal


@pytest.mark.parametrize("dim", [1, 2, 5, 8])
def test_sinusoidal_positions_are_their_formula(dim: int) -> None:
    positions = [0, 1, 2, 77, 4999]
    found = F.sinusoidal(gu.tensor(positions).double(), dim, base=10000.0)
    for row, p in zip(found.tolist(), positions, strict=True):
        for j, value in enumerate(row):
            angle = p / 10000 ** (2 * (j // 2) / dim)
            assert math.isclose(value, math.cos(angle) if j % 2 else math.sin(angle), abs_tol=1e-9)


@given(st.integers(0, 1000), st.integers(-1000, 1000), st.sampled_from([10.0, 10000.0]))
def test_a_shift_is_the_same_rotation_everywhere(p: int, k: int, base: float) -> None:
    here, shift, there = F.sinusoidal(gu.tensor([p, k, p + k]).double(), 8, base).reshape(3, 4, 2)
    (s, c), (ks, kc) = here.unbind(1), shift.unbind(1)
    turned = gu.stack([s * kc + c * ks, c * kc - s * ks], 1)
    assert gu.allclose(turned, there, atol=1e-9)


def test_far_positions_keep_their_digits_in_float32() -> None:
    far = 1_000_000
    found = F.sinusoidal(gu.tensor([far]), 4)
    assert found.dtype == gu.float32
    expected = [math.sin(far), math.cos(far), math.sin(far / 100), math.cos(far / 100)]
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-6)


def test_the_layer_adds_the_table() -> None:
    net, x = nn.SinusoidalPositions(5, max_len=10), normal(2, 4, 5)
    assert gu.allclose(net(x) - x, F.sinusoidal(gu.arange(4), 5).expand(2, 4, 5), atol=1e-7)
    later = net(x[:, :1], positions=gu.tensor([3])) - x[:, :1]
    assert gu.allclose(later[0], F.sinusoidal(gu.tensor([3]), 5), atol=1e-7)
    assert not net.state_dict()
    assert [name for name, _ in net.named_buffers()] == ["table"]
    assert nn.SinusoidalPositions(5).double().table.dtype == gu.float64


def test_learned_positions() -> None:
    net, x = nn.LearnedPositions(40, max_len=200, generator=gu.Generator(0)), gu.zeros(3, 4, 40)
    assert abs(net.weight.detach().numpy().std() - 0.02) < 0.001
    assert gu.equal(net(x)[1], net.weight[:4])
    positions = gu.tensor([[0, 1, 2, 3], [5, 6, 7, 8], [199, 0, 0, 0]])
    out = net(x, positions)
    assert gu.equal(out, net.weight[positions])
    out.sum().backward()
    counts = np.bincount(positions.numpy().reshape(-1), minlength=200)
    np.testing.assert_array_equal(net.weight.grad[:, 0].numpy(), counts)


@pytest.mark.parametrize(
    "net",
    [nn.SinusoidalPositions(4, 6), nn.LearnedPositions(4, 6), nn.RotaryPositions(4, 6)],
    ids=lambda net: type(net).__name__,
)
def test_positions_beyond_the_table_are_refused(net: nn.Module) -> None:
    name = type(net).__name__
    assert net(gu.zeros(6, 4)).shape == (6, 4)
    with pytest.raises(ValueError, match=f"{name}: 7 elements, but max_len is 6"):
        net(gu.zeros(7, 4))
    for wrong in (6, -1):
        with pytest.raises(IndexError, match=f"{name}: position {wrong} is outside the table"):
            net(gu.zeros(1, 4), gu.tensor([wrong]))


# ----------------------------------------------------------------------------------- rotary


layouts = pytest.mark.parametrize("interleaved", [True, False])


def halves_to_pairs(dim: int) -> gu.Tensor:
    """Where the features of pair i stand in the other layout: (i, i + D/2) at (2i, 2i + 1)."""
    return gu.arange(dim).reshape(2, dim // 2).T.reshape(-1)


@given(st.integers(0, 10**6), st.sampled_from([10.0, 10000.0]))
def test_rotation_is_multiplication_of_complex_numbers(position: int, base: float) -> None:
    x = normal(8).numpy()
    turn = np.exp(1j * position * base ** (-2 * np.arange(4) / 8))
    turned = (x[0::2] + 1j * x[1::2]) * turn
    found = F.rotary(gu.tensor(x), gu.tensor(position), base)
    expected = np.stack([turned.real, turned.imag], 1).reshape(-1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@layouts
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_products_depend_on_the_distance_alone(
    interleaved: bool, m: int, n: int, shift: int
) -> None:
    q, k = normal(8), normal(8, seed=1)

    def product(m: int, n: int) -> float:
        a = F.rotary(q, gu.tensor(m), interleaved=interleaved)
        return a.dot(F.rotary(k, gu.tensor(n), interleaved=interleaved)).item()

    assert math.isclose(product(m, n), product(m + shift, n + shift), abs_tol=1e-5)


@layouts
def test_lengths_stay_and_position_zero_does_nothing(interleaved: bool) -> None:
    x = normal(2, 3, 5, 8)
    turned = F.rotary(x, gu.arange(5), interleaved=interleaved)
    assert gu.allclose(turned.norm(dim=-1), x.norm(dim=-1), rtol=1e-6)
    assert gu.equal(turned[:, :, 0], x[:, :, 0])
    assert not gu.allclose(turned[:, :, 1], x[:, :, 1])


@layouts
def test_turns_add_up(interleaved: bool) -> None:
    x, a, b = normal(5, 8), gu.arange(5), gu.tensor([3, 1, 4, 1, 5])
    twice = F.rotary(F.rotary(x, a, interleaved=interleaved), b, interleaved=interleaved)
    assert gu.allclose(twice, F.rotary(x, a + b, interleaved=interleaved), atol=1e-6)
    back = F.rotary(F.rotary(x, a, interleaved=interleaved), -a, interleaved=interleaved)
    assert gu.allclose(back, x, atol=1e-6)


def test_the_layouts_differ_by_a_permutation_of_the_features() -> None:
    x, positions = normal(5, 8), gu.arange(5)
    order = halves_to_pairs(8)
    assert order.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    halves = F.rotary(x, positions, interleaved=False)
    assert gu.allclose(halves[:, order], F.rotary(x[:, order], positions, interleaved=True))
    assert not gu.allclose(halves, F.rotary(x, positions, interleaved=True))


@layouts
def test_the_layer_is_the_function(interleaved: bool) -> None:
    net = nn.RotaryPositions(8, max_len=20, base=100.0, interleaved=interleaved)
    x = normal(2, 3, 5, 8)
    how = {"base": 100.0, "interleaved": interleaved}
    assert gu.allclose(net(x), F.rotary(x, gu.arange(5), **how))
    positions = gu.tensor([[7, 8, 9, 10, 11], [0, 1, 2, 0, 1]]).unsqueeze(1)
    assert gu.allclose(net(x, positions), F.rotary(x, positions, **how))
    assert not net.state_dict()
    assert net(x.float()).dtype == gu.float32
    assert net(x).dtype == gu.float64


@layouts
def test_derivatives(interleaved: bool) -> None:
    def total(x: gu.Tensor) -> gu.Tensor:
        turned = F.rotary(x, gu.arange(3), interleaved=interleaved)
        return (turned * turned * turned).sum()

    assert_derivatives(total, normal(3, 4).numpy())


def test_features_that_form_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="rotary: 5 features do not form pairs"):
        F.rotary(gu.ones(2, 5), gu.arange(2))
    with pytest.raises(ValueError, match=r"RotaryPositions\(4\): input has 6 features"):
        nn.RotaryPositions(4)(gu.ones(2, 6))
    with pytest.raises(ValueError, match="sinusoidal: dim is 0"):
        F.sinusoidal(gu.arange(2), 0)
