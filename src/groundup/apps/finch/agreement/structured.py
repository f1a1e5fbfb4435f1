r"""Answers that are JSON: compared by what they say, not by how they are written.

Keys may come in any order, lists may not; 1 and 1.0 are the same number, "1" and 1 are not; space
outside of strings and a code fence around do not count. A key that stands twice in an object is
refused, since readers disagree on what it means.

Divergence is the share of the leaves (values under a key or in a list) that differ.
"""

from __future__ import annotations

import json
import re
from typing import Any

_FENCE = re.compile(r"\A\s*```[\w+-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*\Z", re.DOTALL)
DEEPEST = 100
"""Levels of nesting that are compared; deeper texts are no JSON here."""
MISSING = object()
"""No JSON value."""


def unfenced(text: str) -> str:
    r"""A text without a Markdown code fence around all of it.

    Example:
        >>> unfenced("```json\n[1]\n```")
        '[1]'
    """
    found = _FENCE.match(text)
    return found.group(1) if found else text


def parsed(text: str) -> Any:
    """The object or list that a text is; `MISSING` if it is none.

    Example:
        >>> parsed(' {"a": [1, 2.0]} '), parsed('{"a": 1, "a": 2}') is MISSING
        ({'a': [1, 2.0]}, True)
    """
    inner = unfenced(text).strip()
    if inner[:1] not in ("{", "["):
        return MISSING
    try:
        value = json.loads(inner, object_pairs_hook=_pairs, parse_constant=_constant)
        return value if _depth(value) <= DEEPEST else MISSING
    except (ValueError, RecursionError):
        return MISSING


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in items}) < len(items):
        raise ValueError("a key stands twice")
    return dict(items)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    while level:
        deepest += 1
        lists = [list(x.values()) if isinstance(x, dict) else x for x in level]
        level = [child for inner in lists if isinstance(inner, list) for child in inner]
        if deepest > DEEPEST:
            break
    return deepest


def same_value(one: Any, other: Any) -> bool:
    """Whether two JSON values say the same.

    Example:
        >>> same_value({"a": 1, "b": [True]}, {"b": [True], "a": 1.0}), same_value([1], [True])
        (True, False)
    """
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_value(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    return bool(one == other)


def difference(one: Any, other: Any) -> float:
    """Share of the leaves of both that differ, from 0 to 1.

    Example:
        >>> difference({"a": 1, "b": 2}, {"a": 1, "b": 3}), difference([], []), difference([1], {})
        (0.5, 0.0, 1.0)
    """
    differing, count = _compared(one, other)
    return differing / count if count else 0.0


def _compared(one: Any, other: Any) -> tuple[int, int]:
    """Leaves that differ, and all."""
    if isinstance(one, dict) and isinstance(other, dict) and (one or other):
        keys = sorted(one.keys() | other.keys())
        pairs = [(one.get(key, MISSING), other.get(key, MISSING)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and (one or other):
        places = range(max(len(one), len(other)))
        pairs = [
            (one[i] if i < len(one) else MISSING, other[i] if i < len(other) else MISSING)
            for i in places
        ]
    elif one is MISSING or other is MISSING:
        leaves = _leaves(other if one is MISSING else one)
        return leaves, leaves
    elif isinstance(one, dict | list) or isinstance(other, dict | list):
        leaves = max(_leaves(one), _leaves(other))
        return (0 if type(one) is type(other) else leaves), leaves  # both are empty, or one is none
    else:
        return int(not same_value(one, other)), 1
    parts = [_compared(a, b) for a, b in pairs]
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _leaves(value: Any) -> int:
    if isinstance(value, dict | list) and value:
        return sum(_leaves(x) for x in (value.values() if isinstance(value, dict) else value))
    return 1
