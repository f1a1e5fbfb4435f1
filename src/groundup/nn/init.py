"""Initialisation: random values whose scale keeps signals and gradients from growing or fading.

For a weight of shape (out, in, *kernel), ``fan_in`` is the number of inputs that one output sums
over (in times the kernel's size) and ``fan_out`` the number of outputs that one input reaches. A
signal keeps its variance going forward if Var(w) = gain^2 / fan_in, and a gradient going back if it
is gain^2 / fan_out (Glorot and Bengio, 2010, equations 8 and 9; He et al., 2015, equations 10 and
14).

Every function changes its tensor in place and returns it. ``generator`` is where random numbers
come from; by default the one that ``gu.manual_seed`` seeds.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec

from ..engine.autograd import no_grad
from ..engine.dtypes import float64
from ..engine.ops.arithmetic import logical_and, where
from ..engine.ops.creation import randn, randn_like, zeros
from ..engine.random import Generator
from ..engine.tensor import Tensor

_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
_GAINS |= {f"conv{t}{n}d": 1.0 for t in ("", "_transpose") for n in (1, 2, 3)}

P = ParamSpec("P")


class _Wish(threading.local):
    skip: bool = False


_wish = _Wish()


@contextmanager
def skip() -> Iterator[None]:
    """Inside, the functions of this module leave every tensor as it is, in the calling thread.

    For a model whose weights are all loaded right after it is made: its random numbers would be
    drawn for nothing. What is not loaded then holds whatever was in memory.

    Example:
        >>> with nn.init.skip():
        ...     layer = nn.Linear(2, 3)
        >>> layer.load_state_dict(nn.Linear(2, 3).state_dict())
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    before, _wish.skip = _wish.skip, True
    try:
        yield
    finally:
        _wish.skip = before


def _initial(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """What sets a tensor without recording it, unless that is to be skipped."""

    @functools.wraps(function)
    def initial(tensor: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if _wish.skip:
            return tensor
        with no_grad():
            return function(tensor, *args, **kwargs)

    return initial


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a layer must amplify to make up for the function that follows it.

    Args:
        nonlinearity: "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu" or a convolution.
        param: the negative slope of "leaky_relu"; 0.01 if None.

    Raises:
        ValueError: an unknown function.

    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: {nonlinearity!r}; expected one of {known}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight.

    Raises:
        ValueError: fewer than two dimensions.

    Example:
        >>> fans(gu.zeros(8, 3, 5, 5))
        (75, 200)
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"shape {tensor.shape}: fan_in and fan_out need at least 2 dimensions; "
            "initialise vectors with zeros_, uniform_ or normal_"
        )
    size = math.prod(tensor.shape[2:])
    return tensor.shape[1] * size, tensor.shape[0] * size


@_initial
def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in [a, b).

    Example:
        >>> nn.init.uniform_(gu.empty(2, 3), -1, 1).shape
        (2, 3)
    """
    return tensor.uniform_(a, b, generator=generator)


@_initial
def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal.

    Example:
        >>> nn.init.normal_(gu.empty(2, 3), std=0.02).shape
        (2, 3)
    """
    return tensor.normal_(mean, std, generator=generator)


@_initial
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, with values outside [a, b] drawn again.

    Raises:
        ValueError: less than a thousandth of the distribution lies in [a, b].

    Example:
        >>> nn.init.trunc_normal_(gu.empty(1000)).abs().max() <= 2
        tensor(True, shape=(), dtype=bool)
    """
    inside = _below((b - mean) / std) - _below((a - mean) / std)
    if inside < 1e-3:
        raise ValueError(
            f"trunc_normal_: only {inside:.2g} of a normal distribution with mean {mean} and "
            f"std {std} lies in [{a}, {b}]; move or widen the interval"
        )
    x = randn_like(tensor, generator=generator) * std + mean
    while not (good := logical_and(x >= a, x <= b)).all():
        x = where(good, x, randn_like(tensor, generator=generator) * std + mean)
    return tensor.assign(x)


def _below(x: float) -> float:
    """The share of a standard normal distribution below ``x``."""
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@_initial
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere.

    Example:
        >>> nn.init.constant_(gu.empty(2), 3).tolist()
        [3.0, 3.0]
    """
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros.

    Example:
        >>> nn.init.zeros_(gu.empty(2)).tolist()
        [0.0, 0.0]
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    Example:
        >>> nn.init.ones_(gu.empty(2)).tolist()
        [1.0, 1.0]
    """
    return constant_(tensor, 1.0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform in +- gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010, equation 16).

    Raises:
        ValueError: fewer than two dimensions.

    Example:
        >>> nn.init.xavier_uniform_(gu.empty(3, 3)).abs().max() <= 1
        tensor(True, shape=(), dtype=bool)
    """
    bound = gain * math.sqrt(6 / max(sum(fans(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio, 2010, equation 12).

    Raises:
        ValueError: fewer than two dimensions.

    Example:
        >>> nn.init.xavier_normal_(gu.empty(2, 3)).shape
        (2, 3)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(fans(tensor)), 1)), generator)


def _he_deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode {mode!r}; expected 'fan_in' or 'fan_out'")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain^2 / fan (He et al., 2015, equation 10).

    Args:
        a: the negative slope of the "leaky_relu" that follows; 0 is "relu".
        mode: "fan_in" keeps the variance of signals, "fan_out" that of gradients.
        nonlinearity: what follows; see ``calculate_gain``.

    Raises:
        ValueError: fewer than two dimensions, or an unknown mode or nonlinearity.

    Example:
        >>> nn.init.kaiming_uniform_(gu.empty(2, 6)).abs().max() <= 1
        tensor(True, shape=(), dtype=bool)
    """
    bound = math.sqrt(3) * _he_deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain^2 / fan (He et al., 2015). Arguments as for ``kaiming_uniform_``.

    Raises:
        ValueError: fewer than two dimensions, or an unknown mode or nonlinearity.

    Example:
        >>> nn.init.kaiming_normal_(gu.empty(2, 3), nonlinearity="relu").shape
        (2, 3)
    """
    return normal_(tensor, 0.0, _he_deviation(tensor, a, mode, nonlinearity), generator)


@_initial
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A random orthogonal matrix (rows or columns, whichever are fewer, are orthonormal).

    Keeps the length of every vector that it multiplies (Saxe et al., 2014). Normal random vectors
    are made orthogonal one after the other (Gram and Schmidt), in float64 and twice, because one
    pass leaves rounding errors (Giraud et al., 2005). Dimensions after the first count as columns.

    Raises:
        ValueError: fewer than two dimensions.

    Example:
        >>> q = nn.init.orthogonal_(gu.empty(3, 3))
        >>> gu.allclose(q @ q.T, gu.eye(3), atol=1e-6)
        True
    """
    fans(tensor)  # refuses vectors
    rows = tensor.shape[0]
    columns = tensor.numel() // max(rows, 1)
    basis = zeros(min(rows, columns), max(rows, columns), dtype=float64)
    for i in range(basis.shape[0]):
        vector = randn(basis.shape[1], generator=generator, dtype=float64)
        for _ in range(2):
            vector = vector - (basis[:i] @ vector) @ basis[:i]
        basis[i].assign(vector / vector.norm())
    return tensor.assign((basis if rows <= columns else basis.T).reshape(tensor.shape) * gain)
