"""What goes wrong in compilers that trace: values that are asked for, and Python that changes.

Each known mistake is a test: either it works as without compilation, or the message names the line
and says what to do (R1.4). The files beside this one are about arguments, tensors that are changed,
gradients, and threads and processes.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.engine.compiler.trace.trace import TraceError

from .footguns import traces

SCALE = 2.0
CONFIG = types.ModuleType("config")
CONFIG.scale = 2.0  # type: ignore[attr-defined]


def refused(function: Callable[..., Any], *args: Any, match: str) -> None:
    """Whether a compiled function is refused, and the message names a line of it."""
    with pytest.raises(TraceError, match=match) as caught:
        gu.compile(function)(*args)
    lines, first = inspect.getsourcelines(function)
    named = re.match(r"(.*):(\d+): ", str(caught.value))
    assert named is not None
    assert named[1] == inspect.getsourcefile(function)
    assert first <= int(named[2]) < first + len(lines)
    gu.ones(1) + 1  # and what follows is not traced any more
    assert gu.engine.base.mode.tracer is None


# Values that are asked for


def test_branch_on_a_traced_value() -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        if x.sum() > 0:
            return x
        return -x

    refused(f, gu.ones(2), match="values of a tensor were asked for .*Use where")


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.item(),
        lambda x: float(x),
        lambda x: int(x),
        lambda x: bool(x),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: repr(x),
        lambda x: f"{x:.3f}",
        lambda x: 3.0 in x,
        lambda x: [0, 1][x.long()],
        lambda x: gu.tensor(x),
        lambda x: gu.equal(x, x),
        lambda x: gu.allclose(x, x),
        lambda x: x.array.sum(),
        lambda x: gu.arange(x.long()),
    ],
)
def test_asking_for_a_traced_value(ask: Callable[[gu.Tensor], Any]) -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        y = x * 1
        return y * (ask(y) is not None)

    with pytest.raises(TraceError, match=r"test_footguns.py:\d+: the .* of a tensor .* asked for"):
        gu.compile(f)(gu.tensor(0.0))


def test_print_of_a_traced_value(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        print(x)
        return x

    refused(f, gu.ones(2), match="return the tensor and look at it outside")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "select", [lambda x: x.nonzero(), lambda x: x[x > 0], lambda x: x[x > 0].sum()]
)
def test_shape_that_depends_on_values(select: Callable[[gu.Tensor], Any]) -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        return select(x)

    with pytest.raises(TraceError, match=r"test_footguns.py:\d+: the values"):
        gu.compile(f)(gu.ones(3))


def test_mask_that_is_known_may_select() -> None:
    mask = gu.tensor([True, False, True])
    f = gu.compile(lambda x: x[gu.tensor([True, False, True])])
    assert f(gu.arange(3)).tolist() == [0, 2]
    with pytest.raises(TraceError):  # what it holds may change from call to call
        gu.compile(lambda x: x[mask])(gu.arange(3))


def test_masked_assignment_needs_no_values() -> None:
    def f(x: gu.Tensor) -> gu.Tensor:
        y = x * 1
        y[y > 1] = 0.0
        return y

    assert gu.compile(f)(gu.tensor([0.5, 1.5])).tolist() == [0.5, 0.0]


def test_tensor_leaked_out_of_a_trace() -> None:
    kept = []

    def f(x: gu.Tensor) -> gu.Tensor:
        kept.append(x * 2)
        return x + 1

    f = gu.compile(f)
    f(gu.ones(2))
    message = r"was kept from inside of a compiled function, where it was made at .*footguns.py"
    for use in (lambda x: x.tolist(), lambda x: x + 1, repr):
        with pytest.raises(TraceError, match=message):
            use(kept[0])
    with pytest.raises(TraceError, match=message):
        gu.compile(lambda x: x * kept[0])(gu.ones(2))


def test_tensor_hidden_in_an_object_that_is_returned() -> None:
    box = gu.compile(lambda x: types.SimpleNamespace(value=x * 2))(gu.ones(2))
    with pytest.raises(TraceError, match="return the tensor from the function"):
        box.value.tolist()


def test_attribute_that_is_replaced_at_each_call() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            self.last = gu.zeros(2)

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            self.last = self.last + x
            return self.last

    memory = Memory()
    f = gu.compile(memory)
    f(gu.ones(2))
    with pytest.raises(TraceError, match=r"assign\(\) it to one that was there before"):
        f(gu.ones(2))


# Python that changes


class Scaled(nn.Module):
    """Reads numbers of many kinds."""

    by_class = 1.0

    def __init__(self) -> None:
        self.scale = 1.0
        self.list = [1.0, 1.0]
        self.dict = {"a": 1.0}
        self.layers = [nn.Linear(2, 2)]
        self.weight = nn.Parameter(gu.ones(2))
        self.options = Options()

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        for layer in self.layers:
            x = layer(x)
        x = x * self.scale * self.list[1] * self.dict["a"] * self.by_class
        x = x * self.options.inner[0] * self.weight
        return x * 3 if self.training else x


@dataclasses.dataclass(slots=True)
class Options:
    inner: tuple[float, ...] = (1.0,)


CHANGES: dict[str, Callable[[Scaled], Any]] = {
    "attribute": lambda m: setattr(m, "scale", 2.0),
    "entry of a list": lambda m: m.list.__setitem__(1, 2.0),
    "entry of a dictionary": lambda m: m.dict.update(a=2.0),
    "attribute over that of the class": lambda m: setattr(m, "by_class", 2.0),
    "object with slots": lambda m: setattr(m.options, "inner", (2.0,)),
    "object": lambda m: setattr(m, "options", Options((2.0,))),
    "training": lambda m: m.eval(),
    "list of modules grew": lambda m: m.layers.append(nn.Linear(2, 2)),
    "module in a list": lambda m: m.layers.__setitem__(0, nn.Linear(2, 2)),
    "parameter replaced": lambda m: setattr(m, "weight", nn.Parameter(gu.full((2,), 2.0))),
    "parameter overwritten": lambda m: m.weight.detach().fill_(2.0),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_change_of_what_a_module_holds(name: str) -> None:
    gu.manual_seed(0)
    module, x = Scaled(), gu.ones(3, 2)
    f = gu.compile(module)
    before = f(x)
    f(x)
    assert traces(f) == 1
    CHANGES[name](module)
    assert gu.allclose(f(x), module(x), rtol=1e-6)
    assert not gu.allclose(f(x), before)
    assert traces(f) == (1 if name == "parameter overwritten" else 2)


def test_attribute_of_a_class_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Scaled()
    f = gu.compile(module)
    f(gu.ones(3, 2))
    monkeypatch.setattr(Scaled, "by_class", 2.0)
    assert gu.allclose(f(gu.ones(3, 2)), module(gu.ones(3, 2)))


def test_change_of_a_closure_a_global_and_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = 1.0

    def helper(x: gu.Tensor) -> gu.Tensor:
        return next(y * SCALE for y in (x,))  # inside of a generator

    f = gu.compile(lambda x: helper(x) * factor * CONFIG.scale)
    x = gu.ones(1)
    assert f(x).item() == 4
    factor = 3.0
    assert f(x).item() == 12
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert f(x).item() == 30
    monkeypatch.setattr(CONFIG, "scale", 1.0)
    assert f(x).item() == 15
    assert "CONFIG.scale: 2.0 became 1.0" in next(iter(f.traces.values()))[0].why
    factor, CONFIG.scale = 1.0, 2.0  # type: ignore[attr-defined]
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert f(x).item() == 4
    assert traces(f) == 4  # the first one fits again


def test_change_of_what_is_not_read_does_not_matter() -> None:
    class Run:
        step, scale = 0, 2.0

    run = Run()
    f = gu.compile(lambda x: x * run.scale)
    for run.step in range(3):
        f(gu.ones(1))
    assert traces(f) == 1


def test_global_that_is_named_like_an_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read, whatever the name of what is."""
    layer = nn.Module()
    layer.SCALE = 3.0
    f = gu.compile(lambda x: x * layer.SCALE)
    assert f(gu.ones(1)).item() == 3
    [[first]] = f.traces.values()
    for scale in (4.0, np.ones(2), [gu.ones(1)]):
        monkeypatch.setitem(globals(), "SCALE", scale)
        assert f(gu.ones(1)).item() == 3
    monkeypatch.delitem(globals(), "SCALE")
    assert f(gu.ones(1)).item() == 3
    [[last]] = f.traces.values()
    assert last is first
    layer.SCALE = 5.0
    assert f(gu.ones(1)).item() == 5


def test_global_that_the_body_of_a_class_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(x: gu.Tensor) -> gu.Tensor:
        class By:
            factor = SCALE

        return x * By.factor

    f = gu.compile(scaled)
    assert f(gu.ones(1)).item() == 2
    monkeypatch.setitem(globals(), "SCALE", 7.0)
    assert f(gu.ones(1)).item() == 7


def test_default_argument_changes() -> None:
    def f(x: gu.Tensor, options: dict[str, float] = {"by": 2.0}) -> gu.Tensor:  # noqa: B006
        return x * options["by"]

    compiled = gu.compile(f)
    assert compiled(gu.ones(1)).item() == 2
    inspect.signature(f).parameters["options"].default["by"] = 3.0
    assert compiled(gu.ones(1)).item() == 3


def test_small_numpy_array_in_a_closure_changes() -> None:
    array = np.ones(2, np.float32)
    f = gu.compile(lambda x: x * gu.tensor(array) + gu.from_numpy(array))
    assert f(gu.ones(2)).tolist() == [2, 2]
    array[0] = 3
    assert f(gu.ones(2)).tolist() == [6, 2]


def test_counter_that_the_function_itself_advances_is_never_frozen() -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            self.calls += 1
            return x * self.calls

    f = gu.compile(Counting())
    with pytest.warns(RuntimeWarning, match=r"\.calls: 7 became 8\. Pass what changes as a tensor"):
        assert [f(gu.ones(1)).item() for _ in range(9)] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_numbers_among_the_arguments() -> None:
    f = gu.compile(lambda x, n: x * n)
    assert [f(gu.ones(1), n).item() for n in (2, 2.5, True)] == [2, 2.5, 1]
    with pytest.warns(RuntimeWarning, match="arguments of so many kinds"):
        assert [f(gu.ones(1), n).item() for n in range(80)] == list(range(80))
    assert len(f.traces) <= 65


def test_hyper_parameters_of_an_optimizer() -> None:
    """The learning rate is an input; any other hyper-parameter leads to a new trace."""
    results = []
    for compiled in (False, True):
        w = gu.ones(3, requires_grad=True)
        rule = optim.SGD([w], lr=0.1, momentum=0.9)

        def step(x: gu.Tensor, w: Any = w, rule: Any = rule) -> None:
            rule.zero_grad()
            (w * x).square().sum().backward()
            rule.step()

        call = gu.compile(step) if compiled else step
        for i in range(6):
            rule.param_groups[0]["lr"] = 0.1 / (i + 1)
            if i == 4:
                rule.param_groups[0]["momentum"] = 0.5
            call(gu.ones(3))
        results.append(w.tolist())
    assert results[0] == pytest.approx(results[1], rel=1e-6)
    assert traces(call) == 2
    why = next(iter(call.traces.values()))[0].why
    assert "['momentum']: 0.9 became 0.5" in why


def test_setting_a_learning_rate_inside() -> None:
    rule = optim.SGD([gu.ones(3, requires_grad=True)], lr=0.1)

    def f() -> None:
        rule.param_groups[0]["lr"] = 0.2

    with pytest.raises(TraceError, match=r"sets the 'lr' .*with the step\(\) of a schedule"):
        gu.compile(f)()
    assert rule.param_groups[0]["lr"] == 0.1


def test_schedule_inside_a_step() -> None:
    rates = []
    for compiled in (False, True):
        w = gu.ones(3, requires_grad=True)
        rule = optim.SGD([w], lr=1.0)
        schedule = optim.lr_scheduler.ExponentialLR(rule, 0.5)

        def step(w: Any = w, rule: Any = rule, schedule: Any = schedule) -> None:
            w.grad = gu.ones(3)
            rule.step()
            schedule.step()

        call = gu.compile(step) if compiled else step
        for _ in range(3):
            call()
        rates.append((rule.param_groups[0]["lr"], w.tolist()))
    assert rates[0] == rates[1] == (0.125, [-0.75] * 3)


def test_parameter_frozen_after_the_first_call() -> None:
    layer = nn.Linear(2, 2)

    def f(x: gu.Tensor) -> None:
        layer(x).sum().backward()

    f = gu.compile(f)
    f(gu.ones(1, 2))
    layer.weight.grad = layer.bias.grad = None
    layer.weight.requires_grad_(False)
    f(gu.ones(1, 2))
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    assert "weight.requires_grad: True became False" in next(iter(f.traces.values()))[0].why


def test_default_dtype_and_modes() -> None:
    f = gu.compile(lambda x: (x + gu.ones(2) * 0.1).dtype.name)
    assert f(gu.ones(2)) == "float32"
    gu.set_default_dtype(gu.float64)
    try:
        assert f(gu.ones(2, dtype=gu.float32)) == "float64"
    finally:
        gu.set_default_dtype(gu.float32)
