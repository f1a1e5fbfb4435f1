import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, strategies as st

import groundup as gu
from groundup.data import Compose, Noise, Rotate, Shift, rotate, shift

shapes = st.tuples(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))


def images(shape: tuple[int, ...], seed: int = 0) -> gu.Tensor:
    return gu.rand(*shape, generator=gu.Generator(seed))


@given(shapes, st.integers(-10, 10), st.integers(-10, 10))
def test_shift_by_a_known_distance(shape: tuple[int, ...], down: int, right: int) -> None:
    x = images(shape)
    expected = np.stack(
        [scipy.ndimage.shift(image, (0, down, right), order=0, cval=0) for image in x.numpy()]
    )
    assert np.array_equal(shift(x, down, right).numpy(), expected)


def test_each_image_has_its_own_shift() -> None:
    x = images((3, 1, 5, 5))
    moved = shift(x, [0, 1, -2], [3, 0, 1])
    for i, (down, right) in enumerate([(0, 3), (1, 0), (-2, 1)]):
        assert gu.equal(moved[i : i + 1], shift(x[i : i + 1], down, right))


@given(shapes)
def test_quarter_turns(shape: tuple[int, ...]) -> None:
    n, c, side, _ = shape
    x = images((n, c, side, side))
    assert gu.equal(rotate(x, 0), x)
    for turns in range(1, 4):
        expected = np.rot90(x.numpy(), turns, axes=(2, 3))
        assert np.allclose(rotate(x, 90 * turns).numpy(), expected, atol=1e-5)


@given(shapes, st.floats(-180, 180))
def test_rotation_agrees_with_scipy_inside(shape: tuple[int, ...], degrees: float) -> None:
    x = images(shape)
    image = x[0, 0].numpy()
    expected = scipy.ndimage.rotate(image, degrees, reshape=False, order=1, mode="grid-constant")
    assert np.allclose(rotate(x, degrees)[0, 0].numpy(), expected, atol=1e-4)


def test_rotating_there_and_back_keeps_a_smooth_image() -> None:
    y, x = np.mgrid[-10:11, -10:11]
    hill = gu.tensor(np.exp(-((x - 2) ** 2 + (y + 1) ** 2) / 20)[None, None].astype(np.float32))
    # Linear interpolation errs by at most an eighth of the second derivatives, here 1/10 each way.
    bound = 2 * (0.1 + 0.1) / 8
    assert (rotate(rotate(hill, 30), -30) - hill).abs().max().item() < bound


@pytest.mark.parametrize("make", [Shift, Rotate, Noise])
def test_no_strength_no_change(make: type) -> None:
    x = images((5, 1, 8, 8))
    assert gu.equal(make(0)(x), x)
    with pytest.raises(ValueError, match=rf"{make.__name__}: .* -1, expected 0 or more"):
        make(-1)


@pytest.mark.parametrize(
    "augment", [Shift(2), Rotate(20), Noise(0.1), Compose(Shift(1), Rotate(5))]
)
def test_shape_dtype_and_input_stay(augment) -> None:
    x = images((5, 3, 8, 6))
    before = x.clone()
    y = augment(x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert gu.equal(x, before)
    assert augment(x.double()).dtype == gu.float64


def test_all_distances_occur_and_no_others() -> None:
    dot = np.zeros((2000, 1, 9, 9), np.float32)
    dot[:, :, 4, 4] = 1
    moved = Shift(2, gu.Generator(0))(gu.tensor(dot)).numpy()
    _, _, rows, columns = np.nonzero(moved)
    counts = np.zeros((9, 9))
    np.add.at(counts, (rows, columns), 1)
    assert (counts[2:7, 2:7] > 40).all()  # 80 expected in each of 25 places
    assert counts[2:7, 2:7].sum() == 2000


def test_angles_stay_within_the_limit() -> None:
    """A dot at distance 8 from the centre moves at most as far as the largest angle takes it."""
    dot = np.zeros((500, 1, 21, 21), np.float32)
    dot[:, :, 10, 18] = 1
    turned = Rotate(30, gu.Generator(0))(gu.tensor(dot)).numpy()[:, 0]
    mass = turned.sum(axis=(1, 2))
    y = (turned * np.arange(21)[:, None]).sum(axis=(1, 2)) / mass - 10
    x = (turned * np.arange(21)[None, :]).sum(axis=(1, 2)) / mass - 10
    angles = np.degrees(np.arctan2(-y, x))
    assert np.abs(angles).max() < 34  # the pixels around the dot spread it by a few degrees
    assert angles.min() < -24
    assert angles.max() > 24
    assert abs(angles.mean()) < 3  # 17 degrees / sqrt(500), times 4


def test_noise_has_its_mean_and_deviation() -> None:
    noise = (Noise(0.25, gu.Generator(0))(gu.ones(50, 1, 20, 20)) - 1).numpy()
    assert abs(noise.mean()) < 4 * 0.25 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.25) < 4 * 0.25 / np.sqrt(2 * noise.size)


# R1.3
def test_same_seed_same_images() -> None:
    x = images((6, 1, 8, 8))

    def augmented(seed: int) -> gu.Tensor:
        g = gu.Generator(seed)
        return Compose(Shift(2, g), Rotate(15, g), Noise(0.1, g))(x)

    assert gu.equal(augmented(3), augmented(3))
    assert not gu.equal(augmented(3), augmented(4))


@pytest.mark.parametrize("x", [gu.zeros(8, 8), gu.zeros(2, 8, 8), gu.zeros(2, 1, 8, 8).long()])
def test_what_is_no_image_is_refused(x: gu.Tensor) -> None:
    for function in (lambda x: shift(x, 0, 0), lambda x: rotate(x, 0)):
        with pytest.raises(ValueError, match=r"expected floating images \(N, C, H, W\)"):
            function(x)
