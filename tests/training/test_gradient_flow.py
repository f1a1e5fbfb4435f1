"""R2.10: what comes through each layer, and what arrives there on the way back."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F
from groundup import nn
from groundup.training import LayerFlow, gradient_flow

GAINS = st.lists(st.floats(-3, 3).filter(lambda w: abs(w) > 0.1), min_size=1, max_size=12)


def chain(gains: list[float], width: int) -> nn.Sequential:
    """Linear layers that multiply by one number each."""
    layers = [nn.Linear(width, width, bias=False).double() for _ in gains]
    for layer, gain in zip(layers, gains, strict=True):
        layer.load_state_dict({"weight": gain * gu.eye(width, dtype=gu.float64)})
    return nn.Sequential(*layers)


@given(GAINS, st.integers(1, 4), st.integers(1, 5))
def test_chain_of_linear_layers(gains: list[float], width: int, examples: int) -> None:
    """Forward the product of the gains so far, backward that of the gains still to come."""
    model = chain(gains, width)
    x = gu.randn(examples, width, generator=gu.Generator(1), dtype=gu.float64)

    def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        return (output * target).sum(1).mean()  # its gradient for each example is the target

    flow = gradient_flow(model, loss, (x, gu.full_like(x, 2.0)))
    rms = math.sqrt(x.square().mean().item())
    pairs = gu.einsum("ni,nj->ij", gu.full_like(x, 2.0), x).norm().item() / examples
    assert list(flow) == [str(i) for i in range(len(gains))]
    for i in range(len(gains)):
        before, upto = math.prod(gains[:i]), math.prod(gains[: i + 1])
        after = math.prod(gains[i + 1 :])
        assert flow[str(i)].activation == pytest.approx(abs(upto) * rms)
        assert flow[str(i)].gradient == pytest.approx(2 * abs(after))
        assert flow[str(i)].weight == pytest.approx(abs(before * after) * pairs)


def test_six_sigmoids_leave_at_most_a_quarter_each() -> None:
    """With weights of orthonormal rows the bound of the derivative is that of the whole layer."""
    gu.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(6):
        layers += [nn.Linear(8, 8), nn.Sigmoid()]
        nn.init.orthogonal_(layers[-2].weight)
    flow = gradient_flow(nn.Sequential(*layers), F.mse_loss, (gu.randn(5, 8), gu.zeros(5, 8)))
    gradients = [flow[str(i)].gradient for i in range(0, 12, 2)]
    for lower, upper in pairwise(gradients):
        assert 0 < lower <= upper / 4


@given(st.integers(1, 7))
def test_the_same_examples_again_change_nothing(times: int) -> None:
    gu.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = gu.randn(4, 3, dtype=gu.float64), gu.tensor([0, 1, 1, 0])
    once = gradient_flow(model, F.cross_entropy, (x, y))
    often = gradient_flow(model, F.cross_entropy, (gu.cat([x] * times), gu.cat([y] * times)))
    for name, layer in once.items():
        for measure in ("activation", "gradient", "weight"):
            assert getattr(often[name], measure) == pytest.approx(getattr(layer, measure))


def test_gradients_by_finite_differences() -> None:
    """A layer's gradient is how the loss answers when something is added to what it gives."""
    gu.manual_seed(2)
    model = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2)).double()
    x, y = gu.randn(4, 2, dtype=gu.float64), gu.tensor([0, 1, 1, 0])

    def shifted(shift: np.ndarray) -> float:
        with model[0].register_forward_hook(lambda module, args, out: out + gu.tensor(shift)):
            return float(F.cross_entropy(model(x), y))

    slopes = []
    for place in np.ndindex(4, 3):
        shift = np.zeros((4, 3))
        shift[place] = 1e-5
        slopes.append((shifted(shift) - shifted(-shift)) / 2e-5)
    found = gradient_flow(model, F.cross_entropy, (x, y))["0"].gradient
    assert found == pytest.approx(4 * math.sqrt(np.mean(np.square(slopes))), rel=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_found(task: Callable[..., Any], fails: bool) -> None:
    task = task()
    x, y = next(iter(task.data))
    task.loss(task.model(x), y).backward()
    own = nn.Dropout(0.5, generator=gu.Generator(3))
    model = nn.Sequential(task.model, own).train()
    model[0][1].eval()

    def everything() -> Any:
        return (
            {name: p.tolist() for name, p in model.state_dict().items()},
            [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
            [m.training for m in model.modules()],
            [m._hooks for m in model.modules()],
            gu.engine.random.default_generator.get_state(),
            own.generator.get_state(),
            gu.is_grad_enabled(),
        )

    def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
        if fails:
            raise ZeroDivisionError
        return F.cross_entropy(output, target)

    before = str(everything())
    if fails:
        with pytest.raises(ZeroDivisionError):
            gradient_flow(model, loss, (x, y))
    else:
        with gu.no_grad():
            first = gradient_flow(model, loss, (x, y))
        assert first == gradient_flow(model, loss, (x, y))
        model[0][1].train()  # its running statistics move in this mode
        gradient_flow(model, loss, (x, y))
        model[0][1].eval()
    assert str(everything()) == before


def test_small_gradients_do_not_become_zero() -> None:
    """1e-30 can be told in float32, its square cannot."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model.load_state_dict({"0.weight": [[1.0]], "1.weight": [[1e-30]]})
    flow = gradient_flow(model, lambda output, target: output.mean(), (gu.ones(2, 1), gu.ones(2)))
    assert flow["0"].gradient == pytest.approx(1e-30)
    assert flow["0"].weight == pytest.approx(1e-30)


class Twice(nn.Module):
    """One layer that is called twice, one that is not, and one that the loss does not see."""

    def __init__(self) -> None:
        self.shared = nn.Linear(2, 2)
        self.idle = nn.Linear(2, 2)
        self.aside = nn.Linear(2, 2)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        self.aside(x)
        return self.shared(self.shared(x))


def test_layers_called_twice_never_and_in_vain() -> None:
    model, x = Twice(), gu.randn(3, 2, generator=gu.Generator(0))
    flow = gradient_flow(model, F.mse_loss, (x, gu.zeros(3, 2)))
    assert list(flow) == ["aside", "shared"]
    assert flow["aside"].gradient == flow["aside"].weight == 0.0 < flow["aside"].activation
    both = gu.cat([model.shared(x), model.shared(model.shared(x))])
    assert flow["shared"].activation == pytest.approx(both.square().mean().item() ** 0.5)


def test_chosen_layers() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(3, 1))
    batch = (gu.randn(3, 2, generator=gu.Generator(0)), gu.zeros(3, 1))
    default = gradient_flow(model, F.mse_loss, batch)
    assert list(default) == ["0.0", "0.1", "2"]
    chosen = gradient_flow(model, F.mse_loss, batch, layers=["", "0"])
    assert list(chosen) == ["0", ""]  # as they end
    block = chosen["0"]
    assert block == LayerFlow(default["0.1"].activation, default["0.1"].gradient, block.weight)
    assert block.weight == pytest.approx(default["0.0"].weight)
    whole = math.hypot(default["0.0"].weight, default["2"].weight)
    assert chosen[""].weight == pytest.approx(whole)


def test_frozen_embeddings_and_layers_of_several_results() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            self.words = nn.Embedding(5, 3)
            self.states = nn.LSTM(3, 4, batch_first=True)
            self.answer = nn.Linear(4, 2)

        def forward(self, tokens: gu.Tensor) -> gu.Tensor:
            outputs, _ = self.states(self.words(tokens))
            return self.answer(outputs[:, -1])

    gu.manual_seed(0)
    model, batch = Reader(), (gu.tensor([[0, 1, 2], [3, 4, 0]]), gu.tensor([0, 1]))
    free = gradient_flow(model, F.cross_entropy, batch)
    model.requires_grad_(False)
    frozen = gradient_flow(model, F.cross_entropy, batch)
    assert list(free) == list(frozen) == ["words", "states", "answer"]
    for name, layer in frozen.items():
        assert layer.gradient == pytest.approx(free[name].gradient) != 0
        assert layer.weight == 0 != free[name].weight


def test_errors_say_what_to_do() -> None:
    batch = (gu.ones(2, 2), gu.zeros(2, 2))
    with pytest.raises(KeyError, match="Linear has no module 'x'; it has ''"):
        gradient_flow(nn.Linear(2, 2), F.mse_loss, batch, layers=["x"])
    with pytest.raises(ValueError, match=r"not called in the forward pass: idle"):
        gradient_flow(Twice(), F.mse_loss, batch, layers=["idle", "shared"])
    with pytest.raises(ValueError, match="name some with layers="):
        gradient_flow(nn.Flatten(), F.mse_loss, batch)
    with pytest.raises(TypeError, match="a batch is"):
        gradient_flow(nn.Linear(2, 2), F.mse_loss, batch[0])
