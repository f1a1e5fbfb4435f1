"""R2.4: recurrent layers. Equations, causality, states, directions, layers, dropout, cost."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tests.nn.differences import assert_derivatives

import groundup as gu
from groundup import nn
from groundup.engine.base import mode

KINDS = {
    "tanh": (nn.RNN, nn.RNNCell, {}),
    "relu": (nn.RNN, nn.RNNCell, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, nn.LSTMCell, {}),
    "gru": (nn.GRU, nn.GRUCell, {}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def layer(kind: str, *sizes: Any, **how: Any) -> Any:
    cls, _, extra = KINDS[kind]
    return cls(*sizes, **extra, **how, dtype=gu.float64, generator=gu.Generator(0))


def cell(kind: str, *sizes: Any, **how: Any) -> Any:
    _, cls, extra = KINDS[kind]
    return cls(*sizes, **extra, **how, dtype=gu.float64, generator=gu.Generator(0))


def normal(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.randn(shape, generator=gu.Generator(seed), dtype=gu.float64)


def states(kind: str, *shape: int) -> Any:
    h, c = normal(*shape, seed=1), normal(*shape, seed=2)
    return (h, c) if kind == "lstm" else h


def listed(state: Any) -> list[gu.Tensor]:
    return list(state) if isinstance(state, tuple) else [state]


def equations(kind: str, x: Any, state: Any, weights: dict[str, Any]) -> Any:
    """One time step as the papers write it, gate by gate."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    a = weights["weight_ih"] @ x + weights["bias_ih"]
    b = weights["weight_hh"] @ (state[0] if kind == "lstm" else state) + weights["bias_hh"]
    if kind in ("tanh", "relu"):
        return np.tanh(a + b) if kind == "tanh" else np.maximum(a + b, 0)
    if kind == "lstm":
        i, f, g, o = np.split(a + b, 4)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    (xr, xz, xn), (hr, hz, hn) = np.split(a, 3), np.split(b, 3)
    z = sigmoid(xz + hz)
    return (1 - z) * np.tanh(xn + sigmoid(xr + hr) * hn) + z * state


@every_kind
def test_a_cell_is_its_equations(kind: str) -> None:
    one = cell(kind, 3, 4)
    weights = {name: w.numpy() for name, w in one.state_dict().items()}
    x, state = normal(3), states(kind, 4)
    as_arrays = tuple(s.numpy() for s in state) if kind == "lstm" else state.numpy()
    expected = equations(kind, x.numpy(), as_arrays, weights)
    for found, wanted in zip(
        listed(one(x, state)), expected if kind == "lstm" else [expected], strict=True
    ):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12)


@every_kind
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_its_cell_step_by_step(kind: str, bias: bool) -> None:
    net, one = layer(kind, 3, 4, bias=bias), cell(kind, 3, 4, bias=bias)
    one.load_state_dict({n.removesuffix("_l0"): w for n, w in net.state_dict().items()})
    x, state = normal(5, 2, 3), states(kind, 1, 2, 4)
    output, last = net(x, state)
    carried: Any = tuple(s[0] for s in state) if kind == "lstm" else state[0]
    for t in range(5):
        carried = one(x[t], carried)
        assert gu.allclose(output[t], listed(carried)[0])
    for found, wanted in zip(listed(last), listed(carried), strict=True):
        assert gu.allclose(found[0], wanted)


@every_kind
def test_missing_states_are_zeros(kind: str) -> None:
    net, one, x = layer(kind, 3, 4, 2, bidirectional=True), cell(kind, 3, 4), normal(5, 2, 3)
    zero = gu.zeros(4, 2, 4, dtype=gu.float64)
    given = (zero, zero) if kind == "lstm" else zero
    assert gu.equal(net(x)[0], net(x, given)[0])
    given = (zero[0], zero[0]) if kind == "lstm" else zero[0]
    assert gu.equal(listed(one(x[0]))[0], listed(one(x[0], given))[0])


@every_kind
def test_the_way_back_is_the_way_forth_over_the_reversed_sequence(kind: str) -> None:
    both, forth = layer(kind, 3, 4, bidirectional=True), layer(kind, 3, 4)
    state = both.state_dict()
    x = normal(5, 2, 3)
    output, last = both(x)
    for d, suffix in enumerate(("", "_reverse")):
        forth.load_state_dict({n: state[n + suffix] for n in forth.state_dict()})
        single, end = forth(x.flip(0) if suffix else x)
        mine = output[:, :, 4 * d : 4 * d + 4]
        assert gu.allclose(mine, single.flip(0) if suffix else single)
        for found, wanted in zip(listed(last), listed(end), strict=True):
            assert gu.allclose(found[d], wanted[0])


@every_kind
def test_a_layer_reads_the_outputs_of_the_one_below(kind: str) -> None:
    deep = layer(kind, 3, 4, num_layers=2, bidirectional=True)
    state = deep.state_dict()
    below, above = (layer(kind, size, 4, bidirectional=True) for size in (3, 8))
    below.load_state_dict({n: state[n] for n in below.state_dict()})
    above.load_state_dict({n: state[n.replace("_l0", "_l1")] for n in above.state_dict()})
    x = normal(5, 2, 3)
    middle, first = below(x)
    output, second = above(middle)
    assert gu.allclose(deep(x)[0], output)
    for found, a, b in zip(listed(deep(x)[1]), listed(first), listed(second), strict=True):
        assert gu.allclose(found, gu.cat([a, b]))


@every_kind
def test_a_sequence_may_be_read_in_two_parts(kind: str) -> None:
    net, x = layer(kind, 3, 4, num_layers=2), normal(7, 2, 3)
    whole, end = net(x)
    first, state = net(x[:3])
    second, last = net(x[3:], state)
    assert gu.allclose(gu.cat([first, second]), whole)
    for a, b in zip(listed(last), listed(end), strict=True):
        assert gu.allclose(a, b)


@every_kind
def test_the_past_does_not_see_the_future(kind: str) -> None:
    net, x = layer(kind, 3, 4), normal(6, 2, 3).requires_grad_()
    output, _ = net(x)
    (g,) = gu.grad(output[2].sum(), x)
    assert g[:3].abs().amin(dim=(1, 2)).min() > 0
    assert not g[3:].any()


@every_kind
def test_sequences_do_not_see_each_other(kind: str) -> None:
    net, x = layer(kind, 3, 4, bidirectional=True), normal(5, 4, 3)
    order = gu.tensor([2, 0, 3, 1])
    assert gu.allclose(net(x)[0][:, order], net(x[:, order])[0])


@every_kind
def test_batch_first_and_single_sequences(kind: str) -> None:
    net, x = layer(kind, 3, 4, num_layers=2, bidirectional=True), normal(5, 2, 3)
    first = layer(kind, 3, 4, num_layers=2, bidirectional=True, batch_first=True)
    output, last = net(x)
    turned, same = first(x.transpose(0, 1))
    assert gu.allclose(turned.transpose(0, 1), output)
    for one in (net, first):
        single, end = one(x[:, 1])
        assert gu.allclose(single, output[:, 1])
        for a, b, c in zip(listed(end), listed(last), listed(same), strict=True):
            assert gu.allclose(a, b[:, 1])
            assert gu.allclose(b, c)


@every_kind
def test_derivatives_of_inputs_states_and_weights(kind: str) -> None:
    net = layer(kind, 2, 3, num_layers=2, bidirectional=True)
    names = list(net.state_dict())
    x, state = normal(3, 2, 2), listed(states(kind, 4, 2, 3))

    def total(x: gu.Tensor, *rest: gu.Tensor) -> gu.Tensor:
        h, weights = rest[: len(state)], rest[len(state) :]
        given = tuple(h) if kind == "lstm" else h[0]
        parameters = dict(zip(names, weights, strict=True))
        output, last = gu.functional_call(net, parameters, (x, given))
        return output.square().sum() + sum(s.sum() for s in listed(last))

    points = [x, *state, *(w for w in net.state_dict().values())]
    assert_derivatives(total, *[p.numpy() for p in points], order=1 if kind == "relu" else 2)


def test_open_forget_and_closed_input_gates_keep_the_cell() -> None:
    net = nn.LSTM(3, 4)
    with gu.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.bias_ih_l0[:4] = -100.0  # input gate
        net.bias_ih_l0[4:8] = 100.0  # forget gate
    c = gu.randn(1, 2, 4)
    _, (_, kept) = net(gu.randn(50, 2, 3), (gu.zeros(1, 2, 4), c))
    assert gu.allclose(kept, c)


def test_an_update_gate_at_one_keeps_the_state_of_a_gru() -> None:
    net = nn.GRU(3, 4)
    with gu.no_grad():
        net.bias_ih_l0[4:8] = 100.0
    h = gu.randn(1, 2, 4)
    output, last = net(gu.randn(50, 2, 3), h)
    assert gu.allclose(last, h)
    assert gu.allclose(output[10], h[0])


@every_kind
def test_dropout_lies_between_layers_only(kind: str) -> None:
    net = layer(kind, 3, 4, num_layers=2, dropout=1.0)
    x = normal(5, 2, 3)
    top = layer(kind, 4, 4)
    state = net.state_dict()
    top.load_state_dict({n: state[n.replace("_l0", "_l1")] for n in top.state_dict()})
    assert gu.allclose(net(x)[0], top(gu.zeros(5, 2, 4).double())[0])
    assert not gu.allclose(net.eval()(x)[0], net.train()(x)[0])
    assert gu.equal(layer(kind, 3, 4, dropout=1.0)(x)[0], layer(kind, 3, 4)(x)[0])


def test_dropout_takes_its_numbers_from_the_generator() -> None:
    x = gu.randn(5, 2, 3)
    runs = []
    for seed in (1, 1, 2):
        gu.manual_seed(3)
        net = nn.GRU(3, 4, num_layers=2, dropout=0.5, generator=gu.Generator(seed))
        runs.append(net(x)[0])
    assert gu.equal(runs[0], runs[1])
    assert not gu.equal(runs[0], runs[2])


@every_kind
def test_parameters_begin_uniform_and_have_their_shapes(kind: str) -> None:
    gates = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}[kind]
    net = layer(kind, 3, 25, num_layers=2, bidirectional=True)
    expected = {}
    for k, size in ((0, 3), (1, 50)):
        for way in ("", "_reverse"):
            expected |= {
                f"weight_ih_l{k}{way}": (gates * 25, size),
                f"weight_hh_l{k}{way}": (gates * 25, 25),
                f"bias_ih_l{k}{way}": (gates * 25,),
                f"bias_hh_l{k}{way}": (gates * 25,),
            }
    found = dict(net.named_parameters())
    assert {name: w.shape for name, w in found.items()} == expected
    assert list(found) == list(expected)
    everything = np.concatenate([w.detach().numpy().reshape(-1) for w in found.values()])
    bound = 1 / math.sqrt(25)
    assert np.abs(everything).max() <= bound
    assert abs(everything.std() - bound / math.sqrt(3)) < 0.01
    assert abs(everything.mean()) < 0.01


def test_float32_stays_float32() -> None:
    for net in (nn.RNN(3, 4), nn.LSTM(3, 4), nn.GRU(3, 4)):
        output, last = net(gu.randn(5, 2, 3))
        assert {output.dtype, *(s.dtype for s in listed(last))} == {gu.float32}


@contextmanager
def watching(note: Any) -> Iterator[None]:
    """Call ``note`` with the name, the inputs and the output of every primitive."""
    before = mode.observers
    mode.observers = (lambda primitive, inputs, _, out: note(primitive.name, inputs, out),)
    try:
        yield
    finally:
        mode.observers = before


@every_kind
def test_one_product_serves_the_input_of_all_time_steps(kind: str) -> None:
    products: list[tuple[int, ...]] = []
    net, x = layer(kind, 3, 4), normal(16, 2, 3)
    with watching(
        lambda name, inputs, _: products.append(inputs[0].shape) if name == "linear" else None
    ):
        net(x)
    assert products == [(16 * 2, 3), *[(2, 4)] * 16]


@every_kind
def test_the_backward_pass_grows_with_the_length_not_with_its_square(kind: str) -> None:
    def work(steps: int) -> int:
        sizes: list[int] = []
        net, x = layer(kind, 3, 8), normal(steps, 4, 3)
        with watching(lambda _name, _inputs, out: sizes.append(out.numel())):
            net(x)[0].sum().backward()
        return sum(sizes)

    assert work(256) < 2.5 * work(128)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.LSTM(3, 4)(gu.zeros(5, 2, 2)),
            r"LSTM\(3, 4\): input \(5, 2, 2\), expected 2 or",
        ),
        (lambda: nn.GRU(3, 4)(gu.zeros(3)), r"GRU\(3, 4\): input \(3,\), expected 2 or 3 dim"),
        (lambda: nn.RNN(3, 4)(gu.zeros(0, 2, 3)), r"input \(0, 2, 3\) has no time steps"),
        (
            lambda: nn.GRU(3, 4)(gu.zeros(5, 2, 3), gu.zeros(1, 3, 4)),
            r"initial state \(1, 3, 4\), expected \(1, 2, 4\)",
        ),
        (
            lambda: nn.LSTM(3, 4)(gu.zeros(5, 3), (gu.zeros(1, 4), gu.zeros(1, 1, 4))),
            r"initial state \(1, 1, 4\), expected \(1, 4\)",
        ),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "nonlinearity 'sin': expected 'tanh' or 'relu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="sin"), "nonlinearity 'sin': expected"),
        (lambda: nn.LSTM(3, 4, num_layers=0), "num_layers=0; expected positive numbers"),
        (lambda: nn.LSTMCell(3, 4)(gu.zeros(2, 2)), r"LSTMCell\(3, 4\): input \(2, 2\), expected"),
        (
            lambda: nn.LSTMCell(3, 4)(gu.zeros(2, 3), (gu.zeros(2, 4), gu.zeros(1, 4))),
            r"LSTMCell\(3, 4\): state \(1, 4\), expected \(2, 4\)",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
