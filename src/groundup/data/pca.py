"""Principal components: the directions in which points differ most.

K. Pearson, "On lines and planes of closest fit to systems of points in space" (1901). With the
points centred, X = U S Vᵀ is the singular value decomposition; the rows of Vᵀ are the directions,
orthonormal and sorted by how far the points spread along them, U S are the coordinates of the
points on them, and S² / (n - 1) the variances.

Shapes: n points with d features; k components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine.base import wrap
from ..engine.dtypes import is_floating
from ..engine.tensor import Tensor


class PCA(NamedTuple):
    """What `pca` gives.

    Attributes:
        scores: coordinates of the points on the components, (n, k).
        components: the directions, orthonormal rows, (k, d).
        explained: share of the points' whole variance along each component, (k,).

    Example:
        >>> PCA._fields
        ('scores', 'components', 'explained')
    """

    scores: Tensor
    components: Tensor
    explained: Tensor


def pca(x: ArrayLike | Tensor, components: int = 2) -> PCA:
    """Principal components by singular value decomposition (Pearson, 1901).

    A direction and its opposite serve equally well. The sign is chosen so that the entry of a
    component with the largest absolute value (the first of them) is positive; so the same points
    always give the same picture.

    Args:
        x: the points, (n, d).
        components: how many, from 1 to the smaller of n and d.

    Shape:
        (n, d) -> scores (n, k), components (k, d), explained (k,), of the dtype of x if that is a
        floating one, else float32. It is computed in float64.

    Returns:
        (scores, components, explained). The shares are 0 if all points are the same.

    Raises:
        ValueError: x is not a table of finite numbers, or has not so many components.

    Example:
        >>> scores, components, explained = pca([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
        >>> [round(share, 6) for share in explained.tolist()]
        [1.0, 0.0]
        >>> components[0]
        tensor([0.4472, 0.8944], shape=(2,), dtype=float32)
    """
    points, dtype = table(x, "pca")
    most = min(points.shape)
    if not 1 <= components <= most:
        raise ValueError(
            f"pca: {components} components of {points.shape[0]} points with {points.shape[1]} "
            f"features; expected 1 to {most}"
        )
    u, s, vt = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    largest = np.take_along_axis(vt, np.abs(vt).argmax(axis=1)[:, None], axis=1)
    signs = np.where(largest < 0, -1.0, 1.0)
    total = (s**2).sum()
    shares = s**2 / total if total > 0 else np.zeros_like(s)
    parts = (u * s * signs[:, 0], signs * vt, shares)
    scores, directions, explained = (wrap(part.astype(dtype)) for part in parts)
    return PCA(scores[:, :components], directions[:components], explained[:components])


def table(x: ArrayLike | Tensor, caller: str) -> tuple[NDArray[np.float64], np.dtype]:
    """Points as float64, and the dtype that results shall have.

    Args:
        x: the points, (n, d).
        caller: what the error calls the function.

    Raises:
        ValueError: not two dimensions, empty, not numbers, or not finite.

    Example:
        >>> table([[1, 2]], "pca")
        (array([[1., 2.]]), dtype('float32'))
    """
    given = np.asarray(x)
    if given.ndim != 2 or not given.size or given.dtype.kind not in "biuf":
        raise ValueError(
            f"{caller}: x has shape {given.shape} and dtype {given.dtype}; expected numbers of "
            "shape (points, features), at least one of each"
        )
    points = given.astype(np.float64)
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0, 0])
        raise ValueError(
            f"{caller}: point {row} has a NaN or an infinity; remove or replace such points"
        )
    floating = isinstance(x, Tensor | np.ndarray) and is_floating(given.dtype)
    return points, given.dtype if floating else np.dtype(np.float32)
