"""Convolution and windows as ONNX operators.

Windows are read by position, unless they are only reduced; see ``fusions``.
"""

from __future__ import annotations

import numpy as np

from .elementwise import Mapping
from .program import Step
from .sizes import Size
from .writer import Writer


def _conv(w: Writer, s: Step, x: list[str]) -> str:
    padding = s.fixed("padding")
    return w.node(
        "Conv",
        *x,
        strides=s.fixed("stride"),
        pads=[*padding, *padding],
        dilations=s.fixed("dilation"),
        group=s.fixed("groups"),
    )


def _conv_input(w: Writer, s: Step, x: list[str]) -> str:
    stride, padding, dilation = (s.fixed(key) for key in ("stride", "padding", "dilation"))
    kernel = s.inputs[1].values[0].shape[2:]
    extra = []
    for static, g in zip(s.static, s.inputs[0].values, strict=True):
        least = [
            st * (p - 1) + d * (k - 1) + 1 - 2 * pad
            for p, k, st, pad, d in zip(g.shape[2:], kernel, stride, padding, dilation, strict=True)
        ]
        extra.append([n - m for n, m in zip(static["size"], least, strict=True)])
    more = s.sizes("the padding of the output", extra)
    if not all(n.fixed for n in more):
        raise s.refusal("the padding of the output varies; it")
    return w.node(
        "ConvTranspose",
        *x,
        strides=stride,
        pads=[*padding, *padding],
        output_padding=[n.constant for n in more],
        dilations=dilation,
        group=s.fixed("groups"),
    )


def _windows(w: Writer, s: Step, x: list[str]) -> str:
    dims, size, step, dilation = (s.fixed(k) for k in ("dims", "size", "step", "dilation"))
    found, ndim = x[0], s.inputs[0].ndim
    # Each dimension becomes (positions, offsets); those that come later move back by one.
    for i, d in sorted(enumerate(dims), key=lambda pair: -pair[1]):
        offsets = np.arange(size[i]) * dilation[i]
        count = s.shape[d]
        if count.fixed:
            at = w.constant(np.arange(count.constant)[:, None] * step[i] + offsets)
        else:
            starts = w.node("Mul", counted(w, count), w.constant(np.array(step[i])))
            at = w.node("Add", w.unsqueeze(starts, [1]), w.constant(offsets))
        found = w.node("Gather", found, at, axis=d)
    places = {d: d + sum(other < d for other in dims) for d in range(ndim)}
    return w.transpose(found, [*(places[d] for d in range(ndim)), *(places[d] + 1 for d in dims)])


def counted(w: Writer, count: Size) -> str:
    """0, 1, 2, ... below a size."""
    zero, one = (w.constant(np.array(n, np.int64)) for n in (0, 1))
    return w.node("Range", zero, w.number(count), one)


MAPPINGS: dict[str, Mapping] = {"conv": _conv, "conv_input": _conv_input, "windows": _windows}
"""Convolution and windows by name."""
