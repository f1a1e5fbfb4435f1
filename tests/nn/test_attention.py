"""R2.6: attention. Scaled dot-product, masks, causal; multi-head, self and cross."""

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

attend = F.scaled_dot_product_attention


def normal(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.randn(shape, generator=gu.Generator(seed), dtype=gu.float64)


def some_mask(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.rand(shape, generator=gu.Generator(seed)) < 0.6


def definition(q: Any, k: Any, v: Any, allowed: Any, added: Any, scale: float) -> Any:
    """Equation 1 query by query, key by key; a query without keys gets zeros."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(q.shape[:-1]):
        weights = [
            math.exp(q[place] @ k[(*place[:-1], j)] * scale + added[(*place, j)])
            if allowed[(*place, j)]
            else 0.0
            for j in range(k.shape[-2])
        ]
        for j, weight in enumerate(weights):
            if weight:
                out[place] += weight / sum(weights) * v[(*place[:-1], j)]
    return out


# -------------------------------------------------------------- scaled dot-product attention


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", ["none", "boolean", "floating"])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_is_its_definition(causal: bool, mask: str, scale: float | None) -> None:
    q, k, v = normal(2, 3, 4, 5), normal(2, 3, 6, 5, seed=1), normal(2, 3, 6, 7, seed=2)
    allowed, added = np.ones((2, 3, 4, 6), bool), np.zeros((2, 3, 4, 6))
    given = None
    if mask == "boolean":
        given = some_mask(2, 3, 4, 6)
        given[0, 1, 2] = False  # a query without keys
        allowed = given.numpy()
    elif mask == "floating":
        given = normal(2, 3, 4, 6, seed=3).masked_fill(some_mask(2, 3, 4, 6), -math.inf)
        allowed, added = np.isfinite(given.numpy()), given.numpy()
    if causal:
        allowed = allowed & np.tril(np.ones((4, 6), bool))
    found = attend(q, k, v, given, is_causal=causal, scale=scale)
    wanted = definition(q.numpy(), k.numpy(), v.numpy(), allowed, added, scale or 1 / math.sqrt(5))
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def test_weights_of_a_row_add_up_to_one_or_to_zero() -> None:
    mask = some_mask(4, 6)
    mask[1] = False
    rows = F.attention_weights(normal(4, 5), normal(6, 5), mask).sum(-1)
    np.testing.assert_allclose(rows.numpy(), [1, 0, 1, 1])


@given(st.permutations(range(6)))
def test_keys_are_a_set(order: list[int]) -> None:
    q, k, v = normal(4, 5), normal(6, 5, seed=1), normal(6, 7, seed=2)
    moved = gu.tensor(list(order))
    assert gu.allclose(attend(q, k[moved], v[moved]), attend(q, k, v))


def test_queries_do_not_see_each_other() -> None:
    q, k, v = normal(4, 5), normal(6, 5, seed=1), normal(6, 7, seed=2)
    order = gu.tensor([2, 0, 3, 1])
    assert gu.allclose(attend(q[order], k, v), attend(q, k, v)[order])


def test_outputs_lie_between_the_values() -> None:
    v = normal(6, 7, seed=2)
    out = attend(normal(4, 5), normal(6, 5, seed=1), v)
    assert (out <= v.amax(0)).all()
    assert (out >= v.amin(0)).all()


def test_limits_of_the_scale() -> None:
    q, k, v = normal(4, 5), normal(6, 5, seed=1), normal(6, 7, seed=2)
    assert gu.allclose(attend(q, k, v, scale=0.0), v.mean(0).expand(4, 7))
    best = v[(q @ k.T).argmax(1)]
    assert gu.allclose(attend(q, k, v, scale=1e4), best)


def test_the_past_does_not_see_the_future() -> None:
    q, k, v = (normal(5, 4, seed=i).requires_grad_() for i in range(3))
    out = attend(q, k, v, is_causal=True)
    for g in gu.grad(out[2].sum(), [k, v]):
        assert g[:3].any()
        assert not g[3:].any()
    assert gu.allclose(out[0], v[0])


def test_boolean_and_infinite_masks_are_the_same_and_causal_is_one_of_them() -> None:
    q, k, v, mask = normal(4, 5), normal(6, 5, seed=1), normal(6, 7, seed=2), some_mask(4, 6)
    added = gu.zeros(4, 6).masked_fill(~mask, -math.inf)
    assert gu.allclose(attend(q, k, v, mask), attend(q, k, v, added))
    triangle = gu.ones(4, 6).tril().bool()
    assert gu.allclose(attend(q, k, v, is_causal=True), attend(q, k, v, triangle))
    assert gu.allclose(attend(q, k, v, mask, is_causal=True), attend(q, k, v, mask & triangle))


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_without_keys_gets_zeros_and_no_gradient(floating: bool, causal: bool) -> None:
    q, k, v = (normal(3, 4, seed=i).requires_grad_() for i in range(3))
    mask = gu.tensor([[True, True, True], [False, False, False], [False, True, True]])
    given = gu.zeros(3, 3).masked_fill(~mask, -math.inf) if floating else mask
    out = attend(q, k, v, given, is_causal=causal)
    assert out[1].tolist() == [0.0] * 4
    for g in gu.grad(out.square().sum(), [q, k, v]):
        assert gu.isfinite(g).all()
    (g,) = gu.grad(attend(q, k, v, given, is_causal=causal)[1].sum(), q)
    assert not g.any()


def test_extreme_scores_are_finite() -> None:
    q = gu.tensor([[1e4], [-1e4], [0.0]], requires_grad=True)
    for how in ({}, {"is_causal": True}, {"attn_mask": some_mask(3, 3)}):
        out = attend(q, gu.tensor([[1.0], [-1.0], [1.0]]), gu.eye(3), scale=1.0, **how)
        (g,) = gu.grad((out * gu.tensor([1.0, 2.0, 3.0])).sum(), q)
        assert gu.isfinite(out).all()
        assert gu.isfinite(g).all()


@pytest.mark.parametrize("mask", ["none", "causal", "boolean", "floating"])
def test_derivatives_to_second_order(mask: str) -> None:
    q, k, v = normal(2, 3, 4), normal(2, 5, 4, seed=1), normal(2, 5, 2, seed=2)
    bias = normal(3, 5, seed=3)
    how: dict[str, Any] = {"is_causal": mask == "causal"}
    if mask == "boolean":
        how["attn_mask"] = some_mask(3, 5)

    def total(q: gu.Tensor, k: gu.Tensor, v: gu.Tensor, *bias: gu.Tensor) -> gu.Tensor:
        extra = {"attn_mask": bias[0]} if bias else {}
        return attend(q, k, v, **how, **extra).square().sum()

    points = [q, k, v, bias] if mask == "floating" else [q, k, v]
    assert_derivatives(total, *[x.numpy() for x in points])


def test_leading_dimensions_broadcast() -> None:
    q, k, v = normal(2, 3, 4, 5), normal(6, 5, seed=1), normal(6, 7, seed=2)
    out = attend(q, k, v, some_mask(2, 1, 1, 6) | gu.tensor([True] + [False] * 5))
    assert out.shape == (2, 3, 4, 7)
    for i in range(2):
        for h in range(3):
            same = attend(q[i, h], k, v, some_mask(2, 1, 1, 6)[i, 0] | (gu.arange(6) == 0))
            assert gu.allclose(out[i, h], same)


def test_dropout_keeps_the_expectation_and_repeats_with_the_seed() -> None:
    q, k, v = gu.zeros(1, 4), gu.zeros(8, 4), gu.ones(8, 1)
    draws = [attend(q, k, v, dropout_p=0.5, generator=gu.Generator(i)).item() for i in range(2000)]
    assert abs(np.mean(draws) - 1) < 0.02
    assert draws[7] == attend(q, k, v, dropout_p=0.5, generator=gu.Generator(7)).item()
    assert attend(q, k, v, dropout_p=1.0).item() == 0


def test_float32_stays_float32() -> None:
    x = gu.randn(3, 4)
    for mask in (None, some_mask(3, 3), gu.zeros(3, 3)):
        assert attend(x, x, x, mask, is_causal=True).dtype == gu.float32


@pytest.mark.parametrize(
    ("shapes", "mask", "error", "message"),
    [
        (((3, 4), (5, 6), (5, 6)), None, ValueError, r"query \(3, 4\) and key \(5, 6\); expected"),
        (((3, 4), (4,), (5, 6)), None, ValueError, r"query \(3, 4\) and key \(4,\); expected"),
        (((3, 4), (5, 4), (6, 4)), None, ValueError, r"value \(6, 4\), expected 5 rows"),
        (((3, 4), (5, 4), (5, 4)), gu.ones(3, 5).long(), TypeError, "the mask is int64; expected"),
        (((3, 4), (5, 4), (5, 4)), gu.ones(3, 4).bool(), ValueError, r"\(3, 4\) bool.*\(3, 5\)"),
    ],
)
def test_what_does_not_fit_is_named(
    shapes: Any, mask: gu.Tensor | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        attend(*[gu.zeros(shape) for shape in shapes], mask)


# ------------------------------------------------------------------------------- multi-head


def layer(*sizes: Any, **how: Any) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(*sizes, **how, dtype=gu.float64, generator=gu.Generator(0))


def test_one_head_with_identity_projections_is_plain_attention() -> None:
    net = layer(4, 1, batch_first=True)
    eye = gu.eye(4)
    net.load_state_dict(
        {
            "in_proj_weight": gu.cat([eye, eye, eye]),
            "in_proj_bias": gu.zeros(12),
            "out_proj.weight": eye,
            "out_proj.bias": gu.zeros(4),
        }
    )
    q, k, v = normal(2, 3, 4), normal(2, 5, 4, seed=1), normal(2, 5, 4, seed=2)
    output, weights = net(q, k, v)
    assert gu.allclose(output, attend(q, k, v))
    assert gu.allclose(weights, F.attention_weights(q, k))


def test_heads_attend_by_themselves() -> None:
    net, x = layer(6, 3, batch_first=True), normal(2, 5, 6)
    _, each = net(x, x, x, average_attn_weights=False)
    _, mean = net(x, x, x)
    assert each.shape == (2, 3, 5, 5)
    assert gu.allclose(each.mean(1), mean)
    q, k, _ = F.linear(x, net.in_proj_weight, net.in_proj_bias).chunk(3, -1)
    for h in range(3):
        part = slice(2 * h, 2 * h + 2)
        assert gu.allclose(each[:, h], F.attention_weights(q[..., part], k[..., part]))


def test_self_attention_takes_the_way_of_cross_attention() -> None:
    net, x = layer(6, 2), normal(5, 2, 6)
    packed = net(x, x, x)
    apart = net(x, x.clone(), x.clone())
    assert gu.allclose(packed[0], apart[0])
    assert gu.allclose(packed[1], apart[1])


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 7}])
def test_layouts_agree(sizes: dict[str, int]) -> None:
    net, first = layer(6, 2, **sizes), layer(6, 2, batch_first=True, **sizes)
    k, v = sizes.get("kdim", 6), sizes.get("vdim", 6)
    query, key, value = normal(4, 2, 6), normal(5, 2, k, seed=1), normal(5, 2, v, seed=2)
    output, weights = net(query, key, value)
    assert (output.shape, weights.shape) == ((4, 2, 6), (2, 4, 5))
    turned, same = first(*[x.transpose(0, 1) for x in (query, key, value)])
    assert gu.allclose(turned.transpose(0, 1), output)
    assert gu.allclose(same, weights)
    for one in (net, first):
        single, row = one(query[:, 1], key[:, 1], value[:, 1])
        assert gu.allclose(single, output[:, 1])
        assert gu.allclose(row, weights[1])


def test_padding_is_not_seen() -> None:
    net, x = layer(6, 2, batch_first=True), normal(2, 5, 6)
    padding = gu.tensor([[False] * 3 + [True] * 2, [False] * 5])
    other = x.masked_fill(padding.unsqueeze(-1), 99.0)
    a, weights = net(x, x, x, key_padding_mask=padding)
    b, _ = net(x, other, other, key_padding_mask=padding)
    assert gu.allclose(a, b)
    assert not weights[0, :, 3:].any()
    short, _ = net(x[:1, :3], x[:1, :3], x[:1, :3])
    assert gu.allclose(a[:1, :3], short)
    single, _ = net(x[0], x[0], x[0], key_padding_mask=padding[0])
    assert gu.allclose(single, a[0])


@pytest.mark.parametrize("padding_floats", [False, True])
@pytest.mark.parametrize("mask_floats", [False, True])
@pytest.mark.parametrize("each_head", [False, True])
def test_masks_combine(padding_floats: bool, mask_floats: bool, each_head: bool) -> None:
    net, x = layer(6, 2, batch_first=True), normal(2, 4, 6)
    mask = ~some_mask(4, 4, 4) if each_head else ~some_mask(4, 4)
    padding = ~some_mask(2, 4, seed=1)

    def given(mask: gu.Tensor, floats: bool) -> gu.Tensor:
        return gu.zeros(mask.shape).masked_fill(mask, -math.inf) if floats else mask

    output, weights = net(
        x,
        x,
        x,
        key_padding_mask=given(padding, padding_floats),
        attn_mask=given(mask, mask_floats),
        average_attn_weights=False,
        is_causal=True,
    )
    forbidden = mask.reshape(2, 2, 4, 4) if each_head else mask
    forbidden = forbidden | padding.reshape(2, 1, 1, 4) | ~gu.ones(4, 4).tril().bool()
    assert not weights.masked_fill(~forbidden.expand(2, 2, 4, 4), 0).any()
    rows = (~forbidden).expand(2, 2, 4, 4).any(-1).double()
    assert gu.allclose(weights.sum(-1), rows)
    assert gu.isfinite(output).all()


def test_causal_needs_no_mask() -> None:
    net, x = layer(6, 2, batch_first=True), normal(2, 5, 6).requires_grad_()
    output, _ = net(x, x, x, is_causal=True)
    (g,) = gu.grad(output[:, 2].square().sum(), x)
    assert g[:, :3].any()
    assert not g[:, 3:].any()
    future = ~gu.ones(5, 5).tril().bool()
    assert gu.allclose(output, net(x, x, x, attn_mask=future)[0])


def test_parameters_begin_as_documented() -> None:
    net = layer(64, 4)
    assert [name for name, _ in net.named_parameters()] == [
        "in_proj_weight",
        "in_proj_bias",
        "out_proj.weight",
        "out_proj.bias",
    ]
    bound = math.sqrt(6 / (64 + 3 * 64))
    assert 0.95 * bound < net.in_proj_weight.abs().max().item() <= bound
    assert not net.in_proj_bias.any()
    assert not net.out_proj.bias.any()
    assert 0.95 / 8 < net.out_proj.weight.abs().max().item() <= 1 / 8
    apart = layer(6, 2, kdim=3, vdim=7, bias=False)
    assert {name: w.shape for name, w in apart.named_parameters()} == {
        "q_proj_weight": (6, 6),
        "k_proj_weight": (6, 3),
        "v_proj_weight": (6, 7),
        "out_proj.weight": (6, 6),
    }


@pytest.mark.parametrize("sizes", [{}, {"kdim": 3, "vdim": 7}])
def test_every_parameter_gets_the_right_gradient(sizes: dict[str, int]) -> None:
    net = layer(4, 2, batch_first=True, **sizes)
    k, v = sizes.get("kdim", 4), sizes.get("vdim", 4)
    names = list(net.state_dict())
    inputs = (normal(2, 3, 4), normal(2, 3, k, seed=1), normal(2, 3, v, seed=2))

    def total(*weights: gu.Tensor) -> gu.Tensor:
        parameters = dict(zip(names, weights, strict=True))
        return gu.functional_call(net, parameters, inputs, {"is_causal": True})[0].square().sum()

    assert_derivatives(total, *[w.numpy() for w in net.state_dict().values()])


def test_dropout_in_training_only() -> None:
    net, x = layer(6, 2, dropout=1.0), normal(5, 2, 6)
    output, weights = net(x, x, x)
    assert not weights.any()
    assert gu.allclose(output, net.out_proj.bias.expand(5, 2, 6))
    assert net.eval()(x, x, x)[1].any()


def test_weights_are_left_out_on_demand() -> None:
    net, x = layer(6, 2), normal(5, 2, 6)
    output, weights = net(x, x, x, need_weights=False)
    assert weights is None
    assert gu.equal(output, net(x, x, x)[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: nn.MultiheadAttention(6, 4), "num_heads=4 does not divide embed_dim=6"),
        (lambda net: net(*[gu.zeros(5, 2, 4)] * 3), r"query \(5, 2, 4\), .* with \(6, 6, 6\) feat"),
        (lambda net: net(gu.zeros(5, 2, 6), *[gu.zeros(5, 3, 6)] * 2), r"\(length, N, features\)"),
        (lambda net: net(gu.zeros(5, 6), gu.zeros(4, 6), gu.zeros(3, 6)), "as many keys as values"),
        (lambda net: net(*[gu.zeros(6)] * 3), r"query \(6,\)"),
        (
            lambda net: net(*[gu.zeros(5, 2, 6)] * 3, attn_mask=gu.zeros(5, 4)),
            r"attn_mask is \(5, 4\) float32, .* of shape \(5, 5\) or \(4, 5, 5\)",
        ),
        (
            lambda net: net(*[gu.zeros(5, 2, 6)] * 3, key_padding_mask=gu.zeros(5, 2).bool()),
            r"key_padding_mask is \(5, 2\) bool, .* of shape \(2, 5\)",
        ),
        (
            lambda net: net(*[gu.zeros(5, 2, 6)] * 3, key_padding_mask=gu.zeros(2, 5).long()),
            r"key_padding_mask is \(2, 5\) int64, expected a boolean or floating mask",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(nn.MultiheadAttention(6, 2))
