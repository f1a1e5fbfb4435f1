"""Another size: adaptive pooling to fewer positions, interpolation to more or fewer.

Dimensions are resized one after the other. Along each, every output position is a weighted mean of
some input positions, so resizing is a product with a matrix (length, size) of few non-zero weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...engine.ops.creation import tensor
from ...engine.ops.products import product
from ...engine.tensor import Tensor

Weights = list[list[tuple[int, float]]]
"""For each output position the input positions that it reads, with their weights."""

Counts = int | Sequence[int | None] | None

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def _weigh(x: Tensor, d: int, weights: Weights) -> Tensor:
    matrix = [[0.0] * len(weights) for _ in range(x.shape[d])]
    for i, reads in enumerate(weights):
        for j, weight in reads:
            matrix[j][i] += weight
    return product(x.movedim(d, -1), tensor(matrix, dtype=x.dtype)).movedim(-1, d)


def adaptive_avg_pool1d(input: Tensor, output_size: Counts) -> Tensor:
    """Mean over as many windows as asked for. See ``adaptive_avg_pool2d``.

    Shape:
        (N, C, L) or (C, L) -> the same with ``output_size`` for L.

    Example:
        >>> F.adaptive_avg_pool1d(gu.tensor([[1.0, 3.0, 5.0, 7.0]]), 2).tolist()
        [[2.0, 6.0]]
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Counts) -> Tensor:
    """Mean over as many windows as asked for, whatever the size of the image.

    Window ``i`` of ``m`` over ``n`` pixels runs from ``i n / m`` rounded down to ``(i + 1) n / m``
    rounded up.

    Args:
        output_size: one number or one for each dimension; None keeps a dimension.

    Shape:
        (N, C, H, W) or (C, H, W) -> the same with ``output_size`` for H and W.

    Raises:
        ValueError: another number of dimensions or of sizes.

    Example:
        >>> F.adaptive_avg_pool2d(gu.ones(1, 3, 7, 5), 1).shape
        (1, 3, 1, 1)
    """
    return _adaptive_avg_pool(2, input, output_size)


def _adaptive_avg_pool(n: int, x: Tensor, output_size: Counts) -> Tensor:
    name = f"adaptive_avg_pool{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise ValueError(f"{name}: input {x.shape}, expected {n + 1} or {n + 2} dimensions")
    sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * n
    if len(sizes) != n:
        raise ValueError(f"{name}: output_size {tuple(sizes)}, expected 1 or {n} numbers")
    if any(size is not None and size < 0 for size in sizes):
        raise ValueError(f"{name}: output_size {tuple(sizes)}, expected no negative number")
    for d, size in zip(range(x.ndim - n, x.ndim), sizes, strict=True):
        x = _mean_windows(x, d, x.shape[d] if size is None else size)
    return x


def _mean_windows(x: Tensor, d: int, size: int) -> Tensor:
    length = x.shape[d]
    if size and length % size == 0:
        return x if size == length else x.unflatten(d, (size, length // size)).mean(d + 1)
    weights = []
    for i in range(size):
        start, end = i * length // size, -(-(i + 1) * length // size)
        weights.append([(j, 1 / (end - start)) for j in range(start, end)])
    return _weigh(x, d, weights)


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """Enlarged or reduced by reading between the positions of the input.

    Args:
        size: of the output, one number or one for each spatial dimension.
        scale_factor: instead of the size: output over input.
        mode: "nearest" (rounded down) or "nearest-exact" (the nearest centre); "linear", "bilinear"
            or "trilinear" for 1, 2 or 3 dimensions; "bicubic" for 2 (Keys, 1981, with a = -0.75);
            "area" for the mean.
        align_corners: whether the centres of the corner pixels stay where they are, rather than the
            corners of the image; only for "linear" to "bicubic", false if None.
        recompute_scale_factor: take the factor from the sizes, which are whole numbers, instead of
            ``scale_factor``.

    Shape:
        (N, C, *) -> (N, C, *) with other spatial sizes.

    Raises:
        ValueError: neither or both of ``size`` and ``scale_factor``, or a mode that does not fit.

    Example:
        >>> F.interpolate(gu.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """
    lengths = input.shape[2:]
    smooth = {_LINEAR.get(len(lengths)), "bicubic" if len(lengths) == 2 else None} - {None}
    if mode not in {"nearest", "nearest-exact", "area"} | smooth:
        raise ValueError(
            f"interpolate: mode={mode!r} does not fit input {input.shape}; expected 'nearest', "
            f"'nearest-exact', 'area'{''.join(f', {name!r}' for name in sorted(map(str, smooth)))}"
        )
    if align_corners is not None and mode not in smooth:
        raise ValueError(f"interpolate: align_corners has no meaning for mode={mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give either size or scale_factor")
    given = scale_factor if size is None else size
    numbers = given if isinstance(given, Sequence) else (given,) * len(lengths)
    if len(numbers) != len(lengths):
        raise ValueError(f"interpolate: {len(numbers)} numbers for {len(lengths)} dimensions")
    for d, (length, number) in enumerate(zip(lengths, numbers, strict=True), start=2):
        assert number is not None
        wanted = int(number) if scale_factor is None else math.floor(length * number)
        exact = scale_factor is None or recompute_scale_factor
        step = length / wanted if exact else 1 / number
        input = _resized(input, d, wanted, step, mode, bool(align_corners))
    return input


def _resized(x: Tensor, d: int, size: int, step: float, mode: str, align_corners: bool) -> Tensor:
    length = x.shape[d]
    if mode == "area":
        return _mean_windows(x, d, size)
    if mode.startswith("nearest"):
        if size % length == 0:
            return x.repeat_interleave(size // length, d)
        centre = 0.5 if mode == "nearest-exact" else 0.0
        positions = [min(int((i + centre) * step), length - 1) for i in range(size)]
        return x.index_select(d, tensor(positions, dtype="int64"))
    if align_corners:
        sources = [i * (length - 1) / max(size - 1, 1) for i in range(size)]
    else:
        sources = [(i + 0.5) * step - 0.5 for i in range(size)]
    return _weigh(x, d, [(_cubic if mode == "bicubic" else _linear)(s, length) for s in sources])


def _linear(source: float, length: int) -> list[tuple[int, float]]:
    source = min(max(source, 0.0), length - 1)
    i = int(source)
    return [(i, 1 - (source - i)), (min(i + 1, length - 1), source - i)]


def _cubic(source: float, length: int) -> list[tuple[int, float]]:
    first = math.floor(source) - 1
    return [
        (min(max(j, 0), length - 1), _cubic_weight(abs(source - j)))
        for j in range(first, first + 4)
    ]


def _cubic_weight(x: float, a: float = -0.75) -> float:
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
