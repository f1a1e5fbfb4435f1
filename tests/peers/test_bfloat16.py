"""R1.1, R2.8: bfloat16 beside PyTorch's: casts of every pattern, sums, products, files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim

torch = pytest.importorskip("torch")

torch.set_num_threads(1)
PATTERNS = np.arange(65536, dtype=np.uint16)
OURS = gu.from_numpy(PATTERNS.view(gu.bfloat16))
THEIRS = torch.from_numpy(PATTERNS.view(np.int16)).view(torch.bfloat16)


def bits(x: Any) -> np.ndarray:
    """The patterns of a tensor of either library; NaN, whose bits nobody promises, as 0x7FC0."""
    if isinstance(x, gu.Tensor):
        found = x.detach().numpy().view(np.uint16)
    else:
        found = x.detach().contiguous().view(torch.int16).numpy().view(np.uint16)
    nan = (found & 0x7FFF) > 0x7F80
    return np.where(nan, 0x7FC0, found)


def steps_apart(a: Any, b: Any) -> int:
    """How many representable numbers lie between two tensors at most; NaN must meet NaN."""
    x, y = bits(a).astype(np.int64), bits(b).astype(np.int64)
    assert ((x == 0x7FC0) == (y == 0x7FC0)).all()
    ordered = [np.where(p & 0x8000, 0x8000 - p, p) for p in (x, y)]
    return int(np.abs(ordered[0] - ordered[1]).max())


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "bool"])
def test_every_pattern_in_another_dtype(name: str) -> None:
    with np.errstate(all="ignore"):
        found = OURS.to(name).numpy()
    expected = THEIRS.to(getattr(torch, name)).numpy()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["int8", "int32", "int64", "uint8"])
def test_every_pattern_that_fits_as_an_integer(name: str) -> None:
    limits = np.iinfo(name)
    values = OURS.double().numpy()
    fits = (values >= limits.min) & (values <= limits.max)
    found = gu.from_numpy(OURS.numpy()[fits]).to(name).numpy()
    expected = THEIRS[torch.from_numpy(fits)].to(getattr(torch, name)).numpy()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("low", [0x0000, 0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_float32_is_rounded_to_the_nearest_and_to_even(low: int) -> None:
    values = ((PATTERNS.astype(np.uint32) << 16) | low).view(np.float32)
    with np.errstate(all="ignore"):
        found = gu.from_numpy(values).bfloat16()
    np.testing.assert_array_equal(bits(found), bits(torch.from_numpy(values).bfloat16()))


def test_other_dtypes_are_rounded_alike() -> None:
    rng = np.random.default_rng(0)
    for values in (
        PATTERNS.view(np.float16),
        rng.standard_normal(5000) * 10.0 ** rng.integers(-45, 40, 5000),
        rng.integers(-(2**62), 2**62, 5000),
        np.arange(-128, 128, dtype=np.int8),
    ):
        with np.errstate(all="ignore"):
            found = gu.from_numpy(values).bfloat16()
        np.testing.assert_array_equal(bits(found), bits(torch.from_numpy(values).bfloat16()))


def pair(*shape: int, seed: int = 0) -> tuple[gu.Tensor, Any]:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return gu.from_numpy(values).bfloat16(), torch.from_numpy(values).bfloat16()


FUNCTIONS = (
    *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "square", "sin", "cos"),
    *("tanh", "erf", "sigmoid", "relu", "floor", "ceil", "round", "trunc", "abs", "neg"),
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_every_pattern(name: str) -> None:
    if name in ("sin", "cos"):  # of what is larger PyTorch's own last digits vary
        chosen = np.abs(OURS.double().numpy()) < 1e4
        ours = gu.from_numpy(OURS.numpy()[chosen])
        theirs = THEIRS[torch.from_numpy(chosen)]
    else:
        ours, theirs = OURS, THEIRS
    with np.errstate(all="ignore"):
        found = getattr(ours, name)()
    if name in ("erf", "sigmoid"):  # PyTorch's lose the smallest numbers
        theirs = theirs.double()
    expected = getattr(theirs, name)().bfloat16()
    exact = name in ("floor", "ceil", "round", "trunc", "abs", "neg", "relu", "square", "sqrt")
    ours, theirs = found.abs(), expected.abs()  # the sign of zero and of NaN aside
    assert found.dtype == gu.bfloat16
    assert steps_apart(ours, theirs) <= (0 if exact else 1)


@pytest.mark.parametrize("name", ["+", "-", "*", "/"])
def test_arithmetic_is_rounded_once(name: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.choice(PATTERNS, 20000) for _ in range(2))
    operate: Callable[[Any, Any], Any] = {
        "+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y,
        "/": lambda x, y: x / y,
    }[name]  # fmt: skip
    with np.errstate(all="ignore"):
        found = operate(*(gu.from_numpy(x.view(gu.bfloat16)) for x in (a, b)))
    expected = operate(*(THEIRS[torch.from_numpy(x.astype(np.int64))] for x in (a, b)))
    np.testing.assert_array_equal(bits(found), bits(expected))


def test_sums_are_added_up_in_float32() -> None:
    ones = gu.ones(4000, dtype=gu.bfloat16)  # one by one in bfloat16 they would end at 256
    assert ones.sum().item() == torch.ones(4000, dtype=torch.bfloat16).sum().item() == 4000
    assert ones.mean().item() == 1
    for dim in (0, 1):
        ours, theirs = pair(300, 40)
        for name in ("sum", "mean", "std", "var", "norm", "softmax", "logsumexp", "cumsum"):
            found, expected = getattr(ours, name)(dim=dim), getattr(theirs, name)(dim=dim)
            exact = getattr(ours.double(), name)(dim=dim)
            assert steps_apart(found, exact.bfloat16()) <= 1, name
            error = (expected.double().numpy() - exact.numpy()).__abs__().max()
            mine = np.abs(found.double().numpy() - exact.numpy()).max()
            assert mine <= error * 1.01 + 1e-6, name


@pytest.mark.parametrize(("n", "k", "m"), [(1, 1, 1), (5, 2000, 7), (64, 64, 64)])
def test_products_are_added_up_in_float32(n: int, k: int, m: int) -> None:
    (a, x), (b, y) = pair(n, k), pair(k, m, seed=1)
    found, expected = a @ b, x @ y
    exact = a.double().numpy() @ b.double().numpy()
    half_a_step = np.abs(exact) * 2.0**-8 + 1e-4
    assert (np.abs(found.double().numpy() - exact) <= half_a_step).all()
    np.testing.assert_allclose(
        found.double().numpy(), expected.double().numpy(), 2.0**-7, 2e-4 * np.sqrt(k)
    )
    w, bias = pair(m, k, seed=2), pair(m, seed=3)
    mine = nn.functional.linear(a, w[0], bias[0])
    other = torch.nn.functional.linear(x, w[1], bias[1])
    np.testing.assert_allclose(
        mine.double().numpy(), other.double().numpy(), 2.0**-7, 2e-2 * np.sqrt(k)
    )


def mlp(m: Any) -> Any:
    return m.nn.Sequential(
        m.nn.Linear(8, 32), m.nn.GELU(), m.nn.LayerNorm(32), m.nn.Linear(32, 4)
    )  # fmt: skip


@pytest.mark.parametrize("way", ["autocast", "all in bfloat16"])
def test_a_network_trains_alike(way: str) -> None:
    theirs, ours = mlp(torch), mlp(gu)
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 8)).astype(np.float32)
    y = np.argmax(x[:, :4] - x[:, 4:], axis=1)

    def train(m: Any, model: Any, sgd: Any, cross_entropy: Any) -> list[float]:
        inputs, labels, losses = m.from_numpy(x), m.from_numpy(y), []
        if way != "autocast":
            inputs = inputs.bfloat16()
        for _ in range(40):
            sgd.zero_grad()
            with m.autocast("cpu", dtype=m.bfloat16, enabled=way == "autocast"):
                output = model(inputs)
                loss = cross_entropy(output, labels)
            assert output.dtype == m.bfloat16
            loss.backward()
            sgd.step()
            losses.append(loss.item())
        return losses

    if way != "autocast":
        ours.bfloat16()
        theirs.bfloat16()
    mine = train(gu, ours, optim.SGD(ours.parameters(), lr=0.1), nn.functional.cross_entropy)
    other = train(
        torch,
        theirs,
        torch.optim.SGD(theirs.parameters(), lr=0.1),
        torch.nn.functional.cross_entropy,
    )
    np.testing.assert_allclose(mine, other, rtol=0.05)
    assert mine[-1] < 0.7 * mine[0]


def test_files_hold_the_same_bits(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    gu.save({"x": OURS}, tmp_path / "ours.safetensors")
    assert torch.equal(
        load_file(tmp_path / "ours.safetensors")["x"].view(torch.int16), THEIRS.view(torch.int16)
    )
    save_file({"x": THEIRS}, tmp_path / "theirs.safetensors")
    found = gu.load(tmp_path / "theirs.safetensors")[0]["x"]
    assert found.numpy().tobytes() == PATTERNS.tobytes()
    assert (tmp_path / "ours.safetensors").stat().st_size < 2 * 65536 + 500


@pytest.mark.parametrize("way", ["autocast", "all in bfloat16"])
def test_a_compiled_step_gives_the_eager_one_s_numbers(way: str) -> None:
    gu.manual_seed(0)
    first = mlp(gu)
    second = mlp(gu)
    second.load_state_dict(first.state_dict())
    inputs, labels = gu.randn(16, 8, generator=gu.Generator(0)), gu.arange(16) % 4
    if way != "autocast":
        first.bfloat16()
        second.bfloat16()
        inputs = inputs.bfloat16()

    def stepper(model: Any) -> Any:
        sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: gu.Tensor, y: gu.Tensor) -> gu.Tensor:
            sgd.zero_grad()
            with gu.autocast(dtype=gu.bfloat16, enabled=way == "autocast"):
                loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            sgd.step()
            return loss.detach()

        return step

    eager, compiled = stepper(first), gu.compile(stepper(second))
    for _ in range(5):
        a, b = eager(inputs, labels), compiled(inputs, labels)
        assert a.dtype == b.dtype
        assert a.item() == pytest.approx(b.item(), rel=1e-2)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert p.dtype == q.dtype
        np.testing.assert_allclose(
            p.detach().double().numpy(), q.detach().double().numpy(), rtol=2e-2, atol=4e-3
        )
