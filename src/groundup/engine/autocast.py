"""Mixed precision: matrix products in 16 bits, everything else as precise as its inputs.

Micikevicius et al., "Mixed Precision Training" (2018). Parameters stay in float32 (the "master
weights" of the paper); a matrix product takes 16-bit copies of them and of its inputs, so what is
saved for the backward pass takes half the memory. The copies are recorded like any operation, so
gradients come back in float32.

    float16     11 bits of precision, 6e-8 to 65504     small gradients vanish: ``GradScaler``
    bfloat16     8 bits of precision, 9e-41 to 3e38     no scaling (Kalamkar et al., 2019)

Which operation computes in what is PyTorch's list for the CPU:

    16 bits     matmul, linear, einsum, convolution and its transpose, attention through them
    float32     losses, prod
    as given    all others; operands of two dtypes meet in the wider one

The 16-bit types are only ever how numbers are stored between operations. Within one, products, sums
and means, softmax, normalisation, exponentials and powers are computed in float32 and rounded once.
float64 and integers are left alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from .base import Cast, TensorBase, mode, tick
from .dtypes import HALVES, DType, as_dtype, bfloat16, float16, float32
from .primitives.elementwise import cast

P = ParamSpec("P")
R = TypeVar("R")


class autocast:
    """Compute matrix products in float16 or bfloat16, as a context or as a decorator.

    For the forward pass and the loss; call ``backward`` outside, where it makes no difference to
    the result. A parameter is converted once and its copy used again until the context ends or the
    parameter is changed.

    Saves memory, not time: NumPy and the linear-algebra libraries under it have no products of
    16-bit types, so each is computed in float32 and the conversions come on top. Expect it to be
    slower than float32.

    Args:
        device_type: "cpu", accepted so that scripts written for several devices run.
        dtype: float16 or bfloat16.
        enabled: false computes as without the context, also inside another one.

    Raises:
        ValueError: another device or another dtype.

    Example:
        >>> layer, x = nn.Linear(3, 2), gu.ones(4, 3)
        >>> with gu.autocast():
        ...     y = layer(x)
        ...     loss = F.mse_loss(y, gu.zeros(4, 2))
        >>> loss.backward()
        >>> [t.dtype.name for t in (y, loss, layer.weight, layer.weight.grad)]
        ['float16', 'float32', 'float32', 'float32']
    """

    def __init__(
        self, device_type: str = "cpu", dtype: Any = float16, enabled: bool = True
    ) -> None:
        if device_type != "cpu":
            raise ValueError(f"autocast: device {device_type!r}: groundup computes on the 'cpu'")
        self.dtype = as_dtype(dtype)
        if self.dtype.char not in HALVES:
            raise ValueError(
                f"autocast: dtype {self.dtype.name}; expected one of 16 bits, float16 or bfloat16"
            )
        self.enabled = enabled
        self.before: list[tuple[DType | None, dict[int, Cast] | None]] = []

    def __enter__(self) -> None:
        self.before.append((mode.autocast, mode.casts))
        mode.autocast = self.dtype if self.enabled else None
        if mode.casts is None or mode.autocast != self.before[-1][0]:
            mode.casts = {}

    def __exit__(self, *_: object) -> None:
        mode.autocast, mode.casts = self.before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, run inside this context."""

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)(dtype=self.dtype, enabled=self.enabled):
                return function(*args, **kwargs)

        return inside


@contextmanager
def restored(dtype: DType | None) -> Iterator[None]:
    """As ``autocast`` was when a function ran that runs again; copies are not shared with it.

    Args:
        dtype: what ``mode.autocast`` was.
    """
    before = mode.autocast, mode.casts
    mode.autocast, mode.casts = dtype, {}
    try:
        yield
    finally:
        mode.autocast, mode.casts = before


_LOWERED = (float16, bfloat16, float32)


def lowered(tensors: tuple[Any, ...], dtype: DType) -> tuple[Any, ...]:
    """Tensors in the dtype of products, unless one is not floating or of float64.

    Example:
        >>> [x.dtype.name for x in lowered((gu.ones(2), gu.ones(2).half()), gu.float16)]
        ['float16', 'float16']
    """
    if any(x.array.dtype not in _LOWERED for x in tensors):
        return tensors
    return tuple([x if x.array.dtype == dtype else _copy(x, dtype) for x in tensors])


def _copy(x: Any, dtype: DType) -> Any:
    """The tensor in that dtype; for a parameter the copy made before, unless it is out of date.

    Operations that are being observed are not saved: a trace must hold every one of them.
    """
    casts = mode.casts
    a_parameter = x.node is None and x.requires_grad and mode.grad
    if casts is None or not a_parameter or mode.observers:
        return cast(x, dtype=dtype)
    held = casts.get(id(x))
    if held is not None and (x.version is None or x.version.changed < held[2]):
        return held[1]
    copy = cast(x, dtype=dtype)
    casts[id(x)] = x, copy, tick()  # holding x keeps its identity from being given to another
    return copy


def in_float32(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose 16-bit arguments become float32 under ``autocast``.

    Example:
        >>> @in_float32
        ... def total(x):
        ...     return x.sum()
        >>> with gu.autocast():
        ...     total(gu.full((2,), 6e4).half())
        tensor(120000., shape=(), dtype=float32)
    """

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        if mode.autocast is None:
            return function(*args, **kwargs)
        given: Any = [widened(x) for x in args]
        named: Any = {name: widened(x) for name, x in kwargs.items()}
        return function(*given, **named)

    return inside


def widened(x: Any) -> Any:
    """A float16 or bfloat16 tensor as float32; anything else as it is.

    Example:
        >>> widened(gu.ones(2).half()).dtype
        dtype('float32')
    """
    half = isinstance(x, TensorBase) and x.array.dtype.char in HALVES
    return cast(x, dtype=float32) if half else x
