"""One time step of a recurrent network: the cells, and what the layers of ``rnn`` share with them.

    RNN    h' = tanh(W_ih x + W_hh h)                             Elman, 1990
    LSTM   a second state that is added to, not multiplied        Hochreiter and Schmidhuber, 1997
    GRU    one state, and gates to choose between old and new     Cho et al., 2014

Parameters have PyTorch's names and the gates its order. All parameters begin uniform in
+- 1 / sqrt(hidden_size).

Shapes: N sequences, I features in, H in the state, G gates.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine.ops.creation import empty, zeros
from ..engine.ops.functions import relu, sigmoid, tanh
from ..engine.ops.products import linear
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .module import Module, Parameter

State = tuple[Tensor, ...]
_FUNCTIONS = {"tanh": tanh, "relu": relu}


def activation(name: str) -> Any:
    """The function of that name, of those that a simple recurrent network may use."""
    if name not in _FUNCTIONS:
        raise ValueError(f"nonlinearity {name!r}: expected 'tanh' or 'relu'")
    return _FUNCTIONS[name]


def lstm_step(gates: Tensor, c: Tensor) -> State:
    """Sums of both products (N, 4H) and the inner state (N, H) -> the new h and c."""
    i, f, g, o = gates.chunk(4, 1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(x: Tensor, hidden: Tensor, h: Tensor) -> State:
    """The products of input and state, both (N, 3H), and the state (N, H) -> the new state."""
    both = 2 * h.shape[1]
    r, z = sigmoid(x[:, :both] + hidden[:, :both]).chunk(2, 1)
    new = tanh(x[:, both:] + r * hidden[:, both:])
    return (new + z * (h - new),)


def add_parameters(module: Any, suffix: str, gates: int, size: int, dtype: Any) -> None:
    """Give a module the weights and biases of both products, their values not yet drawn."""
    rows = gates * module.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, size),
        "weight_hh": (rows, module.hidden_size),
    }
    if module.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    for name, shape in shapes.items():
        setattr(module, name + suffix, Parameter(empty(shape, dtype=dtype)))


def parameters_of(
    module: Module, suffix: str
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """weight_ih, weight_hh, bias_ih and bias_hh of one layer and direction."""
    return (
        getattr(module, f"weight_ih{suffix}"),
        getattr(module, f"weight_hh{suffix}"),
        getattr(module, f"bias_ih{suffix}", None),
        getattr(module, f"bias_hh{suffix}", None),
    )


def reset(module: Any, generator: Generator | None) -> None:
    """Draw new initial values."""
    bound = 1 / math.sqrt(module.hidden_size)
    for parameter in module.parameters(recurse=False):
        init.uniform_(parameter, -bound, bound, generator)


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
        add_parameters(self, "", self.gates, input_size, dtype)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        reset(self, generator)

    def _products(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The input's and the state's product, (N, G H) each, and the state (N, H)."""
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}): input {input.shape}, expected "
                f"(N, {self.input_size}) or ({self.input_size},)"
            )
        h = self._given(input, hx)
        w_ih, w_hh, b_ih, b_hh = parameters_of(self, "")
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
        self._activation = activation(nonlinearity)
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
        new = lstm_step(x + hidden, self._given(input, c))
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
        (h,) = gru_step(*self._products(input, hx))
        return h.reshape(*input.shape[:-1], self.hidden_size)
