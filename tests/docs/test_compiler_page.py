"""What `docs/compiler.md` says of the compiler is so (R1.4).

That is its table of what cannot be traced, and the listings that are made when the page is built.
"""

from __future__ import annotations

import importlib
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.docs.pages import ROOT, blocks

import groundup as gu
from groundup.engine.compiler.report.listing import function, loops

PAGE = ROOT / "docs" / "compiler.md"

KEPT: list[Any] = []
BASE = gu.zeros(3)
VIEW = BASE[1:]
WEIGHT = gu.ones(3, requires_grad=True)


def keep(x: gu.Tensor) -> gu.Tensor:
    KEPT.append(x * 2)
    return x


def change_view(x: gu.Tensor) -> gu.Tensor:
    BASE.add_(x)
    return VIEW.mul_(2)


def truth(x: gu.Tensor) -> gu.Tensor:
    return x if x.sum() > 0 else -x


def asserted(x: gu.Tensor) -> gu.Tensor:
    assert gu.isfinite(x).all()
    return x


def looped(x: gu.Tensor) -> gu.Tensor:
    while x.sum() > 0:
        x = x - 1
    return x


def printed(x: gu.Tensor) -> gu.Tensor:
    print(x)
    return x


X = gu.tensor([1.0, -2.0, 3.0])
ASKED = "the values of a tensor were asked for"
# What the table says before the first column's text, the function, its arguments.
REFUSED: list[tuple[str, Callable[..., Any], tuple[Any, ...], str]] = [
    ("if x.sum()", truth, (X,), ASKED),
    ("while", looped, (X + 1,), ASKED),
    ("assert", asserted, (X,), ASKED),
    ("x.item()", lambda x: x * x[0].item(), (X,), ASKED),
    ("float(x)", lambda x: x * float(x[0]), (X,), ASKED),
    ("x.tolist()", lambda x: x.tolist(), (X,), ASKED),
    ("x.numpy()", lambda x: x.numpy(), (X,), ASKED),
    ("print(x)", printed, (X,), ASKED),
    ("x[x > 0]", lambda x: x[x > 0], (X,), ASKED),
    ("gu.nonzero(x)", lambda x: gu.nonzero(x), (X,), ASKED),
    ("x[:n]", lambda x, n: x[:n], (X, gu.tensor(2)), ASKED),
    ("gu.multinomial", lambda x: gu.multinomial(x.abs(), 1), (X,), ASKED),
    ("np.exp(x)", lambda x: np.exp(x), (X,), "does not support ufuncs"),
    ("share memory", change_view, (X,), "shares memory with another one"),
    (
        "a NumPy array",
        lambda a: gu.tensor(a),
        (np.ones(3),),
        "is among the arguments of a compiled",
    ),
    ("an index", lambda i: WEIGHT[i], (gu.tensor([7]),), "found 7, expected"),
]


def table() -> list[str]:
    """The rows of the table of what cannot be traced."""
    text = PAGE.read_text(encoding="utf-8").partition("## What cannot be traced")[2]
    rows = re.findall(r"^\| (?!in the function)(.*) \|$", text.partition("\n## ")[0], re.M)
    assert len(rows) >= 10
    return rows


@pytest.mark.parametrize(
    ("words", "f", "arguments", "message"), REFUSED, ids=[r[0] for r in REFUSED]
)
def test_what_the_table_says_is_refused_is_refused_so(
    words: str, f: Callable[..., Any], arguments: tuple[Any, ...], message: str
) -> None:
    [row] = [row for row in table() if words in row.partition(" | ")[0]]
    assert message in row
    with pytest.raises((gu.TraceError, TypeError, IndexError), match=re.escape(message)) as caught:
        gu.compile(f)(*arguments)
    if caught.type is gu.TraceError:
        assert str(caught.value).startswith(f"{__file__}:")


def test_a_tensor_that_is_kept_has_no_values() -> None:
    KEPT.clear()
    gu.compile(keep)(X)
    with pytest.raises(gu.TraceError, match="was kept from inside of a compiled function"):
        KEPT[0].tolist()


def test_a_number_that_changes_at_each_call_is_traced_at_each_call() -> None:
    count = 0

    def counted(x: gu.Tensor) -> gu.Tensor:
        nonlocal count
        count += 1
        return x + count

    f = gu.compile(counted)
    assert [f(gu.zeros(1)).item() for _ in range(3)] == [1, 2, 3]
    *_, last = gu.explain(f).programs
    assert len(gu.explain(f).programs) == 3
    assert "became" in last.why


def test_numbers_of_other_generators_are_frozen() -> None:
    f = gu.compile(lambda x: x + random.random())
    assert f(X).tolist() == f(X).tolist()


def test_a_result_can_be_differentiated_outside() -> None:
    loss = gu.compile(lambda x: (x * x * WEIGHT).sum())(X)
    assert gu.grad(loss, WEIGHT)[0].tolist() == (X * X).tolist()


def test_a_schedule_inside_costs_no_program() -> None:
    weight = gu.zeros(1, requires_grad=True)
    optimizer = gu.optim.SGD([weight], lr=1.0)
    schedule = gu.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    @gu.compile
    def step() -> None:
        optimizer.zero_grad()
        weight.sum().backward()
        optimizer.step()
        schedule.step()

    found = []
    for _ in range(3):
        step()
        found.append(weight.item())
    assert found == [-1, -1.5, -1.75]
    assert len({program.why for program in gu.explain(step).programs}) == 1


def observed(x: gu.Tensor) -> gu.Tensor:
    with gu.detect_anomaly():
        return gu.log(x)


def test_observers_see_nothing_inside_and_everything_around() -> None:
    f = gu.compile(observed)
    assert f(X).isnan().any()
    with gu.detect_anomaly(), pytest.raises(FloatingPointError, match="produced 1 NaN"):
        f(X)


# The listings


@pytest.fixture(scope="module")
def compiled() -> Any:
    pytest.importorskip("sphinx", reason="Sphinx is not installed")
    folder = str(ROOT / "docs" / "_ext")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module("compiled")


def test_each_pass_is_a_loop_and_the_second_has_the_exponential(compiled: Any) -> None:
    for room, exp in (
        ("emitted", "@exp.v8f32"),
        ("optimised", "fmuladd.v8f32"),
        ("assembly", "vfmadd"),
    ):
        found = [compiled.code(room, n).replace('"', "") for n in (1, 2, 3)]
        assert [exp in text for text in found] == [False, True, False]
        whole = compiled.code(room)
        assert len(list(loops(whole))) == 3
        with pytest.raises(ValueError, match=f"loop 4 of {room}: there are 3"):
            compiled.code(room, 4)


def test_what_the_page_says_of_the_listings_is_so(compiled: Any) -> None:
    first, second, third = (compiled.code("emitted", n) for n in (1, 2, 3))
    assert "fadd" in first
    assert "@llvm.maximum" in first
    assert len(re.findall(r"phi <8 x float>", first)) == 4  # four vectors in flight
    assert len(re.findall(r"store <8 x float>", third)) == 4
    assert "%kept5" in second
    assert "%kept5 = alloca float, i64 128" in compiled.code("emitted")  # 512 bytes
    assembly = compiled.code("assembly", 2)
    memory = [line for line in assembly.splitlines() if re.search(r"\(%r\w\w,", line)]
    assert len(memory) == 3  # x, the bias, and what is kept
    assert "vmovups" in memory[-1]
    assert "alwaysinline" in compiled.code("emitted", name="exp.v8f32")


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="defines no nothing"):
        function("define void @something() {\n}", "nothing")


def test_the_report_of_the_step_has_no_times(compiled: Any) -> None:
    [source] = [inside for kind, _, inside in blocks(PAGE) if kind == "{compiled-step}"]
    before = gu.get_num_threads()
    text = compiled.report("\n".join(source) + "\n")
    assert gu.get_num_threads() == before
    assert "product" in text
    assert "kernel 1" in text
    assert "step.py:" in text
    assert not re.search(r"\d (us|ms|s)\b", text)


def test_every_file_of_the_compiler_is_in_the_table() -> None:
    folder = ROOT / "src" / "groundup" / "engine" / "compiler"
    named = re.findall(
        r"^\| (`.*?) \| ", PAGE.read_text(encoding="utf-8").split("## Where to look")[1], re.M
    )
    words = set(re.findall(r"`(\w+)`", " ".join(named)))
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    kin = {stem for stem in files if stem.startswith(("emit_", "vector_"))}
    assert words <= files
    assert files - kin <= words
