"""Whether a local answer is as good as the remote one.

What the remote answer looks like decides how they are compared: JSON by structure, code to the
letter, labels as labels, everything else by embeddings. When in doubt, it is not right: a wrong
verdict of "right" would be counted as a saving.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import labels, semantic, structured

_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Agreement:
    """The verdict on a local answer.

    Attributes:
        right: whether it may stand for the remote one.
        divergence: how far they are apart, from 0 (the same) to 1.
        how: how they were compared, and what spoke against it.

    Example:
        >>> Agreement(True, 0.0, "exact").right
        True
    """

    right: bool
    divergence: float
    how: str


def agreement(local: str, remote: str, vector: semantic.Vector | None = None) -> Agreement:
    """Compare two answers.

    Args:
        local, remote: any texts.
        vector: a model's vector of a text, if there is a model.

    Example:
        >>> agreement('{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}').how
        'json'
        >>> agreement("Card_Arrival.", "card_arrival")
        Agreement(right=True, divergence=0.0, how='label')
        >>> agreement("It will take 5 days to arrive.", "It will take 6 days to arrive.").right
        False
    """
    if local == remote:
        return Agreement(True, 0.0, "exact")
    ours, theirs = structured.parsed(local), structured.parsed(remote)
    if ours is not structured.MISSING or theirs is not structured.MISSING:
        if ours is structured.MISSING or theirs is structured.MISSING:
            return Agreement(False, 1.0, "json against text")
        same = structured.same_value(ours, theirs)
        return Agreement(same, structured.difference(ours, theirs), "json")
    if "```" in local or "```" in remote:
        same = _lines(local) == _lines(remote)
        return Agreement(same, float(not same), "code")
    if labels.is_label(local) or labels.is_label(remote):
        same = labels.same_label(local, remote)
        return Agreement(same, float(not same), "label")
    if _SPACES.sub(" ", local).strip() == _SPACES.sub(" ", remote).strip():
        return Agreement(True, 0.0, "exact but for spaces")
    near, against = semantic.similarity(local, remote, vector)
    if against is not None:
        return Agreement(False, max(0.5, 1 - near), f"text: {against}")
    return Agreement(near >= semantic.NEAR, 1 - near, "text")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
