"""Layers whose weights stay packed, four to eight bits each, as public files have them.

The weights are buffers, not parameters: nothing learns here, but gradients pass through to what
stands before. `state_dict` holds their bytes.
"""

from __future__ import annotations

from typing import Self

from ..engine.dtypes import uint8
from ..engine.ops.creation import zeros
from ..engine.ops.packed import pack_panels, packed_linear, packed_rows
from ..engine.panels import packing_of
from ..engine.tensor import Tensor
from .module import Buffer, Module, Parameter


class PackedLinear(Module):
    r"""``y = x @ W.T + bias`` with W packed.

    The input is rounded to eight bits, 32 numbers at a time, and whole numbers are multiplied (as
    llama.cpp does). Such a piece of the input puts y off by at most 1 / 254 of the piece's largest
    magnitude times the sum of its weights' magnitudes, beside rounding to float32. Each row of the
    input is computed by itself: the same bits, however many rows there are, on however many
    threads, compiled or not.

    W begins as zeros; `from_blocks` makes a layer of given weights.

    Args:
        in_features: size of the input's last dimension, a multiple of 32, or of 256 for types that
            end in K.
        out_features: size of the output's last dimension.
        packing: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K; see `groundup.io`.
        bias: whether a bias is added. It is a parameter.

    Shape:
        (*, in_features) -> (*, out_features). weight (panels, bytes) uint8, bias (out_features,).

    Raises:
        ValueError: an unknown packing, sizes that it cannot have, or another input size.

    Example:
        >>> layer = nn.PackedLinear(64, 10, "Q4_0")
        >>> layer(gu.ones(5, 64)).shape, layer.weight.numel()
        ((5, 10), 576)
    """

    def __init__(
        self, in_features: int, out_features: int, packing: str = "Q8_0", bias: bool = False
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        self.packing = packing
        shape = packing_of(packing).shape(out_features, in_features)
        self.weight = Buffer(zeros(*shape, dtype=uint8))
        self.bias = Parameter(zeros(out_features)) if bias else None

    @classmethod
    def from_blocks(cls, blocks: Tensor, packing: str, bias: Tensor | None = None) -> Self:
        """A layer of packed rows as a GGUF file has them.

        Args:
            blocks: uint8, (out_features, bytes of a row).
            packing: how they are packed.
            bias: (out_features,) or None; its memory is shared.

        Raises:
            ValueError: rows that are no whole number of blocks.

        Example:
            >>> nn.PackedLinear.from_blocks(gu.zeros(10, 2 * 34, dtype=gu.uint8), "Q8_0")
            PackedLinear(in_features=64, out_features=10, packing=Q8_0, bias=False)
        """
        return cls._of(*_panels(blocks, packing), packing, bias)

    @classmethod
    def sharing(cls, embedding: PackedEmbedding) -> Self:
        """A layer with the weights of an embedding, as tied heads are: both hold one buffer.

        Example:
            >>> embedding = nn.PackedEmbedding(100, 32)
            >>> nn.PackedLinear.sharing(embedding).weight is embedding.weight
            True
        """
        rows, columns = embedding.num_embeddings, embedding.embedding_dim
        return cls._of(embedding.weight, rows, columns, embedding.packing, None)

    @classmethod
    def _of(
        cls, weight: Buffer, rows: int, columns: int, packing: str, bias: Tensor | None
    ) -> Self:
        layer = cls.__new__(cls)
        layer.in_features, layer.out_features, layer.packing = columns, rows, packing
        layer.weight = weight
        layer.bias = bias if bias is None or isinstance(bias, Parameter) else Parameter(bias)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        y = packed_linear(input, self.weight, self.packing, self.out_features, self.in_features)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"packing={self.packing}, bias={self.bias is not None}"
        )


class PackedEmbedding(Module):
    """A table of vectors, looked up by token, that stays packed.

    It begins as zeros; `from_blocks` makes a layer of given weights.

    Args:
        num_embeddings: size of the vocabulary.
        embedding_dim: length of the vectors, a multiple of 32, or of 256 for types that end in K.
        packing: as for `PackedLinear`.

    Shape:
        (*) integers -> (*, embedding_dim). weight (panels, bytes) uint8.

    Raises:
        ValueError: an unknown packing, or sizes that it cannot have.
        IndexError: a token outside the vocabulary.

    Example:
        >>> nn.PackedEmbedding(10, 64, "Q4_0")(gu.tensor([[1, 9]])).shape
        (1, 2, 64)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, packing: str = "Q8_0") -> None:
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.packing = packing
        shape = packing_of(packing).shape(num_embeddings, embedding_dim)
        self.weight = Buffer(zeros(*shape, dtype=uint8))

    @classmethod
    def from_blocks(cls, blocks: Tensor, packing: str) -> Self:
        """A layer of packed rows as a GGUF file has them.

        Args:
            blocks: uint8, (num_embeddings, bytes of a row).
            packing: how they are packed.

        Raises:
            ValueError: rows that are no whole number of blocks.

        Example:
            >>> nn.PackedEmbedding.from_blocks(gu.zeros(10, 2 * 34, dtype=gu.uint8), "Q8_0")
            PackedEmbedding(10, 64, Q8_0)
        """
        layer = cls.__new__(cls)
        layer.weight, layer.num_embeddings, layer.embedding_dim = _panels(blocks, packing)
        layer.packing = packing
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return packed_rows(
            self.weight, input, self.packing, self.num_embeddings, self.embedding_dim
        )

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, {self.packing}"


def _panels(blocks: Tensor, packing: str) -> tuple[Buffer, int, int]:
    """The weights in panels, their rows and columns."""
    own = packing_of(packing)
    weight = Buffer(pack_panels(blocks, packing))
    rows, nbytes = blocks.shape
    return weight, rows, nbytes // own.nbytes * own.weights
