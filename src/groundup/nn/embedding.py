"""The embedding layer: a learned vector for each token."""

from __future__ import annotations

from typing import Any

from ..engine.autograd import no_grad
from ..engine.ops.creation import empty
from ..engine.random import Generator
from ..engine.tensor import Tensor
from . import init
from .functional.embedding import embedding, padding_row
from .module import Module, Parameter


class Embedding(Module):
    """A table of vectors, looked up by token.

    The table begins standard normal, with zeros in the row of the padding token.

    Args:
        num_embeddings: size of the vocabulary.
        embedding_dim: length of the vectors.
        padding_idx: a token whose vector gets no gradient, so that it stays as it is; negative
            numbers count from the end.
        dtype: of the table; default: the default floating type.
        generator: where the initial values come from.

    Shape:
        (*) integers -> (*, embedding_dim). weight (num_embeddings, embedding_dim).

    Raises:
        IndexError: a token outside the vocabulary.

    Example:
        >>> layer = nn.Embedding(10, 3, padding_idx=0)
        >>> layer(gu.tensor([[1, 2, 0]])).shape
        (1, 3, 3)
        >>> layer(gu.tensor(12))
        Traceback (most recent call last):
        ...
        IndexError: embedding: token 12 is outside the vocabulary of 10 tokens (0 to 9)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_row(padding_idx, num_embeddings)
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw a new table."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A layer around a given table, whose memory it shares.

        Args:
            embeddings: the table, (num_embeddings, embedding_dim).
            freeze: keep the table as it is; false lets it learn.
            padding_idx: as for the class.

        Example:
            >>> layer = nn.Embedding.from_pretrained(gu.tensor([[1.0, 2.0], [3.0, 4.0]]))
            >>> layer(gu.tensor([1])).tolist()
            [[3.0, 4.0]]
        """
        if embeddings.ndim != 2:
            raise ValueError(
                f"Embedding.from_pretrained: the table has shape {embeddings.shape}, "
                "expected (num_embeddings, embedding_dim)"
            )
        layer = cls.__new__(cls)
        layer.num_embeddings, layer.embedding_dim = embeddings.shape
        layer.padding_idx = (
            None if padding_idx is None else padding_row(padding_idx, layer.num_embeddings)
        )
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
