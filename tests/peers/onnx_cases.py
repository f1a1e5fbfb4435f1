"""Modules with inputs, for `test_onnx.py`: every layer of nn, every model, networks of lessons.

A case makes the module, and its inputs for a number of examples; it says which dimensions vary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import groundup as gu
from groundup import models, nn
from groundup.experiments.foundations import (
    activations,
    attention,
    backpropagation,
    boolean_functions,
    depth,
    digits,
    embeddings,
    forward_pass,
    optimizers,
    recurrence,
    recurrent_text,
    regularization,
    unstable,
)

Inputs = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One export.

    Attributes:
        module: makes it.
        inputs: of n examples, and of sequences of length t.
        dynamic: as for ``export_onnx``; None is its default.
        lengths: whether the length varies too.
        atol: how near.
    """

    module: Callable[[], nn.Module]
    inputs: Callable[[int, int], Inputs]
    dynamic: Mapping[str, Mapping[int, str]] | None = None
    lengths: bool = False
    atol: float = 1e-5


def floats(*shape: int) -> Callable[[int, int], Inputs]:
    """Normal numbers, (n, *shape)."""
    return lambda n, t: (gu.randn(n, *shape),)


def pair(*shape: int) -> Callable[[int, int], Inputs]:
    """Two tensors of probabilities, (n, *shape)."""
    return lambda n, t: (gu.rand(n, *shape), gu.rand(n, *shape))


def labelled(classes: int) -> Callable[[int, int], Inputs]:
    """Logits and labels."""
    return lambda n, t: (gu.randn(n, classes), gu.randint(0, classes, (n,)))


def tokens(vocab: int = 20) -> Callable[[int, int], Inputs]:
    """(n, t) tokens."""
    return lambda n, t: (gu.randint(0, vocab, (n, t)),)


def masked_tokens(vocab: int = 20) -> Callable[[int, int], Inputs]:
    """Tokens, and which of them are real: of every example a different number."""

    def make(n: int, t: int) -> Inputs:
        real = gu.arange(t).unsqueeze(0) < (t - gu.arange(n) % t).unsqueeze(1)
        return gu.randint(0, vocab, (n, t)), real

    return make


def steps(*states: int, size: int = 3, pack: bool = False) -> Callable[[int, int], Inputs]:
    """A sequence (4, n, size), and initial states of (layers, n, features)."""

    def make(n: int, t: int) -> Inputs:
        x = gu.randn(4, n, size)
        if not states:
            return (x,)
        first = tuple(gu.randn(states[0], n, states[1]) for _ in range(2 if pack else 1))
        return (x, first) if pack else (x, *first)

    return make


class Both(nn.Module):
    """A loss that returns one tensor of several modules' outputs, for containers."""

    def __init__(self, parts: Any) -> None:
        self.parts = parts

    def forward(self, x: gu.Tensor) -> tuple[gu.Tensor, ...]:
        """The output of each."""
        parts = self.parts.values() if isinstance(self.parts, nn.ModuleDict) else self.parts
        return tuple(p * x if isinstance(p, nn.Parameter) else p(x) for p in parts)


class Attending(nn.Module):
    """Self-attention with all that it can be asked for."""

    def __init__(self, **options: Any) -> None:
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)
        self.options = options

    def forward(self, x: gu.Tensor, blank: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        """The output and the weights."""
        return self.inner(x, x, x, blank, **self.options)


def eval_norm(norm: Any) -> nn.Module:
    """With running statistics that are not those of the beginning."""
    norm.running_mean.assign(gu.randn(*norm.running_mean.shape))
    norm.running_var.assign(gu.rand(*norm.running_var.shape) + 0.5)
    return norm


ACTIVATIONS = (
    nn.ELU, nn.GELU, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.Sigmoid, nn.SiLU,
    nn.Softplus, nn.Tanh,
)  # fmt: skip
TIMES = {"input": {1: "batch"}}
WITH_STATE = TIMES | {"hx": {1: "batch"}}
WITH_STATES = TIMES | {"hx_0": {1: "batch"}, "hx_1": {1: "batch"}}
BATCH = {"input": {0: "batch"}}


def _attention_inputs(n: int, t: int) -> Inputs:
    return gu.randn(n, t, 8), gu.arange(t).unsqueeze(0) >= (t - gu.arange(n) % t).unsqueeze(1)


ATTENDING = {"x": {0: "batch", 1: "length"}, "blank": {0: "batch", 1: "length"}}
IMAGES = {"input": {0: "batch", 2: "height", 3: "width"}}

LAYERS: dict[str, Case] = {
    **{kind.__name__: Case(kind, floats(5)) for kind in ACTIVATIONS},
    "GELU-tanh": Case(lambda: nn.GELU(approximate="tanh"), floats(5)),
    "Softmax": Case(lambda: nn.Softmax(dim=1), floats(5, 3)),
    "LogSoftmax": Case(lambda: nn.LogSoftmax(dim=-1), floats(5, 3)),
    "Identity": Case(nn.Identity, floats(5)),
    "Linear": Case(lambda: nn.Linear(5, 3), floats(5)),
    "Linear-many": Case(lambda: nn.Linear(5, 3, bias=False), floats(2, 4, 5)),
    "Flatten": Case(nn.Flatten, floats(2, 3, 4)),
    "Flatten-batch": Case(lambda: nn.Flatten(0, 1), floats(2, 3, 4)),
    "Unflatten": Case(lambda: nn.Unflatten(1, (2, 3)), floats(6)),
    "Sequential": Case(lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh()), floats(5)),
    "ModuleList": Case(lambda: Both(nn.ModuleList([nn.Linear(5, 2), nn.ReLU()])), floats(5)),
    "ModuleDict": Case(lambda: Both(nn.ModuleDict({"a": nn.Linear(5, 2)})), floats(5)),
    "ParameterList": Case(lambda: Both(nn.ParameterList([gu.randn(5), gu.randn(1)])), floats(5)),
    "Residual": Case(lambda: nn.Residual(nn.Linear(5, 5)), floats(5)),
    "Conv1d": Case(lambda: nn.Conv1d(2, 4, 3, stride=2, padding=1), floats(2, 9)),
    "Conv1d-dilated": Case(
        lambda: nn.Conv1d(4, 4, 3, dilation=2, groups=2, padding="same"), floats(4, 9)
    ),
    "Conv1d-circular": Case(
        lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), floats(2, 9)
    ),
    "Conv1d-reflect": Case(
        lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="reflect"), floats(2, 9)
    ),
    "Conv2d": Case(lambda: nn.Conv2d(3, 4, (3, 2), padding=1), floats(3, 6, 5), IMAGES),
    "Conv2d-grouped": Case(lambda: nn.Conv2d(4, 8, 3, stride=2, groups=4), floats(4, 7, 7)),
    "Conv2d-pooled": Case(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2, stride=1)
        ),
        floats(3, 13, 10),
        IMAGES,
    ),
    "AdaptiveAvgPool2d-global": Case(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        floats(3, 13, 10),
        IMAGES,
    ),
    "ConvTranspose1d": Case(
        lambda: nn.ConvTranspose1d(2, 4, 3, stride=2, padding=1, output_padding=1), floats(2, 5)
    ),
    "ConvTranspose2d": Case(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=(2, 1), groups=2, dilation=2),
        floats(4, 4, 5),
        IMAGES,
    ),
    "Dropout": Case(lambda: nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5)), floats(5)),
    "Dropout1d": Case(nn.Dropout1d, floats(2, 5)),
    "Dropout2d": Case(nn.Dropout2d, floats(2, 5, 5)),
    "Embedding": Case(
        lambda: nn.Embedding(20, 4, padding_idx=3),
        tokens(),
        {"input": {0: "batch", 1: "length"}},
        lengths=True,
    ),
    "BatchNorm1d": Case(lambda: eval_norm(nn.BatchNorm1d(4)), floats(4, 6)),
    "BatchNorm1d-flat": Case(lambda: eval_norm(nn.BatchNorm1d(4)), floats(4)),
    "BatchNorm1d-batch": Case(lambda: nn.BatchNorm1d(4, track_running_stats=False), floats(4, 6)),
    "BatchNorm2d": Case(lambda: eval_norm(nn.BatchNorm2d(4)), floats(4, 6, 5), IMAGES),
    "GroupNorm": Case(lambda: nn.GroupNorm(2, 4), floats(4, 6, 5)),
    "LayerNorm": Case(lambda: nn.LayerNorm((3, 4)), floats(2, 3, 4)),
    "RMSNorm": Case(lambda: nn.RMSNorm(4), floats(2, 3, 4)),
    "MaxPool1d": Case(lambda: nn.MaxPool1d(3, stride=2, padding=1), floats(2, 9)),
    "MaxPool2d": Case(
        lambda: nn.MaxPool2d((3, 2), stride=2, dilation=(1, 2), ceil_mode=True), floats(2, 8, 9)
    ),
    "AvgPool1d": Case(lambda: nn.AvgPool1d(3, stride=2, padding=1), floats(2, 9)),
    "AvgPool2d": Case(
        lambda: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), floats(2, 7, 9)
    ),
    "AvgPool2d-ceil": Case(lambda: nn.AvgPool2d(2, ceil_mode=True), floats(2, 5, 7)),
    "AdaptiveAvgPool1d": Case(lambda: nn.AdaptiveAvgPool1d(3), floats(2, 7)),
    "AdaptiveAvgPool2d": Case(lambda: nn.AdaptiveAvgPool2d((1, 2)), floats(2, 5, 6)),
    "Upsample": Case(lambda: nn.Upsample(scale_factor=2), floats(2, 3, 4), IMAGES),
    "Upsample-bilinear": Case(
        lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"), floats(2, 4, 6)
    ),
    "Upsample-bicubic": Case(lambda: nn.Upsample(size=(7, 5), mode="bicubic"), floats(2, 4, 6)),
    "LearnedPositions": Case(
        lambda: nn.LearnedPositions(4, 30),
        lambda n, t: (gu.randn(n, t, 4),),
        {"x": {0: "batch", 1: "length"}},
        lengths=True,
    ),
    "SinusoidalPositions": Case(
        lambda: nn.SinusoidalPositions(5, 30),
        lambda n, t: (gu.randn(n, t, 5), gu.randint(0, 30, (n, t))),
        {"x": {0: "batch", 1: "length"}, "positions": {0: "batch", 1: "length"}},
        lengths=True,
    ),
    "RotaryPositions": Case(
        lambda: nn.RotaryPositions(6, 30),
        lambda n, t: (gu.randn(n, 2, t, 6),),
        {"x": {0: "batch", 2: "length"}},
        lengths=True,
    ),
    "MultiheadAttention": Case(Attending, _attention_inputs, ATTENDING, lengths=True),
    "MultiheadAttention-causal": Case(
        lambda: Attending(is_causal=True, average_attn_weights=False),
        _attention_inputs,
        ATTENDING,
        lengths=True,
    ),
    "RNN": Case(lambda: nn.RNN(3, 4, nonlinearity="relu"), steps(), TIMES),
    "RNN-state": Case(lambda: nn.RNN(3, 4, 2), steps(2, 4), WITH_STATE),
    "LSTM": Case(lambda: nn.LSTM(3, 4, 2, bidirectional=True), steps(), TIMES),
    "LSTM-state": Case(lambda: nn.LSTM(3, 4), steps(1, 4, pack=True), WITH_STATES),
    "GRU": Case(
        lambda: nn.GRU(3, 4, bidirectional=True, dropout=0.5, num_layers=2), steps(), TIMES
    ),
    "GRU-batch_first": Case(lambda: nn.GRU(3, 4, batch_first=True), floats(5, 3), BATCH),
    "RNNCell": Case(lambda: nn.RNNCell(3, 4), floats(3)),
    "LSTMCell": Case(
        lambda: nn.LSTMCell(3, 4),
        lambda n, t: (gu.randn(n, 3), (gu.randn(n, 4), gu.randn(n, 4))),
    ),
    "GRUCell": Case(lambda: nn.GRUCell(3, 4), lambda n, t: (gu.randn(n, 3), gu.randn(n, 4))),
    "MSELoss": Case(nn.MSELoss, pair(3)),
    "L1Loss": Case(lambda: nn.L1Loss("none"), pair(3)),
    "HuberLoss": Case(lambda: nn.HuberLoss("sum", delta=0.3), pair(3)),
    "SmoothL1Loss": Case(nn.SmoothL1Loss, pair(3)),
    "BCELoss": Case(lambda: nn.BCELoss(weight=gu.rand(3)), pair(3)),
    "BCEWithLogitsLoss": Case(lambda: nn.BCEWithLogitsLoss(pos_weight=gu.rand(3)), pair(3)),
    "FocalLoss": Case(nn.FocalLoss, pair(3)),
    "NLLLoss": Case(lambda: nn.NLLLoss(weight=gu.rand(6)), labelled(6)),
    "CrossEntropyLoss": Case(nn.CrossEntropyLoss, labelled(6)),
    "CrossEntropyLoss-more": Case(
        lambda: nn.CrossEntropyLoss(gu.rand(6), ignore_index=2, label_smoothing=0.1), labelled(6)
    ),
    "KLDivLoss": Case(lambda: nn.KLDivLoss("batchmean"), pair(3)),
    "InfoNCELoss": Case(nn.InfoNCELoss, lambda n, t: (gu.randn(n, 4), gu.randn(n, 4))),
}
"""By the name of the class, with what is special behind a hyphen."""

ROUGHLY = 0.01
"""Products with packed weights round their other operand to eight bits here."""


def blocks(rows: int, columns: int) -> gu.Tensor:
    """Weights of eight bits with a scale for each 32, as a GGUF file has them."""
    random = np.random.default_rng(0)
    found = random.integers(0, 256, (rows, columns // 32, 34), np.uint8)
    found[..., :2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    return gu.tensor(found.reshape(rows, -1))


LAYERS |= {
    "PackedLinear": Case(
        lambda: nn.PackedLinear.from_blocks(blocks(10, 64), "Q8_0", gu.randn(10)),
        floats(3, 64),
        atol=ROUGHLY,
    ),
    "PackedEmbedding": Case(
        lambda: nn.PackedEmbedding.from_blocks(blocks(20, 64), "Q8_0"), tokens(), BATCH
    ),
}
NO_FORWARD = {"Module", "ParameterDict"}
"""Modules that compute nothing; a ``ParameterDict`` is a ``ParameterList`` with names."""

SMALL = {"vocab_size": 20, "context": 30, "d_model": 8, "num_layers": 2, "num_heads": 2}
LLAMA = SMALL | {"num_heads": 4, "dim_feedforward": 12, "num_kv_heads": 2}
SENTENCES = {"tokens": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}}
UNMASKED = {"tokens": {0: "batch", 1: "length"}}


def gpt(positions: Any, **more: Any) -> Case:
    """A GPT with a mask."""
    return Case(
        lambda: models.GPT(models.GPTConfig(positions=positions, **SMALL, **more)),
        masked_tokens(),
        SENTENCES,
        lengths=True,
    )


def llama(**more: Any) -> Case:
    """A Llama without a mask."""
    return Case(
        lambda: models.Llama(models.LlamaConfig(**LLAMA, **more)), tokens(), UNMASKED, lengths=True
    )


def bert(head: Callable[[Any], nn.Module], **inputs: Any) -> Case:
    """A BERT."""

    def make(n: int, t: int) -> Inputs:
        return (*masked_tokens()(n, t), gu.randint(0, 2, (n, t)))

    varying = SENTENCES | {"types": {0: "batch", 1: "length"}}
    config = models.BertConfig(**SMALL, dim_feedforward=12)
    return Case(lambda: head(config), make, varying, lengths=True)


def _translations(n: int, t: int) -> Inputs:
    source, mask = masked_tokens()(n, t)
    return source, gu.randint(0, 20, (n, t + 2)), mask


MODELS: dict[str, Case] = {
    **{f"GPT-{name}": gpt(name) for name in models.gpt.POSITIONS},
    "GPT-without_bias": gpt("learned", bias=False),
    "Llama": llama(),
    "Llama-window": llama(window=3),
    "Llama-interleaved": llama(interleaved=True),
    "Llama-bias": llama(attention_bias=True, head_dim=6),
    "Llama-tied": llama(tied=True),
    "Llama-masked": Case(
        lambda: models.Llama(models.LlamaConfig(**LLAMA, window=4)),
        masked_tokens(),
        SENTENCES,
        lengths=True,
    ),
    "Bert": bert(models.Bert),
    "MaskedLanguageModel": bert(models.MaskedLanguageModel),
    "TextClassifier": bert(lambda config: models.TextClassifier(config, 3)),
    "LSTMLanguageModel": Case(
        lambda: models.LSTMLanguageModel(models.LSTMConfig(20, 4, 6)), tokens()
    ),
    "Transformer": Case(
        lambda: models.Transformer(models.TransformerConfig(**SMALL, dim_feedforward=12)),
        _translations,
        {
            "source": {0: "batch", 1: "read"},
            "target": {0: "batch", 1: "written"},
            "mask": {0: "batch", 1: "read"},
        },
        lengths=True,
    ),
    "Transformer-norm_last": Case(
        lambda: models.Transformer(
            models.TransformerConfig(**SMALL, dim_feedforward=12, norm_first=False)
        ),
        _translations,
        lengths=False,
    ),
}
"""By the name of the class, with what is special behind a hyphen."""

BITS = (8, 8)
NETWORKS: dict[str, Case] = {
    "digits-softmax": Case(digits.softmax_regression, floats(1, *BITS)),
    "digits-mlp": Case(digits.mlp, floats(1, *BITS)),
    "digits-cnn": Case(digits.cnn, floats(1, *BITS)),
    "boolean": Case(lambda: boolean_functions.network(2, 3, 1), floats(2)),
    "regularization": Case(lambda: regularization.network(0.3), floats(64)),
    **{
        f"activations-{name}": Case(lambda name=name: activations.network(name, 3, 2), floats(3))
        for name in activations.ACTIVATIONS
    },
    "backpropagation": Case(lambda: backpropagation.network(5), floats(2)),
    "parity": Case(optimizers.parity_network, floats(3)),
    "spirals": Case(optimizers.spirals_network, floats(2)),
    "forward_pass": Case(forward_pass.by_hand, floats(2)),
    "embeddings": Case(
        lambda: embeddings.SkipGram(20, 4),
        lambda n, t: (gu.randint(0, 20, (n,)), gu.randint(0, 20, (n, 6))),
    ),
    **{
        f"recurrence-{kind}": Case(lambda kind=kind: recurrence.Reader(kind), floats(5, 1))
        for kind in recurrence.LAYERS
    },
    **{
        f"writer-{name}": Case(lambda name=name: recurrent_text.Writer(name, 20), tokens())
        for name in recurrent_text.HIDDEN
    },
    **{
        f"translator-{name}": Case(
            lambda name=name: attention.network(name),
            lambda n, t: (gu.randint(0, 10, (n, 5)), gu.randint(0, 10, (n, 4))),
        )
        for name in ("bottleneck", "attention", "self")
    },
    "unstable-reader": Case(lambda: unstable.Reader(2, post=True), floats(1, *BITS)),
    "unstable-adder": Case(unstable.Adder, floats(5, 2)),
    **{
        f"depth-{name}": Case(lambda kind=kind: depth.network(kind, 4, 8), floats(1, *BITS))
        for name, kind in depth.KINDS.items()
    },
}
"""Networks of the lessons."""


def induction(name: str) -> nn.Module:
    """A network of attention alone."""
    from groundup.experiments.sequences import induction

    return induction.network(name)


def recurrent(attention: bool) -> nn.Module:
    """A translator that reads one token after the other."""
    from groundup.experiments.sequences.translation import Recurrent

    return Recurrent(20, attention)


NETWORKS |= {
    "induction-one": Case(lambda: induction("one-layer"), tokens(4), UNMASKED, lengths=True),
    "induction-two": Case(lambda: induction("two-smeared"), tokens(4), UNMASKED, lengths=True),
    "translation": Case(lambda: recurrent(False), _translations),
    "translation-attention": Case(lambda: recurrent(True), _translations),
}
