r"""A recurrent language model: long short-term memory over an embedding (Mikolov et al., 2010).

Tokens become vectors, K layers of LSTM read them one after the other (Hochreiter and Schmidhuber,
1997), and a linear layer turns each output into the logits of the next token:

$$x_t = E_{w_t}, \qquad (h_t, c_t) = \mathrm{LSTM}(x_t, h_{t-1}, c_{t-1}), \qquad
z_t = W h_t + b$$

The state has a fixed size, so that a text of any length can be read and written.

Shapes: N sequences, T tokens, E features of the embedding, H units in each of K layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import nn
from ..engine.tensor import Tensor

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LSTMConfig:
    """Sizes of a recurrent language model.

    Attributes:
        vocab_size: tokens that there are.
        d_model: E.
        hidden_size: H.
        num_layers: K.
        dropout: of the embedding, between layers and before the head, in training.

    Raises:
        ValueError: a size below 1, or a dropout outside 0 to 1.

    Example:
        >>> LSTMConfig(vocab_size=65).hidden_size
        256
    """

    vocab_size: int
    d_model: int = 128
    hidden_size: int = 256
    num_layers: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "hidden_size", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"LSTMConfig: {name} is {getattr(self, name)}, expected at least 1"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"LSTMConfig: dropout is {self.dropout}, expected 0 to below 1")


class LSTMLanguageModel(nn.Module):
    """Reads tokens one after the other and predicts the next.

    Args:
        config: sizes.

    Shape:
        tokens (N, T) -> logits (N, T, vocab_size).

    Example:
        >>> model = LSTMLanguageModel(LSTMConfig(10, d_model=4, hidden_size=8))
        >>> tokens = gu.tensor([[1, 2, 3, 4]])
        >>> whole = model(tokens)
        >>> first, state = model.read(tokens[:, :2])
        >>> gu.allclose(gu.cat([first, model.read(tokens[:, 2:], state)[0]], 1), whole, atol=1e-6)
        True
    """

    def __init__(self, config: LSTMConfig) -> None:
        self.config = config
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        self.drop = nn.Dropout(config.dropout)
        between = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            config.d_model, config.hidden_size, config.num_layers, batch_first=True, dropout=between
        )
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(tokens)[0]

    def read(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of the token after each token, and the state after the last one.

        Args:
            tokens: (N, T), whole numbers below ``vocab_size``.
            state: after what was read before, (K, N, H) twice; None: nothing.
        """
        output, state = self.lstm(self.drop(self.token(tokens)), state)
        return self.head(self.drop(output)), state
