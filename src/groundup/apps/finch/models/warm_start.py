"""Beginning with what a small public model knows, rather than with nothing.

The blocks are copied; they are those of `groundup.models.bert` and `groundup.models.gpt`, so they
fit where the sizes do. The tokenizer stays that of the traffic, so each of its tokens begins with
the mean of the vectors of the pieces that the public tokenizer cuts it into (Hewitt, 2021, shows
why the mean is safe); a token of both begins with the very vector. A BERT serves router and
validator, a GPT-2 the generator.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....engine.autograd import no_grad
from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ....models import GPT, Bert
from ....models.pretrained import load_pretrained
from ....text import Tokenizer
from ..errors import FinchError
from .ensemble import Ensemble
from .network import Decoder, Encoder, Sizes
from .online import Online
from .tokenizer import LEAST, TrafficTokenizer


def sizes_for(folder: str | os.PathLike[str], like: Sizes) -> Sizes:
    """The sizes that a model must have to begin with a public one.

    Args:
        folder: of the public model.
        like: what a public model does not say: vocabulary, features, and how much of its context is
            for the query.

    Raises:
        FinchError: it is neither a BERT nor a GPT-2, or cannot be loaded.

    Example:
        >>> sizes_for("no such folder", Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32))
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: no such folder: there is no such file or folder
    """
    config = _loaded(folder)[0].config
    return replace(
        like,
        d_model=config.d_model,
        layers=config.num_layers,
        heads=config.num_heads,
        feedforward=config.dim_feedforward or 4 * config.d_model,
        query=min(like.query, max(1, config.context - like.answer - 2)),
    )


def warm_start(ensemble: Ensemble, folder: str | os.PathLike[str]) -> list[str]:
    """Begin with the weights of a public model.

    Args:
        ensemble: models that have not learned yet; those that the public one serves are changed.
        folder: of the public model.

    Returns:
        The names of the models that were changed.

    Raises:
        FinchError: the public model cannot be loaded, is of another kind, or has other sizes;
            nothing was changed. Or the models have already learned.

    Example:
        >>> from groundup.apps.finch.models.presets import build
        >>> warm_start(build("nano"), "no such folder")
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: no such folder: there is no such file or folder
    """
    model, tokenizer = _loaded(folder)
    if ensemble.generator.online.steps or ensemble.backlog or ensemble.buffer.seen:
        raise FinchError("a warm start comes before anything is learned; reset the scope first")
    names = ["router", "validator"] if isinstance(model, Bert) else ["generator"]
    for name in names:
        _check(getattr(ensemble, name).sizes, model, f"{folder}: for the {name}")
    for name in names:
        online: Online[Decoder] | Online[Encoder] = getattr(ensemble, name).online
        _copy(online, model, _vectors(ensemble.tokenizer, model, tokenizer))
    return names


def _loaded(folder: str | os.PathLike[str]) -> tuple[Bert | GPT, Tokenizer]:
    try:
        model, tokenizer = load_pretrained(Path(folder))
    except (OSError, TypeError, ValueError) as error:
        raise FinchError(str(error)) from error
    if isinstance(model, Bert | GPT):
        return model, tokenizer
    raise FinchError(
        f"{folder}: a {type(model).__name__}, whose blocks (rotary, gated) are not those of the "
        "generator; give a GPT-2 for the generator, or a BERT for router and validator"
    )


def _check(sizes: Sizes, model: Bert | GPT, what: str) -> None:
    config = model.config
    wanted = {
        "d_model": (sizes.d_model, config.d_model),
        "layers": (sizes.layers, config.num_layers),
        "heads": (sizes.heads, config.num_heads),
        "feedforward": (sizes.feedforward, config.dim_feedforward or 4 * config.d_model),
    }
    wrong = [f"{n} {theirs}, ours {ours}" for n, (ours, theirs) in wanted.items() if ours != theirs]
    if isinstance(model, GPT) and (model.config.positions != "learned" or not model.config.bias):
        wrong.append("it has no learned positions or no biases")
    if sizes.query + sizes.answer + 2 > config.context:
        wrong.append(f"context {config.context}, ours {sizes.query} + {sizes.answer} + 2 tokens")
    if wrong:
        raise FinchError(f"{what} it does not fit: {'; '.join(wrong)}; make sizes with sizes_for")


def _vectors(ours: TrafficTokenizer, model: Bert | GPT, theirs: Tokenizer) -> NDArray[np.float32]:
    """For each of our tokens the mean of the vectors of its pieces; the mean of all for marks."""
    table = _array(model.token.weight)
    out = np.tile(table.mean(axis=0), (ours.capacity, 1))
    for number in range(LEAST - 256, len(ours)):
        content = ours.decode([number])
        pieces = theirs.encode(content, add_special_tokens=False).ids if content.strip() else []
        if pieces and "\N{REPLACEMENT CHARACTER}" not in content:
            out[number] = table[pieces].mean(axis=0)
    return out.astype(np.float32)


def _copy(
    online: Online[Decoder] | Online[Encoder], model: Bert | GPT, vectors: NDArray[np.float32]
) -> None:
    places = model.position
    assert places is not None
    rows = _array(next(places.parameters()))
    sizes = online.net.sizes
    new: dict[str, Tensor] = {
        f"blocks.{name}": tensor(_array(value)) for name, value in model.blocks.state_dict().items()
    }
    new |= {f"norm.{name}": tensor(_array(x)) for name, x in model.norm.state_dict().items()}
    new["embedding.token.weight"] = tensor(vectors)
    new["embedding.query_position"] = tensor(rows[: sizes.query])
    new["embedding.answer_position"] = tensor(rows[sizes.query : sizes.query + sizes.answer + 2])
    with no_grad():
        for net in (online.net, online.average):
            net.load_state_dict(net.state_dict() | new)


def _array(x: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = x.detach().numpy().astype(np.float32)
    return found
