"""What was compared with PyTorch, what was not, and why: the inventory and ``docs/compared.md``.

``python -m tests.peers.op_db_table > docs/compared.md`` compares everything again and writes it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import groundup as gu

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

from tests.peers import op_db_map as db  # noqa: E402
from tests.peers.comparison import PRECISION, SECOND  # noqa: E402

EXPECTED = """
    Tensor.T Tensor.__getitem__ Tensor.__radd__ Tensor.__rand__ Tensor.__rmatmul__ Tensor.__rmod__
    Tensor.__rmul__ Tensor.__ror__ Tensor.__rpow__ Tensor.__rsub__ Tensor.__rtruediv__
    Tensor.__rxor__ Tensor.__setitem__ Tensor.add_ Tensor.bmm Tensor.bool Tensor.clamp_
    Tensor.contiguous Tensor.div_ Tensor.double Tensor.expand Tensor.expand_as Tensor.fill_
    Tensor.float Tensor.half Tensor.int Tensor.item Tensor.long Tensor.mT Tensor.masked_fill_
    Tensor.mm Tensor.mul_ Tensor.normal_ Tensor.pow_ Tensor.repeat Tensor.sub_ Tensor.to
    Tensor.unfold Tensor.uniform_ Tensor.view Tensor.view_as Tensor.zero_ Tensor.bfloat16
    abs add all allclose amax amin any arange argmax argmin argsort bernoulli bitwise_and
    bitwise_not bitwise_or bitwise_xor cat ceil chunk clamp clone cos cumsum diagonal div dot
    einsum empty empty_like eq equal erf exp expm1 eye flatten flip floor floor_divide full
    full_like gather ge gt index_select isfinite isinf isnan le lerp linspace log log1p
    log_softmax logical_and logical_not logical_or logical_xor logsumexp lt masked_fill matmul max
    maximum mean min minimum movedim mul multinomial narrow ne neg nonzero norm ones ones_like
    outer permute pow prod rand_like randint randn randn_like reciprocal remainder
    repeat_interleave reshape roll round rsqrt rsub scatter_add select sigmoid sign sin softmax
    sort split sqrt square squeeze stack std sub sum t take_along_dim tanh topk transpose tril
    triu trunc unbind unflatten unsqueeze var where zeros zeros_like
    F.avg_pool1d F.avg_pool2d F.batch_norm F.binary_cross_entropy
    F.binary_cross_entropy_with_logits F.conv1d F.conv2d F.conv_transpose1d F.conv_transpose2d
    F.cosine_similarity F.cross_entropy F.dropout F.elu F.embedding F.gelu F.group_norm
    F.huber_loss F.kl_div F.l1_loss F.layer_norm F.leaky_relu F.linear F.logsigmoid F.max_pool1d
    F.max_pool2d F.mse_loss F.nll_loss F.normalize F.one_hot F.pad F.relu F.rms_norm
    F.scaled_dot_product_attention F.silu F.smooth_l1_loss F.softplus
"""
"""What must be compared: a test fails when one of these is not found, here or in the database."""

ELSEWHERE = {
    "tests/compiler/test_explain.py": "explain",
    "tests/compiler/test_pool.py": "get_num_threads set_num_threads",
    "tests/compiler/test_program_layers.py": "compile",
    "src/groundup/nn/functional/position.py": "F.rotary_table F.rotate",
    "tests/engine/test_anomaly.py": "detect_anomaly",
    "tests/engine/test_autocast.py": "autocast",
    "tests/engine/test_autograd.py": """
        Tensor.backward enable_grad grad is_grad_enabled no_grad set_grad_enabled
    """,
    "tests/engine/test_files.py": "load save",
    "tests/engine/test_inplace.py": "Tensor.assign",
    "tests/engine/test_random.py": "manual_seed",
    "tests/engine/test_tensor.py": "Tensor.change",
    "tests/engine/test_transforms.py": "checkpoint",
    "tests/nn/test_attention.py": "F.attention_weights",
    "tests/nn/test_embedding.py": "F.rotary F.sinusoidal",
    "tests/nn/test_functional_call.py": "functional_call",
    "tests/nn/test_losses.py": """
        F.focal_loss F.gaussian_kl F.info_nce F.multiclass_focal_loss F.reconstruction_loss
    """,
    "tests/nn/test_masks.py": "F.alibi F.alibi_slopes F.sliding_window",
    "tests/peers/test_dtypes.py": """
        get_default_dtype promote_types result_type set_default_dtype
    """,
    "tests/peers/test_without_entry.py": """
        Tensor.__array__ Tensor.__bool__ Tensor.__contains__ Tensor.__float__ Tensor.__format__
        Tensor.__index__ Tensor.__int__ Tensor.__iter__ Tensor.__len__ Tensor.__rfloordiv__
        Tensor.copy_ Tensor.cpu Tensor.dim Tensor.dtype Tensor.is_contiguous
        Tensor.is_floating_point Tensor.is_leaf Tensor.ndim Tensor.numel Tensor.numpy
        Tensor.requires_grad_ Tensor.shape Tensor.size Tensor.tolist Tensor.type_as
        F.dropout1d as_tensor detach from_numpy hessian hvp jacobian jvp rand randperm relu tensor
        vjp
    """,
}
"""What the database has no entry for, by the file that tests it."""
ELSEWHERE_FILES = {name: file for file, names in ELSEWHERE.items() for name in names.split()}

DIFFERENCES = {
    "A narrow integer tensor and a number that it cannot hold": "refused, where PyTorch wraps "
    "the number round: `uint8 + 300`",
    "Signed integers put into a `uint8` tensor in place": "refused; they may not fit",
    "A difference with a boolean tensor": "the boolean counts as 0 or 1; only that of two "
    "booleans is refused",
    "`any` and `all` of `uint8`": "`bool`; PyTorch's `uint8` is a remnant of its older masks",
    "`masked_fill` with a value of one or more dimensions": "the value broadcasts",
    "`maximum` and `minimum` of a tensor and a number, comparisons that begin with one": "allowed",
    "Operands of different dtypes in convolutions, `matmul` and `scatter_add`": "promoted",
    "Means of integers in `avg_pool1d` and `avg_pool2d`": "floating",
    "Integer to a negative integer power": "refused",
    "`sign` of NaN": "NaN, not 0",
    "The second derivative of `std` and `norm` at zero": "0, not NaN",
    "Matrix norms (`p='nuc'`); the arguments `out`, `layout`, `memory_format`, `pin_memory`": (
        "not here"
    ),
}
"""Where groundup differs on purpose, and how."""

SPECIAL = {"__array__", "__bool__", "__contains__", "__float__", "__format__", "__index__"}
SPECIAL |= {"__int__", "__iter__", "__len__"}
"""Methods of Python's own protocols that are listed; others are operators."""


def public() -> dict[str, Any]:
    """Every public function and method of the engine and of ``nn.functional``, by name."""
    found: dict[str, Any] = {
        name: value
        for name, value in vars(gu).items()
        if name.islower() and name[0] != "_" and inspect.isroutine(value) | inspect.isclass(value)
    }
    for name, value in vars(gu.Tensor).items():
        operator = name.startswith("__") and inspect.isfunction(value)
        ours = name in SPECIAL or (operator and value.__name__ != name)
        if name in found and found[name] is value:
            continue  # the function of that name, as a method
        if ours or (not name.startswith("_") and (callable(value) or isinstance(value, property))):
            found[f"Tensor.{name}"] = value
    for name in db.F.__all__:
        if callable(getattr(db.F, name)):
            found[f"F.{name}"] = getattr(db.F, name)
    return found


def compared() -> tuple[set[str], set[Any]]:
    """Names and functions that some entry of the database is compared with."""
    cases = db.cases()
    return {case.ours for case in cases}, {case.call for case in cases}


def without_entry() -> list[str]:
    """Public names that no entry is compared with, not even under another name."""
    names, functions = compared()
    return [
        name
        for name, value in public().items()
        if name not in names and not (inspect.isfunction(value) and value in functions)
    ]


# ---------------------------------------------------------------------------------- the page


def tallies() -> Iterator[tuple[db.Case, db.Tally]]:
    """Compare everything and count."""
    for case in db.cases():
        total = db.Tally()
        for dtype in case.dtypes():
            total.add(db.run(case, dtype))
        yield case, total


def row(case: db.Case, tally: db.Tally) -> str:
    """One line of the table."""
    dtypes = ", ".join(
        f"{name} {count}" + (f" of {tally.found[name]}" if tally.found[name] > count else "")
        for name, count in tally.compared.items()
    )
    if not case.values:
        derivatives = ""
    elif not case.op.supports_autograd:
        derivatives = "none"
    else:
        once, twice = tally.orders[1] + tally.orders[2], tally.orders[2]
        derivatives = f"first {once}" + (f", second {twice}" if twice else "") if once else "none"
    notes = [f"{count} left out: {why}" for why, count in tally.left_out.items()]
    notes = [case.note] * bool(case.note) + notes
    return f"| `{case.ours}` | `{case.name}` | {dtypes} | {derivatives} | {'; '.join(notes)} |"


def page() -> str:
    """The whole of ``docs/compared.md``."""
    rows, samples, left_out = [], 0, 0
    for case, tally in tallies():
        rows.append(row(case, tally))
        samples += sum(tally.compared.values())
        left_out += sum(tally.left_out.values())
    shared = {case.op.full_name for case in db.cases()}
    others = [op.full_name for op in db.op_db if op.full_name not in shared | set(db.NOT_COMPARED)]
    lines = [
        "# Compared with PyTorch",
        "",
        "PyTorch keeps a database of its operators, whose entries make inputs for PyTorch's own",
        "tests. Every operation that groundup shares is called with those inputs, by both, and",
        f"what comes out is compared: {len(rows)} operations, {samples} samples;",
        f"{left_out} samples are left out, for the reasons given.",
        "",
        "- Results: number, shapes, dtypes and values, and that a gradient is wanted.",
        "- First derivatives: of every input that requires a gradient, for random cotangents, in",
        "  float64 and float32.",
        "- Second derivatives: of those gradients along random directions, with respect to inputs",
        f"  and cotangents, in float64, for at most {db.CAP_SECOND} samples of an operation.",
        f"- At most {db.CAP} samples of an operation and dtype are taken, evenly from all. `make",
        "  verify` takes all of them, and those that PyTorch keeps for comparisons with NumPy:",
        "  large, extreme and non-contiguous ones.",
        "- Numbers agree to "
        + ", ".join(f"{tolerance:g} ({name})" for name, tolerance in PRECISION.items())
        + " of the largest",
        f"  magnitude or of 1, whichever is larger; second derivatives to {SECOND} times that.",
        "- A result that wants no gradient counts as constant. Where an input is NaN only results",
        "  are compared.",
        "- What PyTorch refuses, with the calls of its own tests for errors, is refused here.",
        "- Beside this, `tests/peers/test_dtypes.py` compares the dtypes of results for all pairs",
        "  of dtypes and kinds of operands, `tests/peers/test_layouts.py` views, empty tensors and",
        "  scalars, and the other files there layers, losses, optimizers and schedules.",
        "",
        "This page is written by `python -m tests.peers.op_db_table > docs/compared.md`.",
        "",
        "## Operations",
        "",
        "| groundup | entry | samples | derivatives | notes |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "## Different on purpose",
        "",
        "| what | here |",
        "|---|---|",
        *(f"| {what} | {how} |" for what, how in DIFFERENCES.items()),
        "",
        "## Entries of the same name that are not compared",
        "",
        *(f"- `{name}`: {why}" for name, why in db.NOT_COMPARED.items()),
        "",
        "## Without an entry",
        "",
        "These functions and methods are tested elsewhere.",
        "",
        "| where | what |",
        "|---|---|",
        *(
            f"| `{file}` | {', '.join(f'`{name}`' for name in names.split())} |"
            for file, names in ELSEWHERE.items()
        ),
        "",
        "Operators (`+`, `@`, `<` and so on) are the functions of the first table under another",
        "name; a test holds them to it.",
        "",
        "## Entries that groundup has no operation for",
        "",
        ", ".join(f"`{name}`" for name in others) + ".",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page())
