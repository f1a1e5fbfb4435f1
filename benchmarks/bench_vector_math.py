"""Time for each element of the compiled functions of vectors, beside NumPy's and PyTorch's.

One thread each; the arrays stay in the second cache. The implementations take turns of a few
milliseconds, and the median of the turns is printed. GELU, the approximation by tanh, is what a
kernel makes of several primitives; NumPy does one after the other.

    python benchmarks/bench_vector_math.py            # 262,144 float32 values
    python benchmarks/bench_vector_math.py --float64 --size 65536
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from harness import processor
from llvmlite import ir
from scipy import special

from groundup.engine.compiler.emit.vector_math import FUNCTIONS
from groundup.engine.compiler.emit.vector_values import FLOATS, Vector
from groundup.engine.compiler.native import native

SLOPE = math.sqrt(2 / math.pi)


def gelu(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    x = Vector(builder, value)
    inner = (x * x).times_plus(0.044715 * SLOPE, SLOPE) * x
    half = x * 0.5
    return half.times_plus(Vector(builder, FUNCTIONS["tanh"](builder, inner.value)), half).value


def gelu_in_numpy(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(SLOPE * (x + 0.044715 * (x * x * x))))


def softplus_in_numpy(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def power_of_2_1(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return FUNCTIONS["pow"](builder, value, Vector(builder, value).constant(2.1).value)


# name: ours, NumPy's, the name in PyTorch, the interval of the arguments
WORK = {
    "exp": (FUNCTIONS["exp"], np.exp, "exp", (-5, 5)),
    "expm1": (FUNCTIONS["expm1"], np.expm1, "expm1", (-5, 5)),
    "log": (FUNCTIONS["log"], np.log, "log", (0.01, 100)),
    "log1p": (FUNCTIONS["log1p"], np.log1p, "log1p", (-0.9, 10)),
    "tanh": (FUNCTIONS["tanh"], np.tanh, "tanh", (-4, 4)),
    "sigmoid": (FUNCTIONS["sigmoid"], special.expit, "sigmoid", (-5, 5)),
    "softplus": (FUNCTIONS["softplus"], softplus_in_numpy, "nn.functional.softplus", (-5, 5)),
    "erf": (FUNCTIONS["erf"], special.erf, "erf", (-3, 3)),
    "sin": (FUNCTIONS["sin"], np.sin, "sin", (-100, 100)),
    "cos": (FUNCTIONS["cos"], np.cos, "cos", (-100, 100)),
    "sqrt": (FUNCTIONS["sqrt"], np.sqrt, "sqrt", (0, 100)),
    "rsqrt": (FUNCTIONS["rsqrt"], lambda x: 1 / np.sqrt(x), "rsqrt", (0.01, 100)),
    "x ** 2.1": (power_of_2_1, lambda x: x ** x.dtype.type(2.1), "pow", (0.01, 100)),
    "gelu (tanh)": (gelu, gelu_in_numpy, "nn.functional.gelu", (-4, 4)),
}


def compiled(emit: Callable[..., ir.Value], x: np.ndarray) -> Callable[[], None]:
    """A call that applies the function to all of x."""
    bits = 8 * x.itemsize
    lanes, element, count = native.host().bits // bits, FLOATS[bits], ir.IntType(64)
    kind, module = ir.VectorType(element, lanes), ir.Module()
    signature = ir.FunctionType(ir.VoidType(), [ir.PointerType()] * 2 + [count])
    function = ir.Function(module, signature, "apply")
    begin, loop, end = (function.append_basic_block(name) for name in ("begin", "loop", "end"))
    builder = ir.IRBuilder(begin)
    builder.branch(loop)
    builder.position_at_end(loop)
    index = builder.phi(count)
    index.add_incoming(count(0), begin)
    source, target = (builder.gep(p, [index], source_etype=element) for p in function.args[:2])
    value = emit(builder, builder.load(source, align=bits // 8, typ=kind))
    builder.store(value, target, align=bits // 8)
    following = builder.add(index, count(lanes))
    index.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, function.args[2]), loop, end)
    builder.position_at_end(end)
    builder.ret_void()
    address = native.compile(str(module), "apply")
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)
    out, size = np.empty_like(x), x.size // lanes * lanes
    return lambda: call(x.ctypes.data, out.ctypes.data, size)


def in_torch(name: str, x: np.ndarray) -> Callable[[], object]:
    import torch

    torch.set_num_threads(1)
    function: object = torch
    for part in name.split("."):
        function = getattr(function, part)
    tensor = torch.from_numpy(x)
    if name == "pow":
        return lambda: function(tensor, 2.1)
    if name.endswith("gelu"):
        return lambda: function(tensor, approximate="tanh")
    return lambda: function(tensor)


def medians(calls: list[Callable[[], object]], turns: int = 15) -> list[float]:
    """Seconds a call, the calls taking turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(turns):
        for call, taken in zip(calls, times, strict=True):
            call()
            start = time.perf_counter()
            for _ in range(8):
                call()
            taken.append((time.perf_counter() - start) / 8)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=262_144, help="elements (default: 262144)")
    parser.add_argument("--float64", action="store_true", help="double instead of float")
    arguments = parser.parse_args()
    dtype = np.float64 if arguments.float64 else np.float32
    torch = importlib.util.find_spec("torch") is not None
    rng = np.random.default_rng(1)
    print(f"{processor()}, {arguments.size:,} values of {np.dtype(dtype)}, one thread")
    print("ns an element        groundup     NumPy" + ("   PyTorch" if torch else ""))
    for name, (emit, numpy, peer, (low, high)) in WORK.items():
        x = rng.uniform(low, high, arguments.size).astype(dtype)
        calls = [compiled(emit, x), partial(numpy, x)]
        calls += [in_torch(peer, x)] if torch else []
        found = medians(calls)
        print(f"{name:16}" + "".join(f"{1e9 * t / arguments.size:10.3f}" for t in found))


if __name__ == "__main__":
    main()
