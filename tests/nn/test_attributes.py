"""Setting attributes of a module: what is state stays state; PyTorch's names for it (R2.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import groundup as gu
from groundup import nn

F = nn.functional


def names(module: nn.Module) -> tuple[list[str], list[str], list[str]]:
    """Of the parameters, of the buffers, and of what is saved."""
    return (
        [name for name, _ in module.named_parameters()],
        [name for name, _ in module.named_buffers()],
        list(module.state_dict()),
    )


class Counting(nn.Module):
    def __init__(self) -> None:
        self.scale = nn.Parameter(gu.ones(2))
        self.seen = nn.Buffer(gu.zeros(2))
        self.cache = nn.Buffer(gu.zeros(2), persistent=False)


@pytest.mark.parametrize("value", [gu.zeros(2), 0.5, nn.Buffer(gu.zeros(2)), nn.ReLU()])
def test_a_parameter_is_not_dropped_silently(value: object) -> None:
    module = Counting()
    held = module.scale
    with pytest.raises(TypeError, match=r"Counting\.scale is a Parameter .*scale\.copy_\(\.\.\.\)"):
        module.scale = value
    assert module.scale is held


def test_a_parameter_may_be_replaced_or_given_up() -> None:
    module = Counting()
    module.scale = new = nn.Parameter(gu.zeros(3))
    assert list(module.parameters()) == [new]
    module.scale = None
    assert list(module.parameters()) == []
    module.scale = gu.ones(1)  # no parameter any more
    module = Counting()
    del module.scale
    module.scale = gu.ones(1)
    assert names(module)[0] == []


def test_a_buffer_that_is_given_a_tensor_stays_a_buffer() -> None:
    module = Counting()
    before = names(module)
    new = gu.tensor([3.0, 4.0])
    module.seen = module.seen + new
    module.cache = new
    assert names(module) == before == (["scale"], ["seen", "cache"], ["scale", "seen"])
    assert module.state_dict()["seen"].tolist() == [3.0, 4.0]
    new.mul_(2)
    assert module.cache.tolist() == [6.0, 8.0]  # the memory is shared


def test_a_buffer_with_a_past_passes_the_gradient_on() -> None:
    module, x = Counting(), gu.ones(2, requires_grad=True)
    for value in (x * 3, x):
        module.seen = value
        (g,) = gu.grad((module.seen * 2).sum(), x)
        assert g is not None
        assert g.tolist() == ([6.0, 6.0] if value is not x else [2.0, 2.0])


@pytest.mark.parametrize("value", [1, "text", [gu.zeros(2)]])
def test_a_buffer_is_not_dropped_silently(value: object) -> None:
    module = Counting()
    with pytest.raises(TypeError, match=r"Counting\.seen is a Buffer"):
        module.seen = value
    module.seen = None
    assert names(module)[1] == ["cache"]


def test_other_attributes_are_plain() -> None:
    module = Counting()
    for value in (1, gu.ones(1), nn.ReLU(), [1], None, nn.Parameter(gu.ones(1))):
        module.other = value
        assert module.other is value


def test_registering_is_assigning() -> None:
    a, b = nn.Module(), nn.Module()
    p, x, layer = nn.Parameter(gu.ones(1)), gu.ones(2), nn.Linear(1, 1)
    a.weight, a.steps, a.cache, a.layer = p, nn.Buffer(x), nn.Buffer(x, persistent=False), layer
    a.bias = a.mask = a.head = None
    b.register_parameter("weight", p)
    b.register_buffer("steps", x)
    b.register_buffer("cache", x, persistent=False)
    b.add_module("layer", layer)
    b.register_parameter("bias", None)
    b.register_buffer("mask", None)
    b.register_module("head", None)
    assert list(vars(a)) == list(vars(b))
    assert names(a) == names(b)
    assert [type(value) for value in vars(a).values()] == [type(v) for v in vars(b).values()]
    b.register_buffer("steps", gu.zeros(1))  # again
    assert b.steps.shape == (1,)


def test_a_chain_is_extended_by_name() -> None:
    net = nn.Sequential()
    for i in range(2):
        net.add_module(f"linear{i}", nn.Linear(2, 2))
    net.add_module("2", nn.ReLU())
    assert [name for name, _ in net.named_children()] == ["linear0", "linear1", "2"]
    assert len(net) == 3
    assert net(gu.ones(1, 2)).shape == (1, 2)


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "scale", "number"])
def test_names_that_cannot_be_used(name: str) -> None:
    module = Counting()
    module.number = 3
    with pytest.raises(KeyError, match="cannot name a buffer"):
        module.register_buffer(name, gu.zeros(1))
    if name != "scale":
        with pytest.raises(KeyError, match="cannot name a parameter"):
            module.register_parameter(name, None)
    with pytest.raises(KeyError, match="cannot name a module"):
        module.add_module(name, nn.ReLU())


def test_kinds_that_cannot_be_registered() -> None:
    with pytest.raises(TypeError, match=r"'w' is Tensor, expected nn\.Parameter"):
        nn.Module().register_parameter("w", gu.zeros(1))
    with pytest.raises(TypeError, match=r"'f' is function, expected nn\.Module"):
        nn.Module().add_module("f", lambda x: x)


# inplace=True is accepted; the input is left alone

INPLACE: list[tuple[Callable[[], nn.Module], Callable[[gu.Tensor], gu.Tensor]]] = [
    (lambda: nn.ReLU(True), lambda x: F.relu(x, True)),
    (lambda: nn.LeakyReLU(0.1, True), lambda x: F.leaky_relu(x, 0.1, True)),
    (lambda: nn.ELU(2.0, True), lambda x: F.elu(x, 2.0, True)),
    (lambda: nn.SiLU(True), lambda x: F.silu(x, True)),
    (lambda: nn.Mish(True), lambda x: F.mish(x, True)),
    (lambda: nn.Dropout(0.5, True), lambda x: F.dropout(x, 0.5, True, True)),
    (lambda: nn.Dropout1d(0.5, True), lambda x: F.dropout1d(x, 0.5, True, True)),
    (lambda: nn.Dropout2d(0.5, True), lambda x: F.dropout2d(x, 0.5, True, True)),
]


@pytest.mark.parametrize(("layer", "function"), INPLACE, ids=lambda f: None)
def test_inplace_changes_nothing(
    layer: Callable[[], nn.Module], function: Callable[[gu.Tensor], gu.Tensor]
) -> None:
    x = gu.randn(3, 4, 5)
    before = x.clone()
    plain = type(layer())(*[a for a in _arguments(layer()) if a is not True])
    results = []
    for call in (layer(), plain, function):
        gu.manual_seed(0)
        results.append(call(x))
    assert gu.equal(x, before)
    assert not gu.equal(results[0], x)
    assert gu.equal(results[0], results[1])
    assert gu.equal(results[0], results[2])
    assert "inplace=True" in repr(layer())
    assert "inplace" not in repr(plain)


def _arguments(layer: nn.Module) -> list[object]:
    return list(vars(layer).values())[:-1] if not isinstance(layer, nn.Dropout) else [layer.p]
