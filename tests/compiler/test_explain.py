"""What ``explain`` says of a compiled function is what the function is made of (R1.4)."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.engine.compiler.native import threads
from groundup.engine.compiler.report.explain import ProgramReport


def softmax() -> Any:
    return gu.compile(lambda x, bias: gu.softmax(x + bias, dim=-1))


def only(compiled: Any, **options: Any) -> ProgramReport:
    [program] = gu.explain(compiled, **options).programs
    return program


def trained() -> tuple[Any, nn.Module, optim.Optimizer]:
    """A compiled training step that has run three times."""
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 40), nn.BatchNorm1d(40), nn.Dropout(0.5), nn.Linear(40, 5))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    x, target = gu.randn(32, 20), gu.randint(0, 5, (32,))

    @gu.compile
    def step(x: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(3):
        step(x, target)
    return step, model, optimizer


def test_nothing_is_said_of_what_was_not_called() -> None:
    report = gu.explain(softmax())
    assert report.programs == ()
    assert "not called yet" in str(report)


def test_only_compiled_functions_are_explained() -> None:
    with pytest.raises(TypeError, match=r"function given; expected what groundup\.compile"):
        gu.explain(lambda x: x)  # type: ignore[arg-type]


def test_softmax_is_one_kernel_and_its_bytes_are_those_of_its_arrays() -> None:
    f = softmax()
    f(gu.randn(30, 70), gu.randn(70))
    program = only(f)
    [step] = program.steps
    assert step.kind == "kernel"
    assert {"add", "amax", "exp", "sum"} <= set(step.operations)
    assert (step.sizes, step.row) == ((30, 70), 1)
    assert step.reads == 4 * (30 * 70 + 70)
    assert step.writes == program.unshared == 4 * 30 * 70
    assert program.unfused == 2 * 4 * 30 * 70  # x + bias, softmax
    assert (program.kernels, program.native, program.states) == (1, 1, (0, 0))


def test_what_is_read_through_a_view_counts_once() -> None:
    f = gu.compile(lambda x: x[:, :3].exp() + x[:, :1].exp())
    f(gu.randn(8, 10))
    steps = only(f).steps
    assert sum(step.reads for step in steps if step.kind == "kernel") <= 4 * (8 * 10 + 8 * 3 * 2)
    assert max(step.reads for step in steps) <= 4 * 8 * 10


@pytest.mark.parametrize(("n", "way"), [(4, "inline"), (1024, "BLAS")])
def test_products_have_their_sizes_and_their_way(n: int, way: str) -> None:
    f = gu.compile(lambda x, y: x @ y)
    f(gu.randn(3, n, 2 * n), gu.randn(3, 2 * n, n))
    [step] = [step for step in only(f).steps if step.kind == "product"]
    assert step.sizes == (3, n, n, 2 * n)
    assert step.multiply_adds == 3 * n * n * 2 * n
    assert step.way == way
    assert (step.reads, step.writes) == (4 * 3 * 4 * n * n, 4 * 3 * n * n)


def test_a_call_of_numpy_names_the_line_that_caused_it() -> None:
    def ordered(x: gu.Tensor) -> gu.Tensor:
        return gu.sort(x * 2)[0] + 1  # this line

    f = gu.compile(ordered)
    f(gu.randn(99))
    calls = [step for step in only(f).steps if step.kind == "call"]
    assert calls
    line = ordered.__code__.co_firstlineno + 1
    assert all(step.lines == (f"{__file__}:{line}",) for step in calls)
    assert f"test_explain.py:{line}" in str(gu.explain(f))
    assert only(f).native == 2  # the tapes before and after


def test_it_says_why_a_function_was_traced_again() -> None:
    scale = 2.0

    def times(x: gu.Tensor) -> gu.Tensor:
        return x * scale

    f = gu.compile(times)
    f(gu.ones(3))
    f(gu.ones(3))
    scale = 3.0
    f(gu.ones(3))
    with gu.no_grad():
        f(gu.ones(2, 2, dtype=gu.float64))
    first, second, third = gu.explain(f).programs
    assert first.why == third.why == "first call of this signature"
    assert second.why == "scale: 2.0 became 3.0"
    assert first.signature == second.signature == "float32 (3,)"
    assert third.signature == "float64 (2, 2), under no_grad"


def test_the_program_of_a_gradient_is_one_more() -> None:
    weight = gu.randn(4, requires_grad=True)
    f = gu.compile(lambda x: (x * weight).exp().sum())
    gu.grad(f(gu.randn(3, 4)), weight)
    value, gradient = gu.explain(f, measure=True).programs
    assert value.signature == "float32 (3, 4)"
    assert gradient.signature == "the gradient of float32 (3, 4)"
    assert gradient.seconds is None
    assert all(step.seconds for step in gradient.steps)
    assert " s\n" not in str(gradient).partition("values")[0]


def test_arguments_that_are_no_tensors_are_part_of_the_signature() -> None:
    f = gu.compile(lambda x, n, *, mode: x * n if mode == "up" else x / n)
    f(gu.ones(3), 2, mode="up")
    assert only(f).signature == "float32 (3,), 2, 'up'"
    g = gu.compile(lambda: gu.ones(3) * 2)
    g()
    assert only(g).signature == "no arguments"


def test_equal_kernels_have_equal_numbers() -> None:
    f = gu.compile(lambda xs: [x.exp() for x in xs])
    f([gu.randn(5), gu.randn(6), gu.randn(5)])
    program = only(f)
    numbers = {step.sizes: {s.kernel for s in program.steps if s.sizes == step.sizes} for step in
               program.steps}  # fmt: skip
    assert all(len(found) == 1 for found in numbers.values())
    assert program.kernels == len(numbers)


def test_shares_are_those_of_the_tape() -> None:
    before = threads.get_num_threads()
    try:
        gu.set_num_threads(2)
        f = softmax()
        f(gu.randn(500, 1000), gu.randn(1000))
        f(gu.randn(5, 10), gu.randn(10))
        large, small = gu.explain(f).programs
    finally:
        gu.set_num_threads(before)
    assert (large.threads, large.steps[0].shares, small.steps[0].shares) == (2, 2, 1)


def test_data_can_be_json() -> None:
    step, *_ = trained()
    report = gu.explain(step)
    data = report.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert len(data["programs"]) == len(report.programs)
    assert data["programs"][0]["steps"][0]["kind"] == report.programs[0].steps[0].kind


def test_the_table_has_a_line_for_each_step() -> None:
    step, *_ = trained()
    program = gu.explain(step).programs[-1]
    table = str(program).split("\n\n")[1].splitlines()
    assert len(table) == len(program.steps) + 1
    assert all("test_explain.py:" in line for line in table[1:])


def everything(model: nn.Module, optimizer: optim.Optimizer) -> list[np.ndarray[Any, Any]]:
    found = [*model.parameters(), *model.buffers()]
    found += [p.grad for p in model.parameters() if p.grad is not None]
    found += [x for own in optimizer.state.values() for x in own.values() if hasattr(x, "numpy")]
    return [np.array(x.detach().numpy()) for x in found]


@pytest.mark.parametrize("count", [1, 2])
def test_measuring_leaves_no_trace(count: int) -> None:
    before = threads.get_num_threads()
    try:
        gu.set_num_threads(count)
        step, model, optimizer = trained()
        state, stream = everything(model, optimizer), gu.default_generator.get_state()
        x, target = gu.randn(32, 20), gu.randint(0, 5, (32,))
        after = gu.default_generator.get_state()
        report = gu.explain(step, measure=True)
        assert gu.default_generator.get_state() == after != stream
        for a, b in zip(state, everything(model, optimizer), strict=True):
            np.testing.assert_array_equal(a, b)
        twin, *_ = trained()
        gu.default_generator.set_state(after)
        one = step(x, target)
        gu.default_generator.set_state(after)
        assert one.item() == twin(x, target).item()
    finally:
        gu.set_num_threads(before)
    for program in report.programs:
        assert program.run is not None
        assert program.run > 0
        seconds = [step.seconds for step in program.steps]
        assert all(s is not None and 0 < s < 1 for s in seconds)


def test_a_larger_product_takes_longer() -> None:
    f = gu.compile(lambda x, y: (x @ x) + (y @ y).sum())
    f(gu.randn(400, 400), gu.randn(8, 8))
    program = only(f, measure=True)
    costs = {s.multiply_adds: s.seconds for s in program.steps if s.kind == "product"}
    large, small = costs[400**3], costs[8**3]
    assert large is not None
    assert small is not None
    assert large > 10 * small
    assert "time" in str(program)
    assert "us" in str(program) or "ms" in str(program)


def test_steps_of_numpy_are_measured_too() -> None:
    f = gu.compile(lambda x: gu.sort(x.exp())[0] * 2)
    x = gu.randn(1000)
    before = f(x).tolist()
    seconds = [step.seconds for step in only(f, measure=True).steps]
    assert all(s is not None and math.isfinite(s) and s > 0 for s in seconds)
    assert f(x).tolist() == before


def test_what_was_never_run_or_refused_its_arguments_is_not_measured() -> None:
    embedding = nn.Embedding(5, 2)
    f = gu.compile(lambda i: embedding(i) * 2)
    with pytest.raises(IndexError, match="found 7, expected 0 to 4"):
        f(gu.tensor([1, 7]))
    with pytest.raises(IndexError, match="found 7, expected 0 to 4"):
        gu.explain(f, measure=True)
    assert len(only(f).steps) > 0

    def failing(i: gu.Tensor, x: gu.Tensor) -> gu.Tensor:
        return embedding(i).sum() + x.sum()

    g = gu.compile(failing)
    with pytest.raises(IndexError):
        g(gu.tensor([9]), gu.randn(200, 200))
    with pytest.raises(IndexError):
        gu.explain(g, measure=True)
