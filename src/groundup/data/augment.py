"""Augmentation of small images: the same picture a little shifted, turned, or noisy.

A label that holds for an image holds for what these make of it, so a network sees more of the
variety that its task allows (LeCun et al., "Gradient-based learning applied to document
recognition", 1998, section III.C; Simard et al., "Best practices for convolutional neural
networks", 2003, for bilinear sampling). ``shift`` and ``rotate`` are the transformations with
given amounts; ``Shift``, ``Rotate`` and ``Noise`` draw the amounts, anew for each image of each
batch.

Shapes: images are floating tensors (N, C, H, W); what comes in from outside an image is 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..engine.base import Array, wrap
from ..engine.random import Generator, default_generator
from ..engine.tensor import Tensor


def shift(images: Tensor, down: ArrayLike, right: ArrayLike) -> Tensor:
    """Images moved by whole pixels.

    Args:
        images: (N, C, H, W).
        down: pixels towards the bottom, integers, one or (N,); negative ones move up.
        right: pixels to the right.

    Returns:
        New images of the same shape.

    Raises:
        ValueError: the images have another shape.

    Example:
        >>> image = gu.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> shift(image, down=1, right=0).tolist()
        [[[[0.0, 0.0], [1.0, 2.0]]]]
    """
    x = _images(images, "shift")
    n, _, h, w = x.shape
    # Further than the image is as far as the image: everything is outside.
    dy = np.broadcast_to(np.clip(np.asarray(down, np.int64), -h, h), (n,))
    dx = np.broadcast_to(np.clip(np.asarray(right, np.int64), -w, w), (n,))
    rows = np.arange(h) - dy[:, None]  # (N, H): where each output row comes from
    columns = np.arange(w) - dx[:, None]  # (N, W)
    return wrap(_pixels(x, rows[:, :, None], columns[:, None, :]))


def rotate(images: Tensor, degrees: ArrayLike) -> Tensor:
    """Images turned about their centre, anticlockwise, with bilinear sampling.

    Each output pixel looks up the place that it came from and mixes the four pixels around it.

    Args:
        images: (N, C, H, W).
        degrees: angle, one or (N,).

    Returns:
        New images of the same shape.

    Raises:
        ValueError: the images have another shape.

    Example:
        >>> image = gu.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> gu.allclose(rotate(image, 90), gu.tensor([[[[2.0, 4.0], [1.0, 3.0]]]]))
        True
    """
    x = _images(images, "rotate")
    n, _, h, w = x.shape
    angle = np.broadcast_to(np.deg2rad(np.asarray(degrees, np.float64)), (n,))[:, None, None]
    y, z = (h - 1) / 2, (w - 1) / 2
    up_down = (np.arange(h) - y)[None, :, None]  # (1, H, 1)
    left_right = (np.arange(w) - z)[None, None, :]  # (1, 1, W)
    source_y = y + np.cos(angle) * up_down + np.sin(angle) * left_right  # (N, H, W)
    source_x = z + np.cos(angle) * left_right - np.sin(angle) * up_down
    top, left = np.floor(source_y).astype(np.int64), np.floor(source_x).astype(np.int64)
    part_y = (source_y - top).astype(x.dtype)[:, None]  # (N, 1, H, W): how far below the top pixel
    part_x = (source_x - left).astype(x.dtype)[:, None]
    upper = (1 - part_x) * _pixels(x, top, left) + part_x * _pixels(x, top, left + 1)
    lower = (1 - part_x) * _pixels(x, top + 1, left) + part_x * _pixels(x, top + 1, left + 1)
    return wrap((1 - part_y) * upper + part_y * lower)


def _images(images: Tensor, name: str) -> Array:
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(
            f"{name}: got a tensor of shape {images.shape} and dtype {images.dtype.name}; expected "
            "floating images (N, C, H, W); unsqueeze(1) adds a missing channel dimension"
        )
    return images.detach().numpy()


def _pixels(x: Array, rows: Array, columns: Array) -> Array:
    """``x[n, :, rows[n, i, j], columns[n, i, j]]`` as (N, C, H, W), 0 where that is outside.

    Args:
        x: (N, C, H, W).
        rows: broadcasts with ``columns`` to (N, H, W).
        columns: likewise.
    """
    n, _, h, w = x.shape
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    which = np.arange(n)[:, None, None]
    found = x[which, :, np.clip(rows, 0, h - 1), np.clip(columns, 0, w - 1)]  # (N, H, W, C)
    return np.ascontiguousarray(np.moveaxis(np.where(inside[..., None], found, 0), -1, 1), x.dtype)


class Shift:
    """Move each image by a random whole number of pixels in both directions.

    Args:
        pixels: the largest distance; every distance from -pixels to pixels is equally likely.
        generator: source of randomness; the default generator if None.

    Shape:
        Images (N, C, H, W) to images of the same shape.

    Raises:
        ValueError: a negative distance.

    Example:
        >>> images = gu.rand(16, 1, 8, 8)
        >>> Shift(1)(images).shape
        (16, 1, 8, 8)
        >>> gu.equal(Shift(0)(images), images)
        True
    """

    def __init__(self, pixels: int, generator: Generator | None = None) -> None:
        if pixels < 0:
            raise ValueError(f"Shift: pixels {pixels}, expected 0 or more")
        self.pixels = pixels
        self.generator = generator or default_generator

    def __call__(self, images: Tensor) -> Tensor:
        """Move each image by its own distance."""
        down, right = self.generator.integers(-self.pixels, self.pixels + 1, (2, len(images)))
        return shift(images, down, right)


class Rotate:
    """Turn each image by a random angle about its centre.

    Args:
        degrees: the largest angle; all angles from -degrees to degrees are equally likely.
        generator: source of randomness; the default generator if None.

    Shape:
        Images (N, C, H, W) to images of the same shape.

    Raises:
        ValueError: a negative angle.

    Example:
        >>> images = gu.rand(16, 1, 8, 8)
        >>> Rotate(10)(images).shape
        (16, 1, 8, 8)
        >>> gu.equal(Rotate(0)(images), images)
        True
    """

    def __init__(self, degrees: float, generator: Generator | None = None) -> None:
        if degrees < 0:
            raise ValueError(f"Rotate: degrees {degrees}, expected 0 or more")
        self.degrees = degrees
        self.generator = generator or default_generator

    def __call__(self, images: Tensor) -> Tensor:
        """Turn each image by its own angle."""
        return rotate(images, self.degrees * (2 * self.generator.uniform((len(images),)) - 1))


class Noise:
    """Add normal noise to each pixel; values may leave the range that they had.

    Args:
        std: standard deviation of the noise, in the unit of the pixels.
        generator: source of randomness; the default generator if None.

    Shape:
        Any floating tensor, to one of the same shape and dtype.

    Raises:
        ValueError: a negative deviation.

    Example:
        >>> images = gu.rand(16, 1, 8, 8)
        >>> Noise(0.1)(images).shape
        (16, 1, 8, 8)
        >>> gu.equal(Noise(0)(images), images)
        True
    """

    def __init__(self, std: float, generator: Generator | None = None) -> None:
        if std < 0:
            raise ValueError(f"Noise: std {std}, expected 0 or more")
        self.std = std
        self.generator = generator or default_generator

    def __call__(self, images: Tensor) -> Tensor:
        """Add noise to each pixel."""
        return images + self.std * wrap(self.generator.normal(images.shape, images.dtype))


class Compose:
    """Several augmentations, one after the other.

    Args:
        *steps: functions of images.

    Example:
        >>> augment = Compose(Shift(1), Rotate(10), Noise(0.05))
        >>> augment(gu.rand(16, 1, 8, 8)).shape
        (16, 1, 8, 8)
    """

    def __init__(self, *steps: Callable[[Tensor], Tensor]) -> None:
        self.steps = steps

    def __call__(self, images: Tensor) -> Tensor:
        """Apply every step in its turn."""
        for step in self.steps:
            images = step(images)
        return images
