"""Primitives that work on each element alone, with NumPy's broadcasting.

A rule may return its gradient in the broadcast shape; the backward walk sums it down. Where a
function has no derivative the choice is stated: ``abs`` and ``sign`` have 0 at 0, ``relu`` has 0 at
0, ``maximum`` and ``minimum`` share the gradient equally between equal inputs, ``clamp`` passes it
on the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from ..base import Array, constant
from ..primitive import Primitive
from .half import in_float32

if TYPE_CHECKING:
    from ..tensor import Tensor


def scalar(value: float, like: Tensor) -> Tensor:
    """A zero-dimensional constant of another tensor's dtype."""
    return constant(value, like.array.dtype)


cast: Primitive = Primitive(
    "cast",
    lambda x, dtype: x.astype(dtype),
    lambda g, _y, _x, dtype: cast(g, dtype=_x.dtype),
)
"""Convert to another dtype."""

# Arithmetic

neg: Primitive = Primitive("neg", np.negative, lambda g, _y, _x: -g)
add: Primitive = Primitive("add", np.add, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g)
sub: Primitive = Primitive("sub", np.subtract, lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g)
mul: Primitive = Primitive(
    "mul", np.multiply, lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a
)
div: Primitive = Primitive(
    "div", np.true_divide, lambda g, _y, _a, b: g / b, lambda g, y, _a, b: -g * y / b
)
floor_divide: Primitive = Primitive("floor_divide", np.floor_divide)
remainder: Primitive = Primitive(
    "remainder",
    np.remainder,
    lambda g, _y, _a, _b: g,
    lambda g, _y, a, b: -g * floor_divide(a, b),
)


def _pow_exponent_rule(g: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    # 0 ** b is 0 for every b > 0, so its slope in b is 0 there; log(0) must not turn that into NaN.
    flat = logical_and(eq(a, scalar(0, a)), ge(b, scalar(0, b)))
    return g * where(flat, scalar(0, y), y * log(where(flat, scalar(1, a), a)))


pow: Primitive = Primitive(
    "pow",
    np.power,
    lambda g, _y, a, b: g * where(eq(b, scalar(0, b)), scalar(0, a), b * pow(a, b - 1)),
    _pow_exponent_rule,
)
maximum: Primitive = Primitive(
    "maximum",
    np.maximum,
    lambda g, _y, a, b: g * _share(gt(a, b), eq(a, b), a),
    lambda g, _y, a, b: g * _share(gt(b, a), eq(a, b), a),
)
minimum: Primitive = Primitive(
    "minimum",
    np.minimum,
    lambda g, _y, a, b: g * _share(lt(a, b), eq(a, b), a),
    lambda g, _y, a, b: g * _share(lt(b, a), eq(a, b), a),
)


def _share(wins: Tensor, ties: Tensor, like: Tensor) -> Tensor:
    dtype = like.array.dtype
    shared: Tensor = cast(wins, dtype=dtype) + cast(ties, dtype=dtype) * 0.5
    return shared


lerp: Primitive = Primitive(
    "lerp",
    in_float32(lambda a, b, w: a + (b - a) * w),
    lambda g, _y, _a, _b, w: g - g * w,
    lambda g, _y, _a, _b, w: g * w,
    lambda g, _y, a, b, _w: g * (b - a),
    work=lambda _inputs, out, **_: 2 * out.array.size,
)
"""From a towards b by the share w; a running mean in one step."""

addcdiv: Primitive = Primitive(
    "addcdiv",
    in_float32(lambda a, b, c, w: a + w * (b / c)),
    lambda g, _y, _a, _b, _c, _w: g,
    lambda g, _y, _a, _b, c, w: g * w / c,
    lambda g, _y, _a, b, c, w: -g * w * b / (c * c),
    lambda g, _y, _a, b, c, _w: g * b / c,
    work=lambda _inputs, out, **_: 2 * out.array.size,
)
"""a + w * b / c; the last line of Adam in one step."""

# Comparison and logic: not differentiable

eq: Primitive = Primitive("eq", np.equal)
ne: Primitive = Primitive("ne", np.not_equal)
lt: Primitive = Primitive("lt", np.less)
le: Primitive = Primitive("le", np.less_equal)
gt: Primitive = Primitive("gt", np.greater)
ge: Primitive = Primitive("ge", np.greater_equal)
logical_and: Primitive = Primitive("logical_and", np.logical_and)
logical_or: Primitive = Primitive("logical_or", np.logical_or)
logical_xor: Primitive = Primitive("logical_xor", np.logical_xor)
logical_not: Primitive = Primitive("logical_not", np.logical_not)
bitwise_and: Primitive = Primitive("bitwise_and", np.bitwise_and)
bitwise_or: Primitive = Primitive("bitwise_or", np.bitwise_or)
bitwise_xor: Primitive = Primitive("bitwise_xor", np.bitwise_xor)
bitwise_not: Primitive = Primitive("bitwise_not", np.bitwise_not)

# Selection

where: Primitive = Primitive(
    "where",
    np.where,
    lambda g, _y, _condition, _a, _b: g,  # never asked for: a condition is boolean
    lambda g, _y, condition, _a, _b: where(condition, g, scalar(0, g)),
    lambda g, _y, condition, _a, _b: where(condition, scalar(0, g), g),
)


def _clamp(x: Array, low: float | None, high: float | None) -> Array:
    if low is not None:
        x = np.maximum(x, np.asarray(low, x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high, x.dtype))


def _clamp_rule(g: Tensor, _y: Any, x: Tensor, low: float | None, high: float | None) -> Tensor:
    if low is not None:
        g = where(ge(x, scalar(low, x)), g, scalar(0, g))
    return g if high is None else where(le(x, scalar(high, x)), g, scalar(0, g))


clamp: Primitive = Primitive("clamp", _clamp, _clamp_rule)

barrier: Primitive = Primitive(
    "barrier",
    lambda x, _after: x.copy(),
    lambda g, _y, _x, _after: g,
    lambda g, _y, _x, _after: g * 0,
)
"""The first input, to be had once there is the second, which has no dimensions.

For compiled functions: what is computed from it is never taken to be the same as what was computed
from the input itself before, so it is computed again and need not be kept.
"""

# Rounding: the derivative is 0 wherever there is one

sign: Primitive = Primitive("sign", np.sign, lambda g, _y, _x: g * 0)
floor: Primitive = Primitive("floor", np.floor, lambda g, _y, _x: g * 0)
ceil: Primitive = Primitive("ceil", np.ceil, lambda g, _y, _x: g * 0)
round: Primitive = Primitive("round", np.round, lambda g, _y, _x: g * 0)
trunc: Primitive = Primitive("trunc", np.trunc, lambda g, _y, _x: g * 0)

# Functions of one variable

abs: Primitive = Primitive("abs", np.abs, lambda g, _y, x: g * sign(x))
exp: Primitive = Primitive("exp", np.exp, lambda g, y, _x: g * y)
expm1: Primitive = Primitive("expm1", np.expm1, lambda g, y, _x: g * (y + 1))
log: Primitive = Primitive("log", np.log, lambda g, _y, x: g / x)
log1p: Primitive = Primitive("log1p", np.log1p, lambda g, _y, x: g / (x + 1))
sqrt: Primitive = Primitive("sqrt", np.sqrt, lambda g, y, _x: g / (y * 2))
rsqrt: Primitive = Primitive(
    "rsqrt",
    in_float32(lambda x: np.reciprocal(np.sqrt(x))),
    lambda g, y, _x: g * (-0.5 * y * y * y),
)
sin: Primitive = Primitive("sin", np.sin, lambda g, _y, x: g * cos(x))
cos: Primitive = Primitive("cos", np.cos, lambda g, _y, x: -g * sin(x))
tanh: Primitive = Primitive("tanh", np.tanh, lambda g, y, _x: g * (1 - y * y))


def _in_its_dtype(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A function of SciPy, which gives 16-bit types back in wider ones, in its input's dtype."""
    return lambda x: function(x).astype(x.dtype, copy=False)


erf: Primitive = Primitive(
    "erf",
    _in_its_dtype(special.erf),
    lambda g, _y, x: 2 / math.sqrt(math.pi) * g * exp(-(x * x)),
)
sigmoid: Primitive = Primitive(
    "sigmoid", _in_its_dtype(special.expit), lambda g, y, _x: g * (y * (1 - y))
)
relu: Primitive = Primitive(
    "relu",
    lambda x: np.maximum(x, np.zeros((), x.dtype)),
    lambda g, y, _x: g * cast(gt(y, scalar(0, y)), dtype=y.array.dtype),
)


@in_float32
def _softplus(x: Array) -> Array:
    # log(1 + exp(x)) without overflow: the exponent is never positive.
    out: Array = np.log1p(np.exp(-np.abs(x)))
    out += np.maximum(x, np.zeros((), x.dtype))
    return out


softplus: Primitive = Primitive("softplus", _softplus, lambda g, _y, x: g * sigmoid(x))
"""log(1 + exp(x)); with it ``log(sigmoid(x)) = -softplus(-x)``."""
