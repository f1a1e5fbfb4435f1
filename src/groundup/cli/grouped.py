"""Options that several commands share, given to each as one object.

A group is a dataclass whose fields are options; a command takes it as an argument of that type.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """A command with the fields of its groups as options of its own.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Size:
        ...     width: int = 3
        >>> def show(name: str, size: Size) -> None:
        ...     print(name, size)
        >>> grouped(show)(name="a", width=5)
        a Size(width=5)
        >>> list(inspect.signature(grouped(show)).parameters)
        ['name', 'width']
    """
    shown: list[inspect.Parameter] = []
    groups: dict[str, tuple[type[Any], list[str]]] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        kind = parameter.annotation
        if not (isinstance(kind, type) and is_dataclass(kind)):
            shown.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
            continue
        hints = get_type_hints(kind, include_extras=True)
        groups[name] = kind, [item.name for item in fields(kind)]
        shown += [
            parameter.replace(name=item.name, default=item.default, annotation=hints[item.name])
            .replace(kind=parameter.KEYWORD_ONLY)
            for item in fields(kind)
        ]  # fmt: skip

    @functools.wraps(command)
    def wrapped(**options: Any) -> R:
        made = {
            name: kind(**{option: options.pop(option) for option in names if option in options})
            for name, (kind, names) in groups.items()
        }
        return command(**options, **made)

    wrapped.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return wrapped
