"""What layers guarantee, and how they refuse what does not fit (R2.1, R2.3, R2.5)."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

ACTIVATIONS = [
    nn.Sigmoid(),
    nn.Tanh(),
    nn.ReLU(),
    nn.LeakyReLU(),
    nn.ELU(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Softplus(),
    nn.LogSigmoid(),
    nn.Softmax(-1),
    nn.LogSoftmax(-1),
]


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_keep_shape_and_dtype_and_survive_extreme_inputs(
    layer: nn.Module, dtype: str
) -> None:
    x = gu.tensor([[-1e4, -80.0, -1.0, -1e-30, 0.0, 1e-30, 1.0, 80.0, 1e4]], dtype=dtype)
    x.requires_grad_()
    y = layer(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert gu.isfinite(y).all()
    y.sum().backward()
    assert gu.isfinite(x.grad).all()


@given(st.floats(-30, 30))
def test_activations_are_what_their_formulas_say(value: float) -> None:
    x = gu.tensor(value, dtype="float64")
    sigmoid = 1 / (1 + math.exp(-value))
    softplus = math.log1p(math.exp(-abs(value))) + max(value, 0)
    expected = {
        F.relu: max(value, 0.0),
        F.leaky_relu: value if value > 0 else 0.01 * value,
        F.elu: value if value > 0 else math.expm1(value),
        F.gelu: value * 0.5 * (1 + math.erf(value / math.sqrt(2))),
        F.silu: value * sigmoid,
        F.softplus: softplus,
        F.logsigmoid: -(math.log1p(math.exp(-abs(value))) + max(-value, 0)),
        F.mish: value * math.tanh(softplus),
        F.sigmoid: sigmoid,
        F.tanh: math.tanh(value),
    }
    for function, wanted in expected.items():
        assert function(x).item() == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@given(st.integers(1, 5), st.integers(1, 4))
def test_softmax_sums_to_one(rows: int, columns: int) -> None:
    x = gu.randn(rows, columns, dtype="float64") * 100
    np.testing.assert_allclose(nn.Softmax(1)(x).sum(1).numpy(), 1)
    np.testing.assert_allclose(nn.LogSoftmax(0)(x).exp().sum(0).numpy(), 1)


def test_linear_acts_on_the_last_dimension_of_any_shape() -> None:
    layer = nn.Linear(3, 2)
    x = gu.randn(4, 5, 3)
    y = layer(x)
    assert y.shape == (4, 5, 2)
    np.testing.assert_allclose(y[1, 2].detach(), layer(x[1, 2]).detach(), rtol=1e-5, atol=1e-6)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert nn.Linear(0, 2)(gu.ones(1, 0)).shape == (1, 2)
    assert nn.Linear(3, 2, dtype=gu.float64)(x.double()).dtype == gu.float64


def test_flatten_and_unflatten_undo_each_other() -> None:
    x = gu.randn(2, 3, 4)
    assert gu.equal(nn.Unflatten(1, (3, 4))(nn.Flatten()(x)), x)
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Identity(3, any="thing")(x) is x


# Normalisation


@pytest.mark.parametrize(
    ("layer", "dims"),
    [
        (nn.BatchNorm1d(4), (0, 2)),
        (nn.LayerNorm((4, 5)), (1, 2)),
        (nn.LayerNorm(5), (2,)),
        (nn.GroupNorm(1, 4), (1, 2)),
    ],
    ids=repr,
)
def test_normalised_outputs_have_mean_zero_and_variance_one(
    layer: nn.Module, dims: tuple[int, ...], seed: int
) -> None:
    x = gu.randn(30, 4, 5, dtype="float64") * 7 + 100
    y = layer.double()(x).detach().numpy()
    np.testing.assert_allclose(y.mean(dims), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(dims), 1, rtol=1e-4)


def test_normalisation_ignores_scale_and_shift_of_its_input(seed: int) -> None:
    x = gu.randn(8, 6, 3, dtype="float64")
    shifting = [
        nn.BatchNorm1d(6, eps=0, track_running_stats=False),
        nn.LayerNorm(3, eps=0),
        nn.GroupNorm(2, 6, eps=0),
    ]
    for layer in shifting:
        layer.double()
        np.testing.assert_allclose(layer(x * 3 + 2).detach(), layer(x).detach(), rtol=1e-9)
    rms = nn.RMSNorm(3, eps=0).double()
    np.testing.assert_allclose(rms(x * 3).detach(), rms(x).detach(), rtol=1e-9)
    np.testing.assert_allclose(rms(x).detach().square().mean(-1), 1)


def test_group_norm_lies_between_layer_norm_and_instance_norm(seed: int) -> None:
    x = gu.randn(2, 4, 3, dtype="float64")
    one = nn.GroupNorm(1, 4).double()(x)
    np.testing.assert_allclose(one.detach(), F.layer_norm(x, (4, 3)), rtol=1e-12, atol=1e-12)
    each = nn.GroupNorm(4, 4).double()(x)
    np.testing.assert_allclose(each.detach(), F.layer_norm(x, (3,)), rtol=1e-12, atol=1e-12)


def test_running_statistics_converge_to_those_of_the_data(seed: int) -> None:
    layer, average = nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=None)
    means, variances = [], []
    for _ in range(60):
        x = gu.randn(200, 2) * gu.tensor([1.0, 3.0]) + gu.tensor([5.0, -2.0])
        layer(x)
        average(x)
        means.append(x.mean(0).numpy())
        variances.append(x.var(0).numpy())
    np.testing.assert_allclose(layer.running_mean, [5, -2], atol=0.2)
    np.testing.assert_allclose(layer.running_var, [1, 9], rtol=0.1)
    np.testing.assert_allclose(average.running_mean, np.mean(means, 0), rtol=1e-4)
    np.testing.assert_allclose(average.running_var, np.mean(variances, 0), rtol=1e-4)
    assert layer.num_batches_tracked.item() == 60
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


def test_evaluation_of_batch_norm_changes_nothing_and_sees_each_sample_alone(seed: int) -> None:
    layer = nn.BatchNorm2d(3)
    layer(gu.randn(4, 3, 5, 5))
    layer.eval()
    before = {name: x.clone() for name, x in layer.state_dict().items()}
    x = gu.randn(4, 3, 5, 5)
    np.testing.assert_allclose(layer(x)[:1].detach(), layer(x[:1]).detach(), rtol=1e-6)
    assert all(gu.equal(x, before[name]) for name, x in layer.state_dict().items())
    assert not layer.running_mean.requires_grad


def test_batch_norm_without_statistics_or_parameters() -> None:
    layer = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    assert layer.state_dict() == {}
    x = gu.randn(5, 2)
    assert gu.equal(layer(x), layer.eval()(x))


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation(p: float, seed: int) -> None:
    x = gu.ones(200, 200)
    y = nn.Dropout(p)(x)
    kept = y != 0
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.02)
    np.testing.assert_allclose(y.numpy()[kept.numpy()], 1 / (1 - p), rtol=1e-6)
    assert not gu.equal(y, nn.Dropout(p)(x))


def test_dropout_extremes_evaluation_and_gradient(seed: int) -> None:
    x = gu.randn(50, 4, requires_grad=True)
    assert nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).any()
    assert nn.Dropout(0.5).eval()(x) is x
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert gu.equal(x.grad * x, y)  # the gradient passes where the value passed, with its factor


def test_dropout_of_channels_drops_whole_channels(seed: int) -> None:
    for layer, shape in (
        (nn.Dropout1d(), (20, 10, 7)),
        (nn.Dropout1d(), (10, 7)),
        (nn.Dropout2d(), (20, 10, 3, 3)),
        (nn.Dropout2d(), (10, 3, 3)),
    ):
        n = 1 if isinstance(layer, nn.Dropout1d) else 2
        y = layer(gu.ones(shape)).numpy()
        flat = y.reshape(*shape[:-n], -1)
        assert (flat == flat[..., :1]).all()
        assert set(np.unique(y)) == {0.0, 2.0}


def test_dropout_takes_its_numbers_from_the_generator_it_is_given() -> None:
    x = gu.ones(100)
    state = gu.default_generator.get_state()
    a = nn.Dropout(generator=gu.Generator(1))(x)
    assert gu.equal(a, nn.Dropout(generator=gu.Generator(1))(x))
    assert gu.default_generator.get_state() == state
    gu.manual_seed(4)
    b = nn.Dropout()(x)
    gu.manual_seed(4)
    assert gu.equal(b, nn.Dropout()(x.double()).float())  # the same choice in every dtype


# Convolution, pooling, resizing


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_same_keeps_the_size_for_every_mode(mode: str) -> None:
    for kernel in (1, 2, 3, 4):
        for dilation in (1, 2):
            layer = nn.Conv2d(
                1, 2, kernel, padding="same", dilation=dilation, padding_mode=mode, bias=False
            )
            assert layer(gu.randn(1, 1, 9, 8)).shape == (1, 2, 9, 8)


def test_circular_convolution_commutes_with_rotation(seed: int) -> None:
    layer = nn.Conv1d(2, 3, 5, padding=2, padding_mode="circular")
    x = gu.randn(1, 2, 12)
    np.testing.assert_allclose(
        layer(x.roll(3, 2)).detach(), layer(x).roll(3, 2).detach(), rtol=1e-5, atol=1e-6
    )


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
def test_a_transposed_convolution_is_the_transpose(
    kernel: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    """<conv(x), y> = <x, conv_transpose(y)> with the same weight."""
    how: dict[str, Any] = {"bias": False, "dtype": gu.float64}
    forward = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups, **how)
    backward = nn.ConvTranspose2d(
        4, 2, kernel, stride, padding, dilation=dilation, groups=groups, **how
    )
    backward.load_state_dict(forward.state_dict())
    reach = dilation * (kernel - 1) + 1
    size = reach + stride * 3 - 2 * padding
    if size < 1:
        return
    x = gu.randn(2, 2, size, size, dtype="float64")
    y = gu.randn_like(forward(x).detach())
    left, right = (forward(x) * y).sum().item(), (x * backward(y)).sum().item()
    assert left == pytest.approx(right, rel=1e-9, abs=1e-9)


def test_groups_do_not_see_each_other(seed: int) -> None:
    layer = nn.Conv1d(4, 6, 3, groups=2)
    x = gu.randn(1, 4, 8)
    changed = x.clone()
    changed[:, :2] = 0
    assert gu.equal(layer(x)[:, 3:], layer(changed)[:, 3:])
    assert not gu.allclose(layer(x)[:, :3], layer(changed)[:, :3])


def test_pooling_of_a_constant_is_the_constant() -> None:
    x = gu.full((2, 3, 8, 8), 5.0)
    for layer in (
        nn.MaxPool2d(3, 2, 1),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AdaptiveAvgPool2d((3, 5)),
        nn.AdaptiveAvgPool2d((None, 1)),
        nn.Upsample(scale_factor=2),
        nn.Upsample((5, 13), mode="bilinear"),
        nn.Upsample((5, 13), mode="bicubic"),
        nn.Upsample((5, 13), mode="bilinear", align_corners=True),
    ):
        np.testing.assert_allclose(layer(x), 5, rtol=1e-6)


def test_adaptive_pooling_to_one_is_the_mean() -> None:
    x = gu.randn(2, 3, 7, 5)
    np.testing.assert_allclose(
        nn.AdaptiveAvgPool2d(1)(x).squeeze((2, 3)), x.mean((2, 3)), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        nn.AdaptiveAvgPool1d(1)(x[0]).squeeze(2), x[0].mean(2), rtol=1e-5, atol=1e-6
    )


def test_aligned_corners_stay_where_they_are() -> None:
    x = gu.randn(1, 1, 4, 4)
    y = F.interpolate(x, (9, 9), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(y[0, 0, ::8, ::8], x[0, 0, ::3, ::3], rtol=1e-6)


# Residual connections


def test_a_residual_block_adds_its_input() -> None:
    x = gu.randn(2, 3)
    layer = nn.Linear(3, 3)
    assert gu.equal(nn.Residual(layer)(x), x + layer(x))
    shortcut = nn.Linear(3, 4, bias=False)
    wide = nn.Residual(nn.Linear(3, 4), shortcut)
    assert list(wide.state_dict()) == ["module.weight", "module.bias", "shortcut.weight"]
    assert wide(x).shape == (2, 4)


def test_residual_connections_keep_the_gradient_of_a_deep_network_alive(seed: int) -> None:
    def gradient(wrap: Any) -> float:
        blocks = [
            nn.Sequential(nn.Linear(16, 16, generator=gu.Generator(i)), nn.Tanh())
            for i in range(40)
        ]
        x = gu.ones(1, 16, requires_grad=True)
        nn.Sequential(*[wrap(block) for block in blocks])(x).sum().backward()
        return x.grad.norm().item()

    assert gradient(lambda block: block) < 1e-6
    assert gradient(nn.Residual) > 1e-2


# Vectors by direction


def test_normalize_and_cosine_similarity(seed: int) -> None:
    x, y = gu.randn(5, 4, dtype="float64"), gu.randn(5, 4, dtype="float64")
    np.testing.assert_allclose(F.normalize(x).norm(dim=1), 1)
    np.testing.assert_allclose(F.normalize(x, p=1, dim=0).abs().sum(0), 1)
    np.testing.assert_allclose(
        F.cosine_similarity(x, y), (F.normalize(x) * F.normalize(y)).sum(1), rtol=1e-9
    )
    np.testing.assert_allclose(F.cosine_similarity(x, x * 3), 1)
    assert not F.normalize(gu.zeros(1, 3)).any()
    assert F.cosine_similarity(gu.zeros(1, 3), gu.ones(1, 3)).item() == 0


# What does not fit

REFUSED: list[tuple[Any, tuple[int, ...], str]] = [
    (
        nn.Linear(64, 10),
        (5, 28),
        "Linear(64, 10): input has 28 features in its last dimension, expected 64",
    ),
    (nn.Linear(64, 10), (), "Linear(64, 10): input has no dimensions, expected 64"),
    (
        nn.Conv1d(3, 8, 2),
        (2, 4, 9),
        "Conv1d(3, 8): input has shape (2, 4, 9), expected (N, 3, L) or (3, L)",
    ),
    (
        nn.Conv2d(3, 8, 2),
        (3,),
        "Conv2d(3, 8): input has shape (3,), expected (N, 3, H, W) or (3, H, W)",
    ),
    (nn.Conv2d(1, 8, 5), (1, 1, 3, 3), "the kernel reaches over (5, 5)"),
    (
        nn.ConvTranspose1d(3, 8, 2),
        (2, 4, 9),
        "ConvTranspose1d(3, 8): input has shape (2, 4, 9), expected (N, 3, L) or (3, L)",
    ),
    (
        nn.BatchNorm1d(3),
        (4, 5),
        "BatchNorm1d(3): input has shape (4, 5), expected (N, 3) or (N, 3, L)",
    ),
    (
        nn.BatchNorm2d(3),
        (4, 3),
        "BatchNorm2d(3): input has shape (4, 3), expected (N, 3, H, W)",
    ),
    (nn.BatchNorm1d(3), (1, 3), "has one value for each channel"),
    (
        nn.LayerNorm((3, 4)),
        (2, 4),
        "LayerNorm((3, 4)): input has shape (2, 4), expected (..., 3, 4)",
    ),
    (nn.RMSNorm(3), (2, 4), "RMSNorm(3): input has shape (2, 4), expected (..., 3)"),
    (nn.GroupNorm(2, 4), (2, 6), "GroupNorm(2, 4): input has shape (2, 6), expected (N, 4, ...)"),
    (nn.MaxPool2d(3), (1, 1, 2, 2), "max_pool2d"),
    (nn.AdaptiveAvgPool2d(2), (3, 3), "adaptive_avg_pool2d: input (3, 3)"),
    (nn.Dropout2d(), (3, 3), "dropout2d: input (3, 3)"),
    (nn.Residual(nn.Linear(3, 1)), (2, 3), "pass a shortcut"),
    (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 1, 4), "does not fit input"),
    (nn.Upsample(), (1, 1, 4), "either size or scale_factor"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_inputs_that_do_not_fit_are_refused(
    layer: nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        layer(gu.ones(shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 must divide"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size has 3 numbers"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode 'mirror'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, 2, padding="same"), "needs stride 1"),
        (lambda: nn.GroupNorm(3, 4), "do not split into 3 groups"),
        (lambda: nn.Dropout(1.5), "p is 1.5"),
        (lambda: F.dropout(gu.ones(1), -0.1), "p is -0.1"),
        (lambda: F.gelu(gu.ones(1), "exact"), "approximate='exact'"),
        (lambda: F.group_norm(gu.ones(1, 4), 3), "num_groups=3"),
        (lambda: F.layer_norm(gu.ones(1, 4), (3,)), "does not end in"),
        (lambda: F.batch_norm(gu.ones(2, 4), None, None), "needs running_mean"),
        (lambda: F.interpolate(gu.ones(1, 1, 2), 3, align_corners=True), "align_corners has no"),
        (lambda: F.interpolate(gu.ones(1, 1, 2), (3, 4)), "2 numbers for 1 dimensions"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
