"""Recurrent layers: a state that is carried from one element of a sequence to the next.

    RNN    h' = tanh(W_ih x + W_hh h)                             Elman, 1990
    LSTM   a second state that is added to, not multiplied        Hochreiter and Schmidhuber, 1997
    GRU    one state, and gates to choose between old and new     Cho et al., 2014

The state's product has to wait for the step before. The input's does not: one matrix product serves
all time steps. Rows of one matrix hold the elements of all sequences, so that a time step is a
block of N rows, and a layer's outputs, laid under each other, are the input of the next. Packed
sequences (``nn.utils.rnn``) lie like that already; their blocks become smaller as sequences end.

Parameters have PyTorch's names and the gates its order. All parameters begin uniform in
+- 1 / sqrt(hidden_size).

Shapes: T time steps, N sequences, I features in, H in the state, D directions, K layers, G gates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ..engine.ops.creation import zeros
from ..engine.ops.products import linear
from ..engine.ops.shaping import cat, stack
from ..engine.random import Generator
from ..engine.tensor import Tensor
from .functional.dropout import dropout as drop
from .module import Module
from .rnn_cell import (
    State,
    activation,
    add_parameters,
    gru_step,
    lstm_step,
    parameters_of,
    reset,
)
from .utils.rnn import PackedSequence


def _blocks(x: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """Blocks of so many rows each, cut in halves again and again.

    The gradient of a slice is as large as what it was cut from. Cutting T blocks from one tensor
    would cost T times its size in the backward pass; halving costs log2(T) times.
    """
    if len(sizes) == 1:
        return [x]
    half = len(sizes) // 2
    rows = sum(sizes[:half])
    first, second = x.narrow(0, 0, rows), x.narrow(0, rows, x.shape[0] - rows)
    return _blocks(first, sizes[:half]) + _blocks(second, sizes[half:])


def _rows(state: State, start: int, stop: int) -> State:
    """Those rows of each tensor."""
    if (start, stop) == (0, state[0].shape[0]):
        return state
    return tuple([s.narrow(0, start, stop - start) for s in state])


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
                add_parameters(self, f"_l{layer}{direction}", self.gates, size, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        reset(self, generator)

    @abstractmethod
    def _step(self, x: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        """The state after one more element; the first tensor of a state is the output.

        Args:
            x: the input's product, (N, G H), biases included.
            state: (N, H) each.
            weight: of the state's product, (G H, H).
            bias: of the state's product, (G H,), if ``bias_inside``.
        """

    def _run(
        self, input: Tensor | PackedSequence, hx: State | None
    ) -> tuple[Tensor | PackedSequence, State]:
        """(T, N, I) and its relatives -> outputs, and the last states (K D, N, H)."""
        name = f"{type(self).__name__}({self.input_size}, {self.hidden_size})"
        if isinstance(input, PackedSequence):
            return self._run_packed(name, input, hx)
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
        output, ends = self._layers(x.reshape(steps * n, self.input_size), (n,) * steps, state)
        output = output.reshape(steps, n, output.shape[1])
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output, ends = output.squeeze(1), tuple(s.squeeze(1) for s in ends)
        return output, ends

    def _run_packed(
        self, name: str, input: PackedSequence, hx: State | None
    ) -> tuple[PackedSequence, State]:
        """The same of packed sequences; states are in the order in which these were given."""
        x, sizes, order, back = input
        if x.ndim != 2 or x.shape != (sum(sizes), self.input_size):
            raise ValueError(
                f"{name}: packed data {x.shape}, expected {(sum(sizes), self.input_size)}"
            )
        state = self._initial(name, hx, sizes[0], True, x)
        if order is not None and hx is not None:
            state = [s.index_select(1, order) for s in state]
        output, ends = self._layers(x, sizes, state)
        if back is not None:
            ends = tuple([s.index_select(1, back) for s in ends])
        return input._replace(data=output), ends

    def _layers(self, x: Tensor, sizes: Sequence[int], state: list[Tensor]) -> tuple[Tensor, State]:
        """Blocks of rows (sum of sizes, I) -> outputs (sum of sizes, D H), and the last states."""
        last: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = drop(x, self.dropout, self.training, generator=self.generator)
            outputs = []
            for direction in self._directions:
                start = tuple(s[len(last)] for s in state)
                output, end = self._scan(x, sizes, start, f"_l{layer}{direction}")
                outputs.append(output)
                last.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 1)
        return x, tuple(stack(list(s)) for s in zip(*last, strict=True))

    def _scan(
        self, x: Tensor, sizes: Sequence[int], first: State, suffix: str
    ) -> tuple[Tensor, State]:
        """One layer in one direction: (sum of sizes, I) -> (sum of sizes, H) and the last state.

        Going forward, the last rows of the state stay behind where sequences end; going backward,
        those of ``first`` join where they begin.
        """
        w_ih, w_hh, b_ih, b_hh = parameters_of(self, suffix)
        if b_ih is not None and b_hh is not None and not self.bias_inside:
            b_ih, b_hh = b_ih + b_hh, None
        steps = list(zip(_blocks(linear(x, w_ih, b_ih), sizes), sizes, strict=True))
        backwards = suffix.endswith("_reverse")
        state = _rows(first, 0, sizes[-1]) if backwards else first
        outputs, ended = [], []
        for block, rows in reversed(steps) if backwards else steps:
            have = state[0].shape[0]
            if rows > have:
                joining = _rows(first, have, rows)
                state = tuple([cat(pair) for pair in zip(state, joining, strict=True)])
            elif rows < have:
                ended.append(_rows(state, rows, have))
                state = _rows(state, 0, rows)
            state = self._step(block, state, w_hh, b_hh)
            outputs.append(state[0])
        if ended:
            state = tuple([cat(s) for s in zip(state, *reversed(ended), strict=True)])
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
        (T, N, D H) and the last state, shaped as hx; of a ``PackedSequence`` one, and the state at
        each sequence's end. For layer k: weight_ih_lk (H, I or D H),
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
        self._activation = activation(nonlinearity)
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

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
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
        output (T, N, D H) and the last (h, c); of a ``PackedSequence`` one, and the states at each
        sequence's end. For layer k: weight_ih_lk (4H, I or D H), weight_hh_lk (4H, H), bias_ih_lk,
        bias_hh_lk (4H,); gates in the order i, f, g, o.

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
        return lstm_step(x + linear(state[0], weight), state[1])

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
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
        (T, N, D H) and the last state, shaped as hx; of a ``PackedSequence`` one, and the state at
        each sequence's end. For layer k: weight_ih_lk (3H, I or D H),
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
        return gru_step(x, linear(state[0], weight, bias), state[0])

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        output, (h,) = self._run(input, None if hx is None else (hx,))
        return output, h
