"""What a language model is made of and how it is trained: every setting with its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...models import GPT, GPTConfig, LSTMConfig, LSTMLanguageModel
from ...models.gpt import POSITIONS

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"layers": 2, "width": 64, "heads": 4, "context": 64, "batch": 12, "steps": 1_000},
    "small": {"layers": 4, "width": 128, "heads": 4, "context": 64, "batch": 12, "steps": 2_000},
    "medium": {"layers": 6, "width": 256, "heads": 8, "context": 256, "batch": 16, "steps": 5_000},
}
"""Sizes for about half a minute, a few minutes and some hours on one core."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a language model.

    Attributes:
        tokenizer: "chars", or "bpe" for byte-level BPE trained on the text.
        vocab_size: tokens of the BPE.
        model: "gpt" or "lstm".
        layers: blocks of the GPT, layers of the LSTM.
        width: features of the GPT; of the LSTM's embedding, which has twice as many units.
        heads: of the GPT's attention; divides `width`.
        positions: of the GPT: "learned", "sinusoidal", "rotary", "alibi" or "none".
        dropout: while training.
        context: tokens in a window.
        batch: windows for one step.
        steps: of training.
        learning_rate: the highest; it rises for a tenth of the steps, 100 at most, and falls along
            a cosine to a tenth of itself.
        validation: part of the file, at its end, that is not trained on; at most a million bytes
            of it are used.
        seed: of the initial weights, the windows and the samples.

    Raises:
        ValueError: a setting out of its range.

    Example:
        >>> Recipe(width=100, heads=3)
        Traceback (most recent call last):
        ...
        ValueError: heads 3 does not divide width 100
    """

    tokenizer: str = "chars"
    vocab_size: int = 1024
    model: str = "gpt"
    layers: int = 4
    width: int = 128
    heads: int = 4
    positions: str = "rotary"
    dropout: float = 0.0
    context: int = 64
    batch: int = 12
    steps: int = 2_000
    learning_rate: float = 0.003
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("tokenizer", ("chars", "bpe")),
            ("model", ("gpt", "lstm")),
            ("positions", POSITIONS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} {getattr(self, name)!r}: expected one of {', '.join(known)}"
                )
        for name, least in (
            ("vocab_size", 256), ("layers", 1), ("width", 1), ("heads", 1), ("context", 2),
            ("batch", 1), ("steps", 1), ("seed", 0),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least {least}")
        if self.model == "gpt" and self.width % self.heads:
            raise ValueError(f"heads {self.heads} does not divide width {self.width}")
        if self.model == "gpt" and self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(
                f"width {self.width} with {self.heads} heads gives each {self.width // self.heads} "
                "features; rotary positions need an even number"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}: expected 0 to below 1")
        if not 0 < self.learning_rate < 10:
            raise ValueError(f"learning_rate {self.learning_rate}: expected above 0, below 10")
        if not 0 < self.validation <= 0.5:
            raise ValueError(f"validation {self.validation}: expected above 0, at most 0.5")

    @property
    def every(self) -> int:
        """Steps between two looks at the validation text: a twentieth of all."""
        return max(1, self.steps // 20)

    def build(self, vocab_size: int) -> GPT | LSTMLanguageModel:
        """The model, with initial weights from the default generator.

        Args:
            vocab_size: tokens that the tokenizer really has.
        """
        if self.model == "lstm":
            return LSTMLanguageModel(
                LSTMConfig(vocab_size, self.width, 2 * self.width, self.layers, self.dropout)
            )
        return GPT(
            GPTConfig(
                vocab_size,
                self.context,
                self.width,
                self.layers,
                self.heads,
                dropout=self.dropout,
                positions=self.positions,  # type: ignore[arg-type]
            )
        )

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What another recipe, as a dictionary, has otherwise, in words.

        Example:
            >>> Recipe(steps=10).differences({**asdict(Recipe()), "steps": 20})
            ['steps was 20, now 10']
        """
        own = asdict(self)
        return [f"{k} was {other.get(k)}, now {v}" for k, v in own.items() if other.get(k) != v]
