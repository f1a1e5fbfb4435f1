"""Network diagrams: which models can be drawn, as what, and what is said of the others."""

# R3.13

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.viz.diagrams import (
    SVG,
    Element,
    columns,
    digits_cnn,
    mlp,
    parse,
    parts,
    put,
    texts,
    value,
)

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, viz
from groundup.viz import network_marks as marks

# ------------------------------------------------------------------------------ chains of layers


class Net(nn.Module):
    """Layers in a list, activations called as functions, declared in another order than run."""

    def __init__(self) -> None:
        self.last = nn.Linear(4, 2)
        self.layers = [nn.Linear(6, 5), nn.Linear(5, 4)]

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        x = self.layers[0](x.flatten(1)).relu()
        x = F.gelu(self.layers[1](x))
        return self.last(x).softmax(1)


def test_layers_are_found_in_the_order_in_which_they_run() -> None:
    model = Net()
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    root = parse(viz.network(model, x))
    assert [len(column) for column in columns(root)] == [6, 5, 4, 2]
    under = texts(root)
    assert under.index("relu") < under.index("in forward") < under.index("softmax")
    output = model(gu.tensor(x[None], dtype=gu.float32)).detach().numpy()[0]
    np.testing.assert_allclose([value(c, 1.0) for c in columns(root)[-1]], output, atol=1e-3)
    hidden = np.maximum(
        model.layers[0].weight.detach().numpy() @ x.reshape(-1)
        + model.layers[0].bias.detach().numpy(),
        0,
    )
    np.testing.assert_allclose([value(c, 1.0) for c in columns(root)[1]], hidden, atol=2e-3)


def test_activations_sizes_and_labels_are_written() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.LeakyReLU(), nn.Linear(4, 2), nn.Softmax(1))
    written = texts(parse(viz.network(model, labels=["x1", "x2"], output_labels=["sum", "carry"])))
    assert {
        "x1",
        "x2",
        "sum",
        "carry",
        "2 inputs",
        "4",
        "LeakyReLU",
        "2 outputs",
        "Softmax",
    } <= set(written)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 1, 8, 8)])
def test_a_convolutional_network(shape: tuple[int, ...]) -> None:
    model = digits_cnn()
    x = np.random.default_rng(0).random(shape)
    root = parse(viz.network(model, x))
    blocks = [texts(block)[0] for block in parts(root, "block")]
    assert blocks == ["Input", "Conv2d", "MaxPool2d", "Conv2d"]
    assert {"1×8×8", "16×6×6", "16×3×3", "32×1×1", "16 of 512 kernels", "Flatten"} <= set(
        texts(root)
    )
    assert [len(column) for column in columns(root)] == [32, 10]
    output = model(gu.tensor(x.reshape(1, 1, 8, 8), dtype=gu.float32)).detach().numpy()[0]
    exact = max(1.0, float(np.abs(output).max()))
    drawn = [value(c, exact) for c in columns(root)[-1]]
    np.testing.assert_allclose(drawn, output, atol=1e-3 * exact)


def picture(group: Element, height: int, width: int) -> np.ndarray:
    """The levels of a picture's cells, between -1 and 1."""
    found = np.zeros((height, width))
    for path in group.iter(f"{SVG}path"):
        if path.get("fill"):
            for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1", path.get("d", "")):
                found[int(y), int(x) : int(x) + int(run)] = value(path, 1.0)
    return found


def test_kernels_and_maps_are_those_of_the_model() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh())
    x = np.random.default_rng(1).normal(size=(2, 6, 5))
    block = parts(parse(viz.network(model, x)), "block")[1]
    kernels, maps = parts(block, "pictures")
    weight = model[0].weight.detach().numpy().reshape(6, 3, 3)
    half = 0.5 / marks.LEVELS + 1e-3
    assert (len(kernels), len(maps)) == (6, 3)
    for group, kernel in zip(kernels, weight / np.abs(weight).max(), strict=True):
        np.testing.assert_allclose(picture(group, 3, 3), kernel, atol=half)
    output = model(gu.tensor(x[None], dtype=gu.float32)).detach().numpy()[0]
    for group, expected in zip(maps, output, strict=True):
        np.testing.assert_allclose(picture(group, 4, 3), expected, atol=half)
    # Negative cells have a minus sign in them.
    strong = int((weight[0] / np.abs(weight).max() <= -0.25).sum())
    signs = [p.get("d", "").count("M") for p in kernels[0].iter(f"{SVG}path") if p.get("stroke")]
    assert sum(signs) >= strong > 0


def test_large_pictures_are_reduced_to_their_means() -> None:
    image = np.kron(np.array([[0.0, 1.0], [0.5, -1.0]]), np.ones((60, 60)))[None]
    root = parse(viz.network(nn.Sequential(nn.AvgPool2d(60), nn.Conv2d(1, 1, 1)), image))
    shown = parts(parts(root, "block")[0], "pictures")[0][0]
    drawn = picture(shown, 30, 30)
    np.testing.assert_allclose(drawn, image[0, ::4, ::4], atol=0.5 / marks.LEVELS + 1e-3)


class Recurrent(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        self.embed = nn.Embedding(10, 4)
        self.rnn = nn.LSTM(4, 6, batch_first=batch_first)
        self.out = nn.Linear(6, 3)
        self.last = (slice(None), -1) if batch_first else -1

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.out(self.rnn(self.embed(x))[0][self.last])


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_recurrent_network(batch_first: bool) -> None:
    model = Recurrent(batch_first)
    root = parse(viz.network(model, [3, 1, 4, 1, 5]))
    assert [texts(block)[0] for block in parts(root, "block")] == ["Input", "Embedding", "LSTM"]
    assert {"5×4", "5×6", "10 → 4", "4 → 6"} <= set(texts(root))
    batch = gu.tensor([[3, 1, 4, 1, 5]])
    output = model(batch if batch_first else batch.T).detach().numpy()[0]
    np.testing.assert_allclose([value(c, 1.0) for c in columns(root)[-1]], output, atol=1e-3)


def test_a_linear_layer_over_a_sequence_shows_its_last_element() -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 3), nn.Dropout(), nn.Linear(3, 2))
    root = parse(viz.network(model, [3, 1, 4]))
    output = model.eval()(gu.tensor([[3, 1, 4]])).detach().numpy()[0, -1]
    np.testing.assert_allclose([value(c, 1.0) for c in columns(root)[-1]], output, atol=1e-3)
    assert texts(root).count("last of 3") == 3


def test_other_layers_are_blocks() -> None:
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm1d(4),
        nn.Residual(nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.ReLU())),
        nn.Dropout(0.25),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 1),
    )
    root = parse(viz.network(model, np.ones((2, 8))))
    names = ["Input", "Conv1d", "BatchNorm1d", "Residual", "Dropout", "AdaptiveAvgPool1d"]
    assert [texts(block)[0] for block in parts(root, "block")] == names
    assert {"2 → 4", "3, stride 2,", "x + Conv1d", "4×4"} <= set(texts(root))


# ---------------------------------------------------------------------- the model is only looked at


def test_values_are_those_of_evaluation_and_the_model_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.9), nn.Linear(8, 2))
    model[2].eval()
    state = {name: x.clone() for name, x in model.state_dict().items()}
    stream = gu.engine.random.default_generator.get_state()
    root = parse(viz.network(model, [1.0, 2.0, 3.0, 4.0]))
    assert all(gu.equal(x, state[name]) for name, x in model.state_dict().items())
    assert gu.engine.random.default_generator.get_state() == stream
    assert [m.training for m in model] == [True, True, False, True]
    assert all(m._hooks is None for m in model.modules())
    hidden = model[0](gu.tensor([[1.0, 2.0, 3.0, 4.0]])).detach().numpy()[0] / np.sqrt(1 + 1e-5)
    exact = max(1.0, float(np.abs(hidden).max()))
    drawn = [value(circle, exact) for circle in columns(root)[1]]
    np.testing.assert_allclose(drawn, hidden, atol=1e-3 * exact)
    assert {"BatchNorm1d", "Dropout 0.9"} <= set(texts(root))


def test_hooks_are_gone_after_a_failure() -> None:
    model = mlp(2, 2, 1)
    with pytest.raises(ValueError, match="cannot take an input"):
        viz.network(model, [1, 2, 3])
    assert all(m._hooks is None for m in model.modules())
    assert gu.engine.base.mode.observers == ()


# ------------------------------------------------------------------------------ errors


class Own(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(2, 2)
        self.matrix = nn.Parameter(gu.ones(2, 2))

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.first(x) @ self.matrix


class Skip(nn.Module):
    def __init__(self, end: bool) -> None:
        self.a, self.b, self.end = nn.Linear(2, 2), nn.Linear(2, 2), end

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return x + self.b(self.a(x)) if self.end else self.b(self.a(x) + x)


class Heads(nn.Module):
    def __init__(self) -> None:
        self.body, self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, x: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        x = self.body(x)
        return self.one(x), self.two(x)


class Slice(nn.Module):
    def __init__(self) -> None:
        self.a, self.b = nn.Linear(2, 4), nn.Linear(2, 1)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.b(self.a(x)[:, :2])


def with_nan() -> nn.Module:
    model = nn.Linear(2, 1)
    put(model.weight, [[1.0, float("nan")]])
    return model


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (Own(), None, r"Own computes with a parameter of its own \(matrix\).*supported are Linear"),
        (nn.Sequential(nn.ReLU(), Own()), [1, 2], "Own '1' computes with a parameter"),
        (Skip(False), [1, 2], "Linear 'b' takes values of the input, not only those of Linear 'a'"),
        (Skip(True), [1, 2], "the model's output takes values of the input"),
        (Heads(), [1, 2], "Linear 'two' takes values of Linear 'body', not only.*Linear 'one'"),
        (Slice(), [1, 2], "Linear 'b' takes 2 numbers where the layer before it gives 4"),
        (mlp(2, 1), [1, 2, 3], r"input of shape \(1, 3\).*Linear\(2, 1\): input has 3 features"),
        (mlp(2, 1), np.ones((5, 2)), "the input holds 5 examples for Linear '0'.*pass one of them"),
        (mlp(2, 1), [1, float("inf")], "input: 1 of 2 values is not finite"),
        (mlp(2, 1), "ab", "input: expected real numbers"),
        (with_nan(), None, "weight of Linear: 1 of 2 values is not finite"),
        (digits_cnn(), None, "Conv2d, its first layer, cannot be known without an example"),
        (digits_cnn(), np.ones((3, 1, 8, 8)), r"shape \(3, 1, 8, 8\) holds 3 examples.*x\[:1\]"),
        (digits_cnn(), np.ones((1, 12, 12)), "cannot take an input of shape"),
        (Recurrent(False), np.ones((3, 5)), r"holds 5 examples.*x\[:, :1\]"),
        (Recurrent(True), [0.5], "tokens, which are whole numbers"),
        (nn.Sequential(), [1.0], "runs no layer"),
    ],
)
def test_errors_say_what_was_given_and_what_to_do(
    model: nn.Module, example: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        viz.network(model, example)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, "labels: 1 names, expected a sequence of 2 names"),
        ({"labels": "ab"}, "labels: the text 'ab', expected a sequence of 2"),
        ({"output_labels": list("abc")}, "output_labels: 3 names, expected a sequence of 1"),
        ({"max_nodes": 1}, "max_nodes is 1, expected a whole number of at least 2"),
        ({"max_nodes": 4.0}, "max_nodes is 4.0"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        viz.network(mlp(2, 1), **options)


def test_labels_need_nodes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    x = np.ones((1, 4, 4))
    with pytest.raises(ValueError, match="labels: the network does not begin with nodes"):
        viz.network(model, x, labels=["a"])
    with pytest.raises(ValueError, match="output_labels: the network does not end with nodes"):
        viz.network(model, x, output_labels=["a"])


def test_what_is_not_a_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"an nn\.Module, got function"):
        viz.network(lambda x: x)
