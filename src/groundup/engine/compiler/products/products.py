"""Matrix products as kernels: BLAS for large ones, vector code for the shape for small ones.

A product is C = alpha A @ B, or that added to C, of matrices (m, k) and (k, n) or a batch of them.
Which of the two computes it is decided by estimates of their cost (see ``small_products``). Both
have the form of every other kernel and take the arguments (A, B, C, parameters).

BLAS is called through one kernel for all shapes, which reads from its parameters what to do. Its
share is a range of rows or columns of C, whichever are more, of one or more matrices of the batch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...dtypes import DType, float32, float64
from ..native import cache, native
from . import blas, small_products
from .emit_product import emit
from .small_products import Shape, Strides

# The parameters of a product, 8 bytes each. BLAS counts columns first, so "first" is the right
# operand of a row-major product and "second" the left one.
_BLAS, _TRANS1, _TRANS2, _M, _N, _K, _LD1, _LD2, _LDC, _ALPHA, _BETA = range(11)
_SPLIT_M, _UNIT, _BLOCKS, _STEP1, _STEP2, _STEPC, _WHICH, _DIMENSIONS, _BATCH = range(11, 20)

_GEMM = """
define void @gemm(ptr %arguments, i64 %begin, i64 %end, i64 %part) {
entry:
  %mspan = alloca i64
  %nspan = alloca i64
  %pc = getelementptr ptr, ptr %arguments, i64 2
  %result = load ptr, ptr %pc
  %pp = getelementptr ptr, ptr %arguments, i64 3
  %p = load ptr, ptr %pp
PARAMETERS
  %pa1 = getelementptr ptr, ptr %arguments, i64 %which
  %first = load ptr, ptr %pa1
  %other = sub i64 1, %which
  %pa2 = getelementptr ptr, ptr %arguments, i64 %other
  %second = load ptr, ptr %pa2
  %along_m = icmp ne i64 %split_m, 0
  %length = select i1 %along_m, i64 %m, i64 %n
  %any = icmp slt i64 %begin, %end
  br i1 %any, label %matrix, label %done

matrix:
  %at = phi i64 [ %begin, %entry ], [ %until, %call ]
  %index = sdiv i64 %at, %blocks
  %start = mul i64 %index, %blocks
  %next = add i64 %start, %blocks
  %until = call i64 @llvm.smin.i64(i64 %next, i64 %end)
  %b0 = sub i64 %at, %start
  %b1 = sub i64 %until, %start
  %row0 = mul i64 %b0, %unit
  %row1u = mul i64 %b1, %unit
  %row1 = call i64 @llvm.smin.i64(i64 %row1u, i64 %length)
  %span = sub i64 %row1, %row0
  %ms = select i1 %along_m, i64 %span, i64 %m
  %ns = select i1 %along_m, i64 %n, i64 %span
  store i64 %ms, ptr %mspan
  store i64 %ns, ptr %nspan
  %o1 = mul i64 %row0, %step1
  %o2 = mul i64 %row0, %step2
  %oc = mul i64 %row0, %stepc
  %batched = icmp sgt i64 %dimensions, 0
  br i1 %batched, label %batch, label %call

batch:
  %d = phi i64 [ 0, %matrix ], [ %d1, %batch ]
  %rest = phi i64 [ %index, %matrix ], [ %quotient, %batch ]
  %x1 = phi i64 [ %o1, %matrix ], [ %y1, %batch ]
  %x2 = phi i64 [ %o2, %matrix ], [ %y2, %batch ]
  %xc = phi i64 [ %oc, %matrix ], [ %yc, %batch ]
  %d4 = mul i64 %d, 4
  %row = getelementptr i64, ptr %strides, i64 %d4
  %size = load i64, ptr %row
  %s1p = getelementptr i64, ptr %row, i64 1
  %s1 = load i64, ptr %s1p
  %s2p = getelementptr i64, ptr %row, i64 2
  %s2 = load i64, ptr %s2p
  %scp = getelementptr i64, ptr %row, i64 3
  %sc = load i64, ptr %scp
  %quotient = sdiv i64 %rest, %size
  %whole = mul i64 %quotient, %size
  %i = sub i64 %rest, %whole
  %i1 = mul i64 %i, %s1
  %i2 = mul i64 %i, %s2
  %ic = mul i64 %i, %sc
  %y1 = add i64 %x1, %i1
  %y2 = add i64 %x2, %i2
  %yc = add i64 %xc, %ic
  %d1 = add i64 %d, 1
  %again = icmp slt i64 %d1, %dimensions
  br i1 %again, label %batch, label %call

call:
  %f1 = phi i64 [ %o1, %matrix ], [ %y1, %batch ]
  %f2 = phi i64 [ %o2, %matrix ], [ %y2, %batch ]
  %fc = phi i64 [ %oc, %matrix ], [ %yc, %batch ]
  %q1 = getelementptr i8, ptr %first, i64 %f1
  %q2 = getelementptr i8, ptr %second, i64 %f2
  %qc = getelementptr i8, ptr %result, i64 %fc
  call void %blas(ptr %trans1, ptr %trans2, ptr %mspan, ptr %nspan, ptr %k, ptr %alpha,
                  ptr %q1, ptr %ld1, ptr %q2, ptr %ld2, ptr %beta, ptr %qc, ptr %ldc)
  %left = icmp slt i64 %until, %end
  br i1 %left, label %matrix, label %done

done:
  ret void
}
declare i64 @llvm.smin.i64(i64, i64)
"""


def _gemm_text() -> str:
    lines = []
    loaded = {
        "m": _M,
        "n": _N,
        "split_m": _SPLIT_M,
        "unit": _UNIT,
        "blocks": _BLOCKS,
        "step1": _STEP1,
        "step2": _STEP2,
        "stepc": _STEPC,
        "which": _WHICH,
        "dimensions": _DIMENSIONS,
    }
    passed = {
        "trans1": _TRANS1,
        "trans2": _TRANS2,
        "k": _K,
        "alpha": _ALPHA,
        "beta": _BETA,
        "ld1": _LD1,
        "ld2": _LD2,
        "ldc": _LDC,
        "strides": _BATCH,
        "blasp": _BLAS,
    }
    for name, place in passed.items():
        lines.append(f"  %{name} = getelementptr i64, ptr %p, i64 {place}")
    for name, place in loaded.items():
        lines.append(f"  %{name}p = getelementptr i64, ptr %p, i64 {place}")
        lines.append(f"  %{name} = load i64, ptr %{name}p")
    lines.append("  %blas = load ptr, ptr %blasp")
    return _GEMM.replace("PARAMETERS", "\n".join(lines))


@functools.cache
def _gemm() -> int:
    address = native.compile(_gemm_text(), "gemm")
    blas.kernels.add(address)
    return address


@dataclass(frozen=True)
class Product:
    """A matrix product that is ready to be put on a tape.

    Attributes:
        name: of the kernel.
        inline: what writes the module that defines the kernel, given its name; None where BLAS
            computes the product.
        parameters: what the kernel for BLAS is told; to be kept alive.
        extent: how much there is to share out.
        grain: how much of it is worth a thread.
    """

    name: str
    inline: Callable[[str], str] | None
    parameters: npt.NDArray[np.int64]
    extent: int
    grain: int

    @property
    def address(self) -> int:
        """Where the kernel is; it is compiled if it has not been."""
        if self.inline is None:
            return _gemm()
        return native.compile_many({self.name: self.text})[self.name]

    def text(self) -> str:
        """The module that defines the kernel, if BLAS does not compute the product."""
        assert self.inline is not None
        return self.inline(self.name)

    def arguments(self, a: int, b: int, c: int) -> list[int]:
        """The kernel's arguments, for operands and a result at these addresses."""
        return [a, b, c, self.parameters.ctypes.data]


_WORTH = 16_000
"""Cycles of work that are worth a thread."""
_BYTES = 8
"""A cycle, from the cache that cores share."""


def product(
    dtype: DType,
    m: int,
    n: int,
    k: int,
    a: Strides,
    b: Strides,
    c: Strides,
    batch: Sequence[tuple[int, int, int, int]] = (),
    alpha: float = 1.0,
    accumulate: bool = False,
    way: str | None = None,
) -> Product:
    """The product of an (m, k) matrix and a (k, n) matrix, or of a batch of them.

    Args:
        dtype: float32 or float64.
        a: (stride from row to row, stride from column to column) of the left operand, in elements.
        b: of the right operand.
        c: of the result; one of them is 1.
        batch: for each dimension of the batch, outermost first, its size and the strides along it
            of the left operand, the right operand and the result; 0 where an operand is the same
            for all.
        alpha: the product is multiplied by this.
        accumulate: whether the product is added to what the result holds.
        way: "blas" or "inline" to have it computed so; whichever is quicker if None.

    Raises:
        ValueError: the dtype is another, or no way can read the operands: for large matrices, one
            stride of each has to be 1 and the other at least the length along it.

    Example:
        >>> from groundup.engine.compiler.products.products import product
        >>> product(gu.float32, 64, 10, 32, a=(32, 1), b=(1, 32), c=(10, 1)).inline is None
        False
        >>> product(gu.float32, 2048, 2048, 2048, (2048, 1), (2048, 1), (2048, 1)).inline is None
        True
    """
    if dtype not in (float32, float64):
        raise ValueError(f"product: dtype {dtype}; expected float32 or float64")
    shape = Shape(dtype, m, n, k, a, b, c, tuple(batch), False, alpha, accumulate)
    return _choose(shape, way)


@functools.lru_cache(maxsize=4096)
def _choose(shape: Shape, way: str | None) -> Product:
    bits = native.host().bits
    reason = _unfit(shape)
    inline = min(
        (
            (plan.cycles, i, turned, plan)
            for i, turned in enumerate(small_products.orientations(shape))
            if (plan := small_products.best_plan(turned, bits)) is not None
        ),
        default=None,
    )
    if inline is not None and (
        way == "inline"
        or (way is None and (reason or inline[0] < small_products.blas_cycles(shape, bits)))
    ):
        cycles, _, turned, plan = inline
        name = "product_" + cache.key(repr(turned), repr(plan))[:16]
        extent = small_products.extent(turned, plan)
        written = functools.partial(emit, turned, plan)
        grain = worthwhile(extent, max(cycles, _moving(shape)) * shape.matrices)
        return Product(name, written, np.zeros(1, np.int64), extent, grain)
    if reason or way == "inline":
        raise ValueError(f"product: {reason or 'no way to compute it inline'}")
    extent, parameters = _blas_parameters(shape)
    cycles = small_products.blas_cycles(shape, bits)
    return Product("gemm", None, parameters, extent, worthwhile(extent, cycles * shape.matrices))


def _moving(shape: Shape) -> float:
    """What reading the operands once takes, in cycles: much where a matrix meets one vector."""
    return shape.k * (shape.m + shape.n) * shape.dtype.itemsize / _BYTES


def worthwhile(extent: int, cycles: float) -> int:
    """How much of an extent that takes so many cycles is worth a thread.

    Example:
        >>> from groundup.engine.compiler.products.products import worthwhile
        >>> worthwhile(64, 64_000)
        16
    """
    return max(1, math.ceil(extent * _WORTH / max(cycles, 1.0)))


def _down(rows: int, columns: int, strides: Strides) -> tuple[bool, int] | None:
    """(whether the columns are contiguous rather than the rows, the other stride), if one is."""
    down, across = strides
    if (across == 1 or columns <= 1) and (down >= columns or rows <= 1):
        return False, max(down if rows > 1 else columns, 1)
    if (down == 1 or rows <= 1) and (across >= rows or columns <= 1):
        return True, max(across if columns > 1 else rows, 1)
    return None


def _unfit(shape: Shape) -> str:
    """Why BLAS cannot read the operands; nothing if it can."""
    m, n, k = shape.m, shape.n, shape.k
    for rows, columns, strides in ((m, k, shape.a), (k, n, shape.b), (m, n, shape.c)):
        if _down(rows, columns, strides) is None:
            return (
                f"strides {strides} of a {rows} x {columns} matrix; expected one of them to be 1 "
                "and the other to be at least the length along it: copy the operand first"
            )
    return ""


def _blas_parameters(shape: Shape) -> tuple[int, npt.NDArray[np.int64]]:
    """(what there is to share out, the parameters of the kernel)."""
    m, n, k, size = shape.m, shape.n, shape.k, shape.dtype.itemsize
    down_a, down_b, down_c = _down(m, k, shape.a), _down(k, n, shape.b), _down(m, n, shape.c)
    assert down_a is not None
    assert down_b is not None
    assert down_c is not None
    # BLAS counts down columns, so a matrix of contiguous rows is a transposed one to it. It is
    # given the transposed product, unless the columns of the result are contiguous.
    if down_c[0]:
        which, rows, columns = 0, m, n
        (trans1, step1), (trans2, step2) = down_a, down_b
        trans1, trans2 = not trans1, not trans2
    else:
        which, rows, columns = 1, n, m
        (trans1, step1), (trans2, step2) = down_b, down_a
    step_c = down_c[1]
    along_rows = rows > columns
    length = rows if along_rows else columns
    unit = 16 if shape.matrices < 16 else max(length, 1)
    blocks = -(-length // unit)
    parameters = np.zeros(_BATCH + 4 * len(shape.batch), np.int64)
    parameters[_BLAS] = blas.routine("sgemm" if size == 4 else "dgemm")
    parameters[_TRANS1] = ord("T" if trans1 else "N")
    parameters[_TRANS2] = ord("T" if trans2 else "N")
    parameters[_M], parameters[_N], parameters[_K] = rows, columns, k
    parameters[_LD1], parameters[_LD2], parameters[_LDC] = step1, step2, step_c
    parameters[_ALPHA : _ALPHA + 1].view(shape.dtype)[0] = shape.alpha
    parameters[_BETA : _BETA + 1].view(shape.dtype)[0] = 1 if shape.accumulate else 0
    parameters[_SPLIT_M], parameters[_UNIT], parameters[_BLOCKS] = along_rows, unit, blocks
    if along_rows:
        parameters[_STEP1], parameters[_STEPC] = size * (step1 if trans1 else 1), size
    else:
        parameters[_STEP2], parameters[_STEPC] = size * (1 if trans2 else step2), size * step_c
    parameters[_WHICH], parameters[_DIMENSIONS] = which, len(shape.batch)
    for place, (total, along_a, along_b, along_c) in enumerate(reversed(shape.batch)):
        along1, along2 = (along_b, along_a) if which else (along_a, along_b)
        row = _BATCH + 4 * place
        parameters[row : row + 4] = total, size * along1, size * along2, size * along_c
    return shape.matrices * blocks if m and n else 0, parameters
