"""Layers beside PyTorch's (R2.1, R2.3, R2.5).

The same weights, moved by name, and the same inputs give the same outputs, gradients and running
statistics, and 50 steps of plain SGD follow the same trajectory. Initial values have the same
distribution, arguments the same places and defaults.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy import stats

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

torch = pytest.importorskip("torch")

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}
STEPS = 50


@dataclass(frozen=True)
class Case:
    """One layer: its class, arguments, and the shape of its input."""

    kind: str
    args: tuple[Any, ...]
    shape: tuple[int, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        named = [f"{name}={value}" for name, value in self.kwargs.items()]
        return f"{self.kind}({', '.join([*map(str, self.args), *named])})-{self.shape}"


CASES = [
    Case("Sigmoid", (), (3, 4)),
    Case("Tanh", (), (3, 4)),
    Case("ReLU", (), (3, 4)),
    Case("LeakyReLU", (), (3, 4)),
    Case("LeakyReLU", (0.3,), (3, 4)),
    Case("ELU", (), (3, 4)),
    Case("ELU", (0.7,), (3, 4)),
    Case("GELU", (), (3, 4)),
    Case("GELU", ("tanh",), (3, 4)),
    Case("SiLU", (), (3, 4)),
    Case("Mish", (), (3, 4)),
    Case("Softplus", (), (3, 4)),
    Case("Softplus", (2.5,), (3, 4)),
    Case("LogSigmoid", (), (3, 4)),
    Case("Softmax", (1,), (3, 4)),
    Case("Softmax", (0,), (3, 4, 2)),
    Case("LogSoftmax", (-1,), (3, 4)),
    Case("Identity", (), (3, 4)),
    Case("Flatten", (), (3, 4, 2)),
    Case("Unflatten", (1, (2, 2)), (3, 4, 2)),
    Case("Linear", (4, 3), (5, 4)),
    Case("Linear", (4, 3), (4,)),
    Case("Linear", (4, 3), (2, 5, 4), {"bias": False}),
    Case("Conv1d", (3, 4, 3), (2, 3, 9)),
    Case("Conv1d", (4, 6, 3), (2, 4, 9), {"stride": 2, "padding": 1, "groups": 2}),
    Case("Conv1d", (3, 4, 4), (2, 3, 9), {"padding": "same", "dilation": 2}),
    Case("Conv1d", (3, 4, 3), (3, 9), {"padding": 2, "padding_mode": "reflect"}),
    Case("Conv2d", (3, 4, 3), (2, 3, 6, 7)),
    Case("Conv2d", (3, 4, (2, 3)), (3, 6, 7), {"stride": (2, 1), "padding": (1, 2)}),
    Case("Conv2d", (4, 4, 3), (2, 4, 8, 8), {"groups": 4, "bias": False, "dilation": 2}),
    Case("Conv2d", (2, 3, 3), (2, 2, 5, 5), {"padding": 1, "padding_mode": "circular"}),
    Case("Conv2d", (2, 3, 3), (2, 2, 5, 5), {"padding": 2, "padding_mode": "replicate"}),
    Case("Conv2d", (2, 3, 4), (2, 2, 5, 5), {"padding": "same", "padding_mode": "reflect"}),
    Case("Conv2d", (2, 3, 4), (2, 2, 5, 5), {"padding": "valid", "padding_mode": "reflect"}),
    Case("ConvTranspose1d", (3, 4, 3), (2, 3, 5)),
    Case(
        "ConvTranspose1d",
        (4, 6, 3),
        (2, 4, 5),
        {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2, "dilation": 2},
    ),
    Case("ConvTranspose2d", (3, 4, 2), (2, 3, 4, 5), {"stride": 2}),
    Case("ConvTranspose2d", (4, 2, (3, 2)), (4, 4, 5), {"padding": (1, 0), "bias": False}),
    Case("MaxPool1d", (2,), (2, 3, 7)),
    Case("MaxPool1d", (3, 2, 1), (3, 8), {"ceil_mode": True}),
    Case("MaxPool2d", (2,), (2, 3, 6, 6)),
    Case("MaxPool2d", ((3, 2), 2, (1, 0)), (2, 3, 7, 8), {"ceil_mode": True}),
    Case("MaxPool2d", (2, 1, 0, 2), (2, 3, 6, 6)),
    Case("AvgPool1d", (2,), (2, 3, 7)),
    Case("AvgPool1d", (3, 2, 1, True, False), (3, 8)),
    Case("AvgPool2d", (2,), (2, 3, 6, 6)),
    Case("AvgPool2d", (3, 2, 1, True), (2, 3, 6, 8)),
    Case("AvgPool2d", (2, 2), (2, 3, 6, 8), {"divisor_override": 3}),
    Case("AdaptiveAvgPool1d", (3,), (2, 3, 7)),
    Case("AdaptiveAvgPool2d", (1,), (2, 3, 6, 7)),
    Case("AdaptiveAvgPool2d", ((3, None),), (2, 3, 6, 7)),
    Case("AdaptiveAvgPool2d", ((8, 4),), (3, 6, 7)),
    Case("Upsample", (), (2, 3, 5), {"scale_factor": 2}),
    Case("Upsample", ((7, 4),), (2, 3, 5, 5)),
    Case("Upsample", (), (2, 3, 5, 4), {"scale_factor": 1.7, "mode": "bilinear"}),
    Case("Upsample", ((3, 9), None, "bicubic", True), (2, 3, 5, 4)),
    Case("BatchNorm1d", (4,), (6, 4)),
    Case("BatchNorm1d", (4,), (3, 4, 5), {"momentum": None, "eps": 1e-3}),
    Case("BatchNorm1d", (4,), (6, 4), {"affine": False}),
    Case("BatchNorm2d", (3,), (4, 3, 4, 5)),
    Case("BatchNorm2d", (3,), (4, 3, 4, 5), {"track_running_stats": False, "momentum": 0.3}),
    Case("LayerNorm", (5,), (3, 4, 5)),
    Case("LayerNorm", ((4, 5),), (3, 4, 5), {"bias": False}),
    Case("LayerNorm", ((4, 5),), (3, 4, 5), {"elementwise_affine": False, "eps": 0.1}),
    Case("RMSNorm", (5,), (3, 4, 5)),
    Case("RMSNorm", ((4, 5),), (3, 4, 5), {"eps": 0.1}),
    Case("RMSNorm", (5,), (3, 5), {"elementwise_affine": False}),
    Case("GroupNorm", (2, 4), (3, 4, 5)),
    Case("GroupNorm", (4, 4), (3, 4, 3, 3), {"affine": False}),
    Case("GroupNorm", (1, 4), (3, 4), {"eps": 0.1}),
    Case("Dropout", (0.0,), (3, 4)),
    Case("Dropout1d", (1.0,), (2, 3, 4)),
    Case("Dropout2d", (1.0,), (2, 3, 4, 4)),
]


def pair(case: Case, dtype: str) -> tuple[nn.Module, Any]:
    """Ours and theirs with the same state: random, moved from theirs by name."""
    torch.manual_seed(1)
    theirs = getattr(torch.nn, case.kind)(*case.args, **case.kwargs).to(getattr(torch, dtype))
    ours = getattr(nn, case.kind)(*case.args, **case.kwargs).to(dtype)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    moved = {name: x.numpy() for name, x in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(moved)
    ours.load_state_dict(moved)
    return ours, theirs


def close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    a, b = np.asarray(ours), np.asarray(theirs)
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    scale = max(1.0, float(np.abs(b).max(initial=0)))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_gradients_and_trajectories(case: Case, dtype: str) -> None:
    """Also the input is changed by the steps, so that layers without parameters move too."""
    ours, theirs = pair(case, dtype)
    tolerance = TOLERANCE[dtype]
    source = np.random.default_rng(2)
    start = source.standard_normal(case.shape).astype(dtype)
    x = gu.tensor(start, requires_grad=True)
    y = torch.tensor(start, requires_grad=True)
    shape = copy.deepcopy(theirs)(y).shape
    target = source.standard_normal(shape).astype(dtype)
    rate = 0.2
    for step in range(STEPS):
        out, other = ours(x), theirs(y)
        close(out.detach(), other.detach(), tolerance, f"output at step {step}")
        (out - gu.tensor(target)).square().mean().backward()
        (other - torch.tensor(target)).square().mean().backward()
        for (name, p), (_, q) in zip(
            [("input", x), *ours.named_parameters()],
            [("input", y), *theirs.named_parameters()],
            strict=True,
        ):
            close(p.grad, q.grad, 10 * tolerance, f"gradient of {name} at step {step}")
            with gu.no_grad(), torch.no_grad():
                p.sub_(p.grad, alpha=rate)
                q.sub_(q.grad, alpha=rate)
            p.grad = q.grad = None
    for name, value in theirs.state_dict().items():
        close(ours.state_dict()[name], value, tolerance, f"{name} after {STEPS} steps")
    close(x.detach(), y.detach(), tolerance, f"input after {STEPS} steps")
    out, other = ours.eval()(x), theirs.eval()(y)
    close(out.detach(), other.detach(), tolerance, "output in evaluation")


INITIALISED = [
    Case("Linear", (90, 110), ()),
    Case("Conv1d", (30, 40, 5), (), {"groups": 2}),
    Case("Conv2d", (20, 30, (3, 5)), ()),
    Case("ConvTranspose1d", (40, 30, 5), (), {"groups": 2}),
    Case("ConvTranspose2d", (30, 20, 4), ()),
]


@pytest.mark.parametrize("case", INITIALISED, ids=str)
def test_initial_values_have_the_same_distribution(case: Case, seed: int) -> None:
    torch.manual_seed(seed)
    draws: dict[str, tuple[list[Any], list[Any]]] = {"weight": ([], []), "bias": ([], [])}
    for _ in range(20):
        ours = getattr(nn, case.kind)(*case.args, **case.kwargs)
        theirs = getattr(torch.nn, case.kind)(*case.args, **case.kwargs)
        for name, (a, b) in draws.items():
            a.append(getattr(ours, name).detach().numpy().ravel())
            b.append(getattr(theirs, name).detach().numpy().ravel())
    for name, found in draws.items():
        a, b = np.concatenate(found[0]), np.concatenate(found[1])
        assert a.std() == pytest.approx(b.std(), rel=0.05), name
        assert np.abs(a).max() == pytest.approx(np.abs(b).max(), rel=0.02), name
        assert stats.ks_2samp(a, b).pvalue > 1e-3, name


@pytest.mark.parametrize(
    "call",
    [
        lambda init, w: init.uniform_(w, -2, 3),
        lambda init, w: init.normal_(w, 1, 2),
        lambda init, w: init.trunc_normal_(w, 0.5, 1.5, -1, 1),
        lambda init, w: init.constant_(w, 3),
        lambda init, w: init.xavier_uniform_(w, 1.5),
        lambda init, w: init.xavier_normal_(w, 1.5),
        lambda init, w: init.kaiming_uniform_(w),
        lambda init, w: init.kaiming_uniform_(w, 0.3, "fan_out"),
        lambda init, w: init.kaiming_normal_(w, nonlinearity="relu"),
        lambda init, w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"),
        lambda init, w: init.orthogonal_(w, 2.0),
    ],
)
def test_initialisation_functions_have_the_same_distribution(
    call: Callable[[Any, Any], Any], seed: int
) -> None:
    torch.manual_seed(seed)
    shape = (60, 20, 3, 3)
    a = call(nn.init, gu.empty(shape)).numpy().ravel()
    b = call(torch.nn.init, torch.empty(shape)).numpy().ravel()
    assert a.mean() == pytest.approx(b.mean(), abs=5 * float(b.std() + 1e-9) / len(b) ** 0.5)
    assert a.std() == pytest.approx(b.std(), rel=0.03)
    assert stats.ks_2samp(a, b).pvalue > 1e-3 or (a == b).all()


def test_gains() -> None:
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.4) == torch.nn.init.calculate_gain(
        "leaky_relu", 0.4
    )


OURS_ALONE = {"Residual", "Summary"}
DIFFERENT = {
    ("Softmax", "dim"): "must be given; PyTorch's None is deprecated there",
    ("LogSoftmax", "dim"): "must be given; PyTorch's None is deprecated there",
    ("Identity", "args"): "no argument",
    ("Sequential", "modules"): "a name for what PyTorch calls args",
    ("Parameter", "data"): "must be given",
    ("Buffer", "data"): "must be given",
}
LAYERS = sorted(
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value)
    and value.__module__.rsplit(".", 1)[-1]
    in (
        "activation",
        "container",
        "convolution",
        "dropout",
        "linear",
        "module",
        "normalization",
        "pooling",
        "residual",
    )
)
MINE = (
    "activation",
    "dropout",
    "normalization",
    "resize",
    "similarity",
    "convolution",
    "functions",
)


def signature(function: Any) -> Any:
    """None where PyTorch's is written in C++, or dispatches on a flag, and tells nothing."""
    try:
        found = inspect.signature(function)
    except ValueError:
        return None
    return None if list(found.parameters) == ["args", "kwargs"] else found


FUNCTIONS = sorted(
    name
    for name in F.__all__
    if getattr(F, name).__module__.rsplit(".", 1)[-1] in MINE
    and signature(getattr(torch.nn.functional, name)) is not None
)


def same_arguments(name: str, ours: Any, theirs: Any) -> None:
    """Every argument of ours is theirs: same name, same place, same default."""
    places = list(theirs.parameters)
    for i, (argument, mine) in enumerate(ours.parameters.items()):
        if (name, argument) in DIFFERENT or argument in ("generator", "dtype"):
            continue
        assert argument in places, f"{name} has no {argument} in PyTorch"
        default = theirs.parameters[argument].default
        assert mine.default == default, f"{name}: {argument}={mine.default}, PyTorch has {default}"
        if mine.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            assert places.index(argument) == i, f"{name}: {argument} stands in another place"


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in OURS_ALONE])
def test_layers_have_the_arguments_and_defaults_of_pytorch(name: str) -> None:
    same_arguments(
        name, inspect.signature(getattr(nn, name)), inspect.signature(getattr(torch.nn, name))
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_arguments_and_defaults_of_pytorch(name: str) -> None:
    theirs = signature(getattr(torch.nn.functional, name))
    same_arguments(name, signature(getattr(F, name)), theirs)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attributes_have_pytorch_s_values(case: Case) -> None:
    ours, theirs = pair(case, "float32")
    for name, value in vars(ours).items():
        if isinstance(value, gu.Tensor) or name in ("generator", "training"):
            continue
        other = getattr(theirs, name)
        if isinstance(other, tuple) and isinstance(value, int):
            value = (value,) * len(other)
        assert value == other, name


SHOWN = [
    case
    for case in CASES
    # PyTorch shows arguments that are not there here (inplace, threshold, bias of a normalisation),
    # and numbers as they were converted.
    if not case.kind.startswith(("AvgPool1d", "Batch", "Dropout", "Group", "Softplus", "Upsample"))
]


@pytest.mark.parametrize("case", SHOWN, ids=str)
def test_layers_are_shown_as_pytorch_shows_them(case: Case) -> None:
    ours, theirs = pair(case, "float32")
    assert repr(ours).replace("'", "") == repr(theirs).replace("'", "")


def test_names_shapes_and_order_of_a_whole_network_s_state() -> None:
    def build(lib: Any) -> Any:
        return lib.Sequential(
            lib.Conv2d(1, 4, 3),
            lib.BatchNorm2d(4),
            lib.Sequential(lib.ReLU(), lib.ModuleList([lib.LayerNorm(3)])),
            lib.ModuleDict({"head": lib.Linear(3, 2), "more": lib.ParameterList()}),
        )

    ours, theirs = build(nn), build(torch.nn)
    assert {n: x.shape for n, x in ours.state_dict().items()} == {
        n: tuple(x.shape) for n, x in theirs.state_dict().items()
    }
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    ours.load_state_dict(theirs.state_dict())  # PyTorch's tensors are arrays enough
    assert gu.equal(ours[0].weight, gu.tensor(theirs[0].weight.detach().numpy()))


def test_the_gradient_through_a_step_of_learning_is_pytorch_s() -> None:
    """Second-order gradients through ``functional_call`` (R1.2)."""

    def build(lib: Any) -> Any:
        return lib.Sequential(lib.Linear(3, 4), lib.Tanh(), lib.LayerNorm(4), lib.Linear(4, 1))

    theirs = build(torch.nn).double()
    ours = build(nn).double()
    ours.load_state_dict(theirs.state_dict())
    source = np.random.default_rng(0)
    x = source.standard_normal((5, 3))

    def gradients(net: Any, lib: Any, call: Any) -> list[Any]:
        grad = lib.autograd.grad if lib is torch else gu.grad
        data = lib.tensor(x)
        parameters = dict(net.named_parameters())
        for _ in range(3):
            loss = (call(net, parameters, (data,)) - 1).square().mean()
            found = grad(loss, list(parameters.values()), create_graph=True)
            parameters = {
                n: p - 0.1 * g for (n, p), g in zip(parameters.items(), found, strict=True)
            }
        loss = call(net, parameters, (data * 2,)).square().mean()
        return list(grad(loss, list(net.parameters())))

    a = gradients(ours, gu, gu.functional_call)
    b = gradients(theirs, torch, torch.func.functional_call)
    for p, q in zip(a, b, strict=True):
        close(p, q, 1e-9, "gradient")


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("bound", [0.1, 100.0])
def test_clipping(p: float, bound: float) -> None:
    source = np.random.default_rng(0)
    start = [source.standard_normal(shape) for shape in ((3, 2), (4,), ())]
    ours = [nn.Parameter(gu.tensor(s)) for s in start]
    theirs = [torch.nn.Parameter(torch.tensor(s)) for s in start]
    for a, b, s in zip(ours, theirs, start, strict=True):
        a.grad, b.grad = gu.tensor(s * 3), torch.tensor(s * 3)
    total = nn.utils.clip_grad_norm_(ours, bound, p)
    other = torch.nn.utils.clip_grad_norm_(theirs, bound, p)
    close(total, other, 1e-12, "norm")
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad, 1e-12, "clipped by norm")
    nn.utils.clip_grad_value_(ours, 0.05)
    torch.nn.utils.clip_grad_value_(theirs, 0.05)
    for a, b in zip(ours, theirs, strict=True):
        close(a.grad, b.grad, 1e-12, "clipped by value")
    vector = nn.utils.parameters_to_vector(ours)
    close(vector.detach(), torch.nn.utils.parameters_to_vector(theirs).detach(), 0, "vector")
