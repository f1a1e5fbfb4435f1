"""Recurrent layers: a state that is carried from one element of a sequence to the next.

    RNN    h' = tanh(W_ih x + W_hh h)                             Elman, 1990
    LSTM   a second state that is added to, not multiplied        Hochreiter and Schmidhuber, 1997
    GRU    one state, and gates to choose between old and new     Cho et al., 2014

The state's product has to wait for the step before. The input's does not: one matrix product serves
all time steps. Rows of one matrix hold the elements of all sequences, so that a time step is a
block of N rows, and a layer's outputs, laid under each other, are the input of the next.

Parameters have PyTorch's names and the gates its order. All parameters begin uniform in
+- 1 / sqrt(hidden_size).

Shapes: T time steps, N sequences, I features in, H in the state, D directions, K layers, G gates.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from ..engine.ops.creation import empty, zeros
from ..engine.ops.functions import relu, sigmoid, tanh
from ..engine.ops.products import linear
from ..engine.ops.shaping import cat, stack
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .functional.dropout import dropout as drop
from .module import Module, Parameter

State = tuple[Tensor, ...]
_FUNCTIONS = {"tanh": tanh, "relu": relu}


def _function(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise ValueError(f"nonlinearity {name!r}: expected 'tanh' or 'relu'")
    return _FUNCTIONS[name]


def _lstm(gates: Tensor, c: Tensor) -> State:
    """Sums of both products (N, 4H) and the inner state (N, H) -> the new h and c."""
    i, f, g, o = gates.chunk(4, 1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru(x: Tensor, hidden: Tensor, h: Tensor) -> State:
    """The products of input and state, both (N, 3H), and the state (N, H) -> the new state."""
    both = 2 * h.shape[1]
    r, z = sigmoid(x[:, :both] + hidden[:, :both]).chunk(2, 1)
    new = tanh(x[:, both:] + r * hidden[:, both:])
    return (new + z * (h - new),)


def _blocks(x: Tensor, count: int) -> list[Tensor]:
    """Equal blocks of rows, cut in halves again and again.

    The gradient of a slice is as large as what it was cut from. Cutting T blocks from one tensor
    would cost T times its size in the backward pass; halving costs log2(T) times.
    """
    if count == 1:
        return [x]
    half = count // 2
    rows = x.shape[0] // count * half
    first, second = x.narrow(0, 0, rows), x.narrow(0, rows, x.shape[0] - rows)
    return _blocks(first, half) + _blocks(second, count - half)


class _Recurrent(Module):
    """What the three layers share: parameters, directions, layers, shapes.

    A subclass says how many gates and states it has and what one time step does.
    """

    gates: int
    states: int = 1
    bias_inside: bool = False  # whether the step needs the bias of the state's product by itself

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(
                f"{type(self).__name__}: input_size={input_size}, hidden_size={hidden_size}, "
                f"num_layers={num_layers}; expected positive numbers"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.generator = generator
        self._directions = ("", "_reverse") if bidirectional else ("",)
        for layer in range(num_layers):
            size = hidden_size * len(self._directions) if layer else input_size
            for direction in self._directions:
                _add_parameters(self, f"_l{layer}{direction}", self.gates, size, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        _reset(self, generator)

    @abstractmethod
    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        """The state after one more element; the first tensor of a state is the output.

        Args:
            x: the input's product, (N, G H), biases included.
            state: (N, H) each.
            weight: of the state's product, (G H, H).
            bias: of the state's product, (G H,), if ``bias_inside``.
        """

    def _run(self, input: Tensor, hx: State | None) -> tuple[Tensor, State]:
        """(T, N, I) and its relatives -> outputs, and the last states (K D, N, H)."""
        name = f"{type(self).__name__}({self.input_size}, {self.hidden_size})"
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input {input.shape}, expected 2 or 3 dimensions, the last of size "
                f"{self.input_size}"
            )
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        steps, n = x.shape[:2]
        if not steps:
            raise ValueError(
                f"{name}: input {input.shape} has no time steps, expected at least one"
            )
        state = self._initial(name, hx, n, batched, x)
        x = x.reshape(steps * n, self.input_size)
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = drop(x, self.dropout, self.training, generator=self.generator)
            outputs = []
            for direction in self._directions:
                start = tuple(s[len(last)] for s in state)
                output, end = self._scan(x, steps, start, f"_l{layer}{direction}")
                outputs.append(output)
                last.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 1)  # (T N, D H)
        output = x.reshape(steps, n, x.shape[1])
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        ends = tuple(stack(list(s)) for s in zip(*last, strict=True))
        if not batched:
            output, ends = output.squeeze(1), tuple(s.squeeze(1) for s in ends)
        return output, ends

    def _scan(self, x: Tensor, steps: int, state: State, suffix: str) -> tuple[Tensor, State]:
        """One layer in one direction: (T N, I) -> (T N, H) and the last state."""
        w_ih, w_hh, b_ih, b_hh = _parameters(self, suffix)
        if b_ih is not None and b_hh is not None and not self.bias_inside:
            b_ih, b_hh = b_ih + b_hh, None
        blocks = _blocks(linear(x, w_ih, b_ih), steps)
        backwards = suffix.endswith("_reverse")
        outputs = []
        for block in reversed(blocks) if backwards else blocks:
            state = self._step(block, state, w_hh, b_hh)
            outputs.append(state[0])
        return cat(outputs[::-1] if backwards else outputs), state

    def _initial(
        self, name: str, hx: State | None, n: int, batched: bool, like: Tensor
    ) -> list[Tensor]:
        """The given first states as (K D, N, H), or zeros."""
        total = self.num_layers * len(self._directions)
        shape = (total, n, self.hidden_size)
        if hx is None:
            return [zeros(shape, dtype=like.dtype)] * self.states
        expected = shape if batched else (total, self.hidden_size)
        for given in hx:
            if given.shape != expected:
                raise ValueError(f"{name}: initial state {given.shape}, expected {expected}")
        return [given.reshape(shape) for given in hx]

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for key, default in (
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, key) != default:
                parts.append(f"{key}={getattr(self, key)}")
        return ", ".join(parts)


def _add_parameters(module: Any, suffix: str, gates: int, size: int, dtype: Any) -> None:
    rows = gates * module.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, size),
        "weight_hh": (rows, module.hidden_size),
    }
    if module.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    for name, shape in shapes.items():
        setattr(module, name + suffix, Parameter(empty(shape, dtype=dtype)))


def _parameters(module: Module, suffix: str) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    return (
        getattr(module, f"weight_ih{suffix}"),
        getattr(module, f"weight_hh{suffix}"),
        getattr(module, f"bias_ih{suffix}", None),
        getattr(module, f"bias_hh{suffix}", None),
    )


def _reset(module: Any, generator: Generator | None) -> None:
    bound = 1 / math.sqrt(module.hidden_size)
    for parameter in module.parameters(recurse=False):
        init.uniform_(parameter, -bound, bound, generator)


class RNN(_Recurrent):
    """Simple recurrent network: ``h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`` (Elman, 1990).

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: K; each layer reads the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether the products have biases.
        batch_first: (N, T, I) instead of (T, N, I); the states keep their order.
        dropout: probability of zeros between layers in training; one layer has no between.
        bidirectional: also read backwards, and put both outputs side by side (D = 2).
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values and dropout's numbers come from.

    Shape:
        input (T, N, I) or (T, I), hx (K D, N, H) or (K D, H), zeros if left out -> output
        (T, N, D H) and the last state, shaped as hx. For layer k: weight_ih_lk (H, I or D H),
        weight_hh_lk (H, H), bias_ih_lk, bias_hh_lk (H,); with _reverse behind for the way back.

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> output, h = nn.RNN(3, 5, num_layers=2)(gu.ones(7, 4, 3))
        >>> output.shape, h.shape
        ((7, 4, 5), (2, 4, 5))
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self._activation = _function(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            generator=generator,
        )

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return (self._activation(x + linear(state[0], weight)),)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i, f, g, o = split(W_ih x + b_ih + W_hh h + b_hh)
        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: K; each layer reads the outputs of the one below.
        bias: whether the products have biases.
        batch_first: (N, T, I) instead of (T, N, I); the states keep their order.
        dropout: probability of zeros between layers in training; one layer has no between.
        bidirectional: also read backwards, and put both outputs side by side (D = 2).
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values and dropout's numbers come from.

    Shape:
        input (T, N, I) or (T, I), hx = (h, c), each (K D, N, H) or (K D, H), zeros if left out ->
        output (T, N, D H) and the last (h, c). For layer k: weight_ih_lk (4H, I or D H),
        weight_hh_lk (4H, H), bias_ih_lk, bias_hh_lk (4H,); gates in the order i, f, g, o.

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> output, (h, c) = nn.LSTM(3, 5, bidirectional=True)(gu.ones(7, 4, 3))
        >>> output.shape, h.shape, c.shape
        ((7, 4, 10), (2, 4, 5), (2, 4, 5))
    """

    gates = 4
    states = 2

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return _lstm(x + linear(state[0], weight), state[1])

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, (h, c) = self._run(input, hx)
        return output, (h, c)


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al., 2014), with the reset gate after the product, as in cuDNN.

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = (1 - z) n + z h

    Args:
        input_size: I.
        hidden_size: H.
        num_layers: K; each layer reads the outputs of the one below.
        bias: whether the products have biases.
        batch_first: (N, T, I) instead of (T, N, I); the states keep their order.
        dropout: probability of zeros between layers in training; one layer has no between.
        bidirectional: also read backwards, and put both outputs side by side (D = 2).
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values and dropout's numbers come from.

    Shape:
        input (T, N, I) or (T, I), hx (K D, N, H) or (K D, H), zeros if left out -> output
        (T, N, D H) and the last state, shaped as hx. For layer k: weight_ih_lk (3H, I or D H),
        weight_hh_lk (3H, H), bias_ih_lk, bias_hh_lk (3H,); gates in the order r, z, n.

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> output, h = nn.GRU(3, 5, batch_first=True)(gu.ones(4, 7, 3))
        >>> output.shape, gu.allclose(output[:, -1], h[0])
        ((4, 7, 5), True)
    """

    gates = 3
    bias_inside = True

    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        return _gru(x, linear(state[0], weight, bias), state[0])

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h


class _Cell(Module):
    """One time step: parameters and the check of shapes."""

    gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        _add_parameters(self, "", self.gates, input_size, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        _reset(self, generator)

    def _products(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The input's and the state's product, (N, G H) each, and the state (N, H)."""
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}): input {input.shape}, expected "
                f"(N, {self.input_size}) or ({self.input_size},)"
            )
        h = self._given(input, hx)
        w_ih, w_hh, b_ih, b_hh = _parameters(self, "")
        return linear(input.reshape(-1, self.input_size), w_ih, b_ih), linear(h, w_hh, b_hh), h

    def _given(self, input: Tensor, hx: Tensor | None) -> Tensor:
        """A given state as (N, H), or zeros."""
        expected = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            hx = zeros(expected, dtype=input.dtype)
        elif hx.shape != expected:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}): state {hx.shape}, expected {expected}"
            )
        return hx.reshape(-1, self.hidden_size)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One time step of ``RNN``.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the products have biases.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        input (N, I) or (I,), hx (N, H) or (H,), zeros if left out -> the new state, shaped as hx.
        weight_ih (H, I), weight_hh (H, H), bias_ih and bias_hh (H,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.RNNCell(3, 5)(gu.ones(4, 3)).shape
        (4, 5)
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self._activation = _function(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype=dtype, generator=generator)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, hidden, _ = self._products(input, hx)
        h: Tensor = self._activation(x + hidden)
        return h.reshape(*input.shape[:-1], self.hidden_size)


class LSTMCell(_Cell):
    """One time step of ``LSTM``.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the products have biases.
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        input (N, I) or (I,), hx = (h, c), each (N, H) or (H,), zeros if left out -> the new (h, c).
        weight_ih (4H, I), weight_hh (4H, H), bias_ih and bias_hh (4H,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> h, c = nn.LSTMCell(3, 5)(gu.ones(4, 3))
        >>> h.shape, c.shape
        ((4, 5), (4, 5))
    """

    gates = 4

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        h, c = (None, None) if hx is None else hx
        x, hidden, _ = self._products(input, h)
        new = _lstm(x + hidden, self._given(input, c))
        shape = (*input.shape[:-1], self.hidden_size)
        return new[0].reshape(shape), new[1].reshape(shape)


class GRUCell(_Cell):
    """One time step of ``GRU``.

    Args:
        input_size: I.
        hidden_size: H.
        bias: whether the products have biases.
        dtype: of the parameters; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        input (N, I) or (I,), hx (N, H) or (H,), zeros if left out -> the new state, shaped as hx.
        weight_ih (3H, I), weight_hh (3H, H), bias_ih and bias_hh (3H,).

    Raises:
        ValueError: sizes that do not fit.

    Example:
        >>> nn.GRUCell(3, 5)(gu.ones(3)).shape
        (5,)
    """

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        (h,) = _gru(*self._products(input, hx))
        return h.reshape(*input.shape[:-1], self.hidden_size)
