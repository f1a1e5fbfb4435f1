"""Where in a sequence something stands, said with sines and cosines.

``sinusoidal`` makes a vector that is added to an embedding (Vaswani et al., 2017, section 3.5).
``rotary`` turns queries and keys by an angle that grows with their position, so that their product
depends on the distance alone (Su et al., 2021, equations 13 to 15).

Both use the frequencies ``base ** (-2i / D)`` for i = 0, 1, ..., from 1 down to nearly 1 / base.
"""

from __future__ import annotations

from ...engine.dtypes import get_default_dtype
from ...engine.ops.functions import cos, sin
from ...engine.ops.shaping import cat, stack
from ...engine.tensor import Tensor
from ..rotary_scaling import RotaryScaling, rotary_frequencies


def _angles(positions: Tensor, frequencies: Tensor) -> Tensor:
    """(*), (P,) -> (*, P), in float64: float32 would lose a large position's last turn."""
    return positions.double().unsqueeze(-1) * frequencies


def sinusoidal(positions: Tensor, dim: int, base: float = 10000.0) -> Tensor:
    """Sines and cosines of a position p, of wavelengths from 2 pi to nearly 2 pi base.

    ``sin(p base^(-2i/D))`` stands in place 2i and ``cos(p base^(-2i/D))`` in place 2i + 1.

    Args:
        positions: any numbers: places in a sequence, or moments in time.
        dim: D; an odd one ends with a sine.
        base: of the geometric sequence of wavelengths.

    Shape:
        (*) -> (*, dim), of the positions' dtype if that is floating, else the default one.

    Raises:
        ValueError: ``dim`` is not positive.

    Example:
        >>> F.sinusoidal(gu.tensor([0, 1]), 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]], shape=(2, 4), dtype=float32)
    """
    if dim < 1:
        raise ValueError(f"sinusoidal: dim is {dim}, expected a positive number")
    angles = _angles(positions, rotary_frequencies(dim, base))
    pairs = stack([sin(angles), cos(angles)], -1).flatten(-2)  # (*, dim or dim + 1)
    dtype = positions.dtype if positions.is_floating_point() else get_default_dtype()
    return pairs.narrow(-1, 0, dim).to(dtype)


def rotary_table(
    positions: Tensor, dim: int, base: float = 10000.0, scaling: RotaryScaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the angles by which ``rotary`` turns.

    Args:
        positions: places in a sequence.
        dim: features of what will be turned.
        base: the slowest angle grows by nearly 1 / base a step.
        scaling: other frequencies, for texts longer than those of training; cosines and sines are
            multiplied with what it says for attention.

    Shape:
        (*) -> (*, dim / 2) twice, of the default floating type.

    Raises:
        ValueError: ``dim`` is not even and positive.

    Example:
        >>> cos, sin = F.rotary_table(gu.arange(8), 6)
        >>> cos.shape, sin.shape
        ((8, 3), (8, 3))
    """
    if dim < 2 or dim % 2:
        raise ValueError(f"rotary: {dim} features do not form pairs; expected an even number")
    if scaling is None:
        angles, factor = _angles(positions, rotary_frequencies(dim, base)), 1.0
    else:
        angles, factor = _angles(positions, scaling.frequencies(dim, base)), scaling.attention
    dtype = get_default_dtype()
    return (cos(angles) * factor).to(dtype), (sin(angles) * factor).to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool = True) -> Tensor:
    """Turn pairs of features, each by its own angle.

    Args:
        cos, sin: of the angles, as ``rotary_table`` gives them; they broadcast to (*, D / 2).
        interleaved: whether the pairs are neighbours, see ``rotary``.

    Shape:
        x (*, D) -> (*, D).

    Example:
        >>> F.rotate(gu.tensor([1.0, 0.0]), gu.tensor([0.0]), gu.tensor([1.0])).tolist()
        [0.0, 1.0]
    """
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if interleaved:
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        return stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
    a, b = x.chunk(2, -1)
    return cat([a * cos - b * sin, a * sin + b * cos], -1)


def rotary(x: Tensor, positions: Tensor, base: float = 10000.0, interleaved: bool = True) -> Tensor:
    """Queries or keys turned according to their positions (Su et al., 2021, equation 34).

    Pair i of the features is a point in the plane and is turned by ``position * base^(-2i/D)``.
    Lengths stay, and the product of a query and a key depends on their distance alone.

    Args:
        positions: places in a sequence; they broadcast to the shape of x without its last
            dimension.
        base: the slowest angle grows by nearly 1 / base a step.
        interleaved: which features form pair i. True: 2i and 2i + 1, as in the paper and in GPT-J.
            False: i and i + D / 2, as in GPT-NeoX and LLaMA as Hugging Face stores it. The two
            differ by a fixed permutation of the features, so weights trained with one do not fit
            the other.

    Shape:
        x (*, D), D even -> (*, D).

    Raises:
        ValueError: an odd number of features.

    Example:
        >>> quarter = gu.tensor(3.14159265 / 2)
        >>> F.rotary(gu.tensor([1.0, 0.0]), quarter).round().abs().tolist()
        [0.0, 1.0]
    """
    return rotate(x, *rotary_table(positions, x.shape[-1], base), interleaved)
