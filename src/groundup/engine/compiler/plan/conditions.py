"""Conditions on values, such as positions that have to lie inside, as kernels.

Each condition is a kernel that looks at all values and raises a flag if one is wrong. The tape
stops at a flag, so nothing is computed of wrong values; who has run the tape then looks for the
value and says what is wrong with it. What is read at positions is inside of memory whatever they
are: a pick moves them inside, a scatter passes over them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import int64
from ..graph import Check
from ..kernel import Apply, Constant, Instruction, Kernel, Load, Reduce, Store
from ..layout import Layout

_TYPES = frozenset(map(np.dtype, ("f4", "f8", "i4", "i8", "u1")))


def condition(check: Check, layout: Layout) -> Kernel | None:
    """The kernel of a condition, of (the memory of its values, the flag: one int64).

    Args:
        check: the condition.
        layout: where its values lie.

    Returns:
        the kernel; None where there is none for the dtype.

    Example:
        >>> from groundup.engine.compiler.graph import Check, Value
        >>> from groundup.engine.compiler.layout import Layout
        >>> x = Value("input", (), {}, (5,), gu.int32)
        >>> condition(Check(x, 0, 9, None, ""), Layout(x, 0, (1,))).sizes
        (5,)
    """
    dtype = check.value.dtype
    if dtype not in _TYPES or not check.value.size:
        return None
    pairs = zip(check.value.shape, layout.strides, strict=True)
    loops = [(size, step) for size, step in pairs if size > 1] or [(1, 1)]
    while len(loops) > 1 and loops[-2][1] == loops[-1][0] * loops[-1][1]:
        (outer, _), (inner, step) = loops[-2:]
        loops[-2:] = [(outer * inner, step)]
    sizes, strides = zip(*loops, strict=True)
    once = (0,) * len(sizes)
    body: list[Instruction] = []

    def put(instruction: Instruction) -> int:
        body.append(instruction)
        return len(body) - 1

    def compared(name: str, bound: Any) -> int:
        return put(Apply(name, (x, put(Constant(bound, common))), np.dtype(np.bool_)))

    def either(name: str, a: int, b: int) -> int:
        return put(Apply(name, (a, b), np.dtype(np.bool_)))

    x = put(Load(0, layout.offset, strides))
    common = dtype if dtype.kind == "f" else int64
    if dtype != common:
        x = put(Apply("cast", (x,), common))
    right = either("logical_and", compared("ge", check.low), compared("le", check.high))
    if check.ignored is not None:
        right = either("logical_or", right, compared("eq", check.ignored))
    wrong = put(Apply("logical_not", (right,), np.dtype(np.bool_)))
    found = put(Reduce("max", put(Apply("cast", (wrong,), int64))))
    flag = put(Apply("maximum", (put(Load(1, 0, once)), found), int64))
    put(Store(1, 0, once, flag))
    return Kernel(sizes, len(sizes), (dtype, int64), tuple(body))
