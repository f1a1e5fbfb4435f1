"""Products: ``matmul`` and ``einsum`` (over random equations) against NumPy, and their gradients.

Proves R1.1, R1.2.
"""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F

from .drawing import Array, Shape, broadcastable, laid_out, uniform

CLOSE = {"rtol": 1e-10, "atol": 1e-12}


@st.composite
def factors(draw: st.DrawFn) -> tuple[Array, Array]:
    """Two arrays that ``matmul`` accepts: vectors, matrices, batches that broadcast, empty ones."""
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    left, right = draw(broadcastable(2, max_dims=2))
    a = draw(st.sampled_from([(k,), (n, k), (*left, n, k)]))
    b = draw(st.sampled_from([(k,), (k, m), (*right, k, m)]))
    return draw(laid_out(draw(uniform(a)))), draw(laid_out(draw(uniform(b))))


@given(case=factors())
def test_matmul_agrees_with_numpy(case: tuple[Array, Array]) -> None:
    a, b = case
    x, y = gu.as_tensor(a), gu.as_tensor(b)
    expected = a @ b
    for found in (x @ y, gu.matmul(x, y), x.matmul(y)):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.array, expected, **CLOSE)


@given(case=factors(), data=st.data())
def test_matmul_is_linear_in_each_factor_and_its_gradient_the_transpose(
    case: tuple[Array, Array], data: st.DataObject
) -> None:
    """<A B, U> = <A, dA> = <B, dB>, for vectors and broadcast batches too."""
    a, b = (gu.tensor(c, requires_grad=True) for c in case)
    out = a @ b
    u = gu.tensor(data.draw(uniform(out.shape)))
    da, db = gu.grad(out, (a, b), u)
    assert (da.shape, db.shape) == (a.shape, b.shape)
    expected = (out * u).sum().item()
    assert (a * da).sum().item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert (b * db).sum().item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_products_of_vectors() -> None:
    a, b = gu.tensor([1.0, 2.0]), gu.tensor([3.0, 4.0])
    assert a.dot(b).item() == gu.dot(a, b).item() == (a @ b).item() == 11
    assert gu.outer(a, b).tolist() == [[3, 4], [6, 8]]
    assert (gu.tensor([1, 2]) @ gu.tensor([3, 4])).dtype == gu.int64
    assert (gu.tensor([1, 2]) @ b).dtype == gu.float32
    assert gu.ones(2, 2).mm(gu.ones(2, 1)).tolist() == [[2], [2]]
    assert gu.ones(3, 2, 2).bmm(gu.ones(3, 2, 1)).shape == (3, 2, 1)


def test_what_products_refuse() -> None:
    a = gu.ones(2, 3)
    with pytest.raises(ValueError, match=r"matmul\(\(2, 3\) float32, \(2, 3\) float32\)"):
        a @ a
    with pytest.raises(ValueError, match="both need a dimension"):
        a @ gu.tensor(2.0)
    with pytest.raises(ValueError, match=r"expected two vectors, got \(2, 3\) and \(3,\)"):
        gu.dot(a, gu.ones(3))
    with pytest.raises(ValueError, match=r"\(2, 4, 3\).*\(3, 3, 1\)|broadcast|mismatch"):
        gu.ones(2, 4, 3) @ gu.ones(3, 3, 1)


@given(data=st.data(), biased=st.booleans())
def test_linear_is_a_product_and_a_sum(data: st.DataObject, biased: bool) -> None:
    lead = data.draw(st.sampled_from([(), (2,), (2, 3), (0,)]))
    n, m = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    x, w, b = (
        gu.tensor(data.draw(uniform(shape)), requires_grad=True)
        for shape in ((*lead, n), (m, n), (m,))
    )
    y = F.linear(x, w, b if biased else None)
    z = x @ w.T + (b if biased else 0)
    np.testing.assert_allclose(y.array, z.array, **CLOSE)
    u = gu.tensor(data.draw(uniform(z.shape)))
    ours = gu.grad(y, (x, w, b), u, allow_unused=True)
    theirs = gu.grad(z, (x, w, b), u, allow_unused=True)
    for g, h in zip(ours, theirs, strict=True):
        assert (g is None) == (h is None)
        if g is not None:
            np.testing.assert_allclose(g.array, h.array, **CLOSE)


# Einstein summation


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[Shape]]:
    """An equation and shapes that fit it.

    One to three operands with labels that may repeat, sizes of 1 that broadcast, perhaps ``...``
    and perhaps no output.
    """
    labels = draw(st.permutations("abXc"))
    sizes = {label: draw(st.integers(0, 3)) for label in labels}
    count = draw(st.integers(1, 3))
    dots = [draw(st.booleans()) for _ in range(count)] if draw(st.booleans()) else [False] * count
    rest = draw(broadcastable(count, max_dims=2))
    terms, shapes_ = [], []
    for i in range(count):
        term = "".join(draw(st.lists(st.sampled_from(labels), max_size=3)))
        shape = [sizes[c] for c in term]
        for j, c in enumerate(term):
            if term.count(c) == 1 and draw(st.integers(0, 5)) == 0:
                shape[j] = 1
        if dots[i]:
            at = draw(st.integers(0, len(term)))
            term = f"{term[:at]}...{term[at:]}"
            shape[at:at] = rest[i]
        terms.append(term)
        shapes_.append(tuple(shape))
    text = ",".join(terms)
    if draw(st.booleans()):
        used = sorted(set(text) & set(string.ascii_letters))
        output = draw(st.permutations(used))[: draw(st.integers(0, len(used)))] if used else []
        # NumPy wants the broadcast dimensions in the output; summing them is tested by name.
        at = draw(st.integers(0, len(output)))
        output[at:at] = ["..."] * any(dots)
        text += "->" + "".join(output)
    return text, shapes_


def numpy_einsum(equation: str, arrays: list[Array]) -> Array:
    """NumPy's answer, after broadcasting sizes of 1, which it does only in places."""
    inputs, arrow, output = equation.partition("->")
    terms = inputs.split(",")
    sizes: dict[str, int] = {}
    for term, array in zip(terms, arrays, strict=True):
        head, dots, tail = term.partition("...")
        ends = [*zip(head, array.shape, strict=False)]
        ends += [*zip(tail[::-1], array.shape[::-1], strict=False)] if dots else []
        for c, n in ends:
            sizes[c] = n if sizes.get(c, 1) == 1 else sizes[c]
    wide = []
    for term, array in zip(terms, arrays, strict=True):
        head, _, tail = term.partition("...")
        middle = array.shape[len(head) : array.ndim - len(tail)]
        shape = [sizes[c] for c in head] + [*middle] + [sizes[c] for c in tail]
        wide.append(np.broadcast_to(array, shape))
    return np.einsum(inputs + arrow + output, *wide)


@given(case=equations(), data=st.data())
def test_einsum_agrees_with_numpy(case: tuple[str, list[Shape]], data: st.DataObject) -> None:
    equation, given_shapes = case
    arrays = [data.draw(laid_out(data.draw(uniform(shape)))) for shape in given_shapes]
    found = gu.einsum(equation, *map(gu.as_tensor, arrays))
    expected = numpy_einsum(equation, arrays)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.array, expected, **CLOSE)


@given(case=equations(), data=st.data())
def test_einsum_is_linear_in_each_operand_and_its_gradient_the_transpose(
    case: tuple[str, list[Shape]], data: st.DataObject
) -> None:
    equation, given_shapes = case
    xs = [gu.tensor(data.draw(uniform(shape)), requires_grad=True) for shape in given_shapes]
    out = gu.einsum(equation, *xs)
    u = gu.tensor(data.draw(uniform(out.shape)))
    expected = (out * u).sum().item()
    for x, g in zip(xs, gu.grad(out, xs, u), strict=True):
        assert g.shape == x.shape
        assert (x * g).sum().item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes_", "direct"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], lambda a, b: a @ b),
        ("ij,jk", [(2, 3), (3, 4)], lambda a, b: a @ b),
        ("ij->ji", [(2, 3)], lambda a: a.T),
        ("ba", [(2, 3)], lambda a: a.T),
        ("ii->i", [(3, 3)], lambda a: a.diagonal()),
        ("ii", [(3, 3)], lambda a: a.diagonal().sum()),
        ("ij->", [(2, 3)], lambda a: a.sum()),
        ("i,j->ij", [(2,), (3,)], gu.outer),
        ("bqhd,bkhd->bhqk", [(2, 3, 2, 4), (2, 5, 2, 4)], None),
        ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)], lambda a, b: a @ b),
        ("...i->i", [(2, 3, 4)], lambda a: a.sum((0, 1))),
        ("i...,i...->...", [(3, 2), (3, 1)], lambda a, b: (a * b).sum(0)),
        (" i j , j k -> i k ", [(2, 3), (3, 4)], lambda a, b: a @ b),
    ],
)
def test_einsum_by_name(equation: str, shapes_: list[Shape], direct: object) -> None:
    xs = [gu.randn(shape, generator=gu.Generator(i)) for i, shape in enumerate(shapes_)]
    found = gu.einsum(equation, *xs)
    if direct is None:
        q, k = (x.transpose(1, 2) for x in xs)
        expected = q @ k.mT
    else:
        expected = direct(*xs)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(gu.einsum(equation, xs).array, found.array)


def test_einsum_promotes_dtypes() -> None:
    assert gu.einsum("i,i->", gu.ones(2, dtype=gu.float64), gu.arange(2)).dtype == gu.float64
    assert gu.einsum("i,i->", gu.arange(3), gu.arange(3)).item() == 5


@pytest.mark.parametrize(
    ("equation", "shapes_", "message"),
    [
        ("ij,jk->ik", [(2, 3)], "2 terms for 1 operands"),
        ("ij,jk->ik", [(2, 3), (4, 5)], "label 'j' is both 3 and 4"),
        ("ijk->i", [(2, 3)], r"term 'ijk' does not fit shape \(2, 3\)"),
        ("i->i", [(2, 3)], r"term 'i' does not fit shape \(2, 3\)"),
        ("ij->k", [(2, 3)], "output label 'k' is repeated or unknown"),
        ("ij->ii", [(2, 3)], "output label 'i' is repeated or unknown"),
        ("ii->i", [(1, 3)], "'i' repeats in 'ii' with unequal sizes"),
        ("ii->i", [(2, 3)], "label 'i' is both 2 and 3"),
    ],
)
def test_einsum_says_what_does_not_fit(equation: str, shapes_: list[Shape], message: str) -> None:
    with pytest.raises(ValueError, match=f"einsum {equation!r}: .*{message}"):
        gu.einsum(equation, *[gu.ones(shape) for shape in shapes_])
