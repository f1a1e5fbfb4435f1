"""Settings of an experiment: a dataclass, changed by texts such as ``epochs=5`` or ``lr.CNN=0.01``.

A text is read as the annotated type of its field: bool, int, float, str, a `Literal`, a tuple or a
list (parts separated by commas), or one of these or None. Dots lead into dictionaries and nested
dataclasses; a single value for a dictionary goes to all of its keys.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

C = TypeVar("C")

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class ConfigError(ValueError):
    """A setting that does not exist or a value that does not fit; the message says which.

    Example:
        >>> raise ConfigError("epochs=many: expected a whole number")
        Traceback (most recent call last):
        ...
        groundup.experiments.config.ConfigError: epochs=many: expected a whole number
    """


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """Field and value of texts such as ``epochs=5``.

    Raises:
        ConfigError: a text without an equals sign.

    Example:
        >>> assignments(["epochs=5", "lr.CNN=0.01"])
        {'epochs': '5', 'lr.CNN': '0.01'}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{text!r}: expected FIELD=VALUE, such as epochs=5")
        found[name.strip()] = value.strip()
    return found


def changed(config: C, values: Mapping[str, Any]) -> C:
    """A config with some fields changed.

    Args:
        config: a dataclass object; it stays as it is.
        values: by field: texts, which are read as the field's type, or JSON values of that type.

    Returns:
        A new object of the same class.

    Raises:
        ConfigError: no such field, a value of another type, or one that the class itself refuses.

    Example:
        >>> from dataclasses import dataclass, field
        >>> @dataclass
        ... class Config:
        ...     epochs: int = 40
        ...     lr: dict[str, float] = field(default_factory=lambda: {"MLP": 0.03, "CNN": 0.01})
        >>> changed(Config(), {"epochs": "5", "lr.CNN": "1e-3"})
        Config(epochs=5, lr={'MLP': 0.03, 'CNN': 0.001})
        >>> changed(Config(), {"epochs": "many"})
        Traceback (most recent call last):
        ...
        groundup.experiments.config.ConfigError: epochs=many: expected a whole number (int)
    """
    for name, value in values.items():
        config = _set(config, name.split("."), value, name)
    return config


def from_json(kind: type[C], values: Mapping[str, Any]) -> C:
    """The config that was stored as JSON; fields that are new since then have their defaults.

    Raises:
        ConfigError: a stored field is gone or has another type, so that the run cannot be repeated.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Config:
        ...     sizes: tuple[int, ...] = (64, 10)
        >>> from_json(Config, {"sizes": [64, 32, 10]})
        Config(sizes=(64, 32, 10))
    """
    return changed(kind(), values)


def settings(config: Any) -> dict[str, Any]:
    """The fields of a config by their dotted names, as they can be set.

    Example:
        >>> from dataclasses import dataclass, field
        >>> @dataclass
        ... class Config:
        ...     epochs: int = 40
        ...     lr: dict[str, float] = field(default_factory=lambda: {"MLP": 0.03, "CNN": 0.01})
        >>> settings(Config())
        {'epochs': 40, 'lr.MLP': 0.03, 'lr.CNN': 0.01}
    """
    found: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if isinstance(value, Mapping) and value:
            found |= {f"{item.name}.{key}": part for key, part in value.items()}
        elif is_dataclass(value):
            found |= {f"{item.name}.{key}": part for key, part in settings(value).items()}
        else:
            found[item.name] = value
    return found


def _set(config: C, path: list[str], value: Any, where: str) -> C:
    """A dataclass object with one field, or a part of it, changed."""
    first, *rest = path
    hints = get_type_hints(type(config))
    names = [item.name for item in fields(config)]  # type: ignore[arg-type]
    if first not in names:
        raise ConfigError(_unknown(first, names, f"{where}: no such setting"))
    old = getattr(config, first)
    if is_dataclass(old) and not isinstance(old, type):
        if not rest and not isinstance(value, Mapping):
            inside = ", ".join(f"{first}.{item.name}" for item in fields(old))
            raise ConfigError(f"{where}: set a part of it: {inside}")
        new: Any = _set(old, rest, value, where) if rest else changed(old, value)
    elif isinstance(old, Mapping):
        new = _in_mapping(old, ".".join(rest), value, hints[first], where)
    elif rest:
        raise ConfigError(f"{where}: {first} has no parts; write {first}=VALUE")
    else:
        new = _convert(value, hints[first], where)
    try:
        return replace(config, **{first: new})  # type: ignore[type-var]
    except ValueError as error:
        raise ConfigError(f"{where}={value}: {error}") from error


def _in_mapping(
    old: Mapping[str, Any], key: str, value: Any, hint: Any, where: str
) -> dict[str, Any]:
    of = (get_args(hint) or (str, Any))[1]
    if isinstance(value, Mapping):
        return {name: _convert(part, of, f"{where}.{name}") for name, part in value.items()}
    if not key:
        return dict.fromkeys(old, _convert(value, of, where))
    if old and key not in old:
        raise ConfigError(_unknown(key, list(old), f"{where}: no such key"))
    return {**old, key: _convert(value, of, where)}


def _unknown(name: str, names: list[str], what: str) -> str:
    near = difflib.get_close_matches(name, names, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"{what}{meant} There are: {', '.join(names)}"


def _convert(value: Any, hint: Any, where: str) -> Any:
    """A text or JSON value as the annotated type."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        none = value is None or (isinstance(value, str) and value.lower() == "none")
        if none and type(None) in parts:
            return None
        for part in parts:
            if part is not type(None):
                try:
                    return _convert(value, part, where)
                except ConfigError:
                    continue
        raise ConfigError(f"{where}={value}: expected {_named(hint)}")
    if origin is Literal:
        for part in parts:
            if value == part or str(value) == str(part):
                return part
        raise ConfigError(f"{where}={value}: expected {_named(hint)}")
    if origin in (tuple, list):
        pieces = value
        if isinstance(value, str):
            pieces = [piece.strip() for piece in value.split(",") if piece.strip()]
        if not isinstance(pieces, list | tuple):
            pieces = [pieces]
        kinds = parts
        if origin is list or (len(parts) == 2 and parts[1] is Ellipsis):
            kinds = (parts[0],) * len(pieces)
        if len(kinds) != len(pieces):
            raise ConfigError(
                f"{where}={value}: {len(pieces)} values, expected {len(kinds)} ({_named(hint)})"
            )
        found = (_convert(p, kind, where) for p, kind in zip(pieces, kinds, strict=True))
        return origin(found)
    return _plain(value, hint, where)


def _plain(value: Any, hint: Any, where: str) -> Any:
    wrong = ConfigError(f"{where}={value}: expected {_named(hint)}")
    if hint is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() not in _BOOLEANS:
            raise wrong
        return _BOOLEANS[str(value).lower()]
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if (
            not isinstance(value, str)
            and not whole
            and not (hint is float and type(value) is float)
        ):
            raise wrong
        try:
            return hint(value)
        except ValueError:
            raise wrong from None
    if isinstance(hint, type) and not isinstance(value, hint):
        try:
            return hint(value)
        except (TypeError, ValueError):
            raise wrong from None
    return value


def _named(hint: Any) -> str:
    """A type in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if part is type(None) else _named(part) for part in parts)
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin in (tuple, list):
        return f"values separated by commas, each {_named(parts[0])}"
    name = getattr(hint, "__name__", str(hint))
    return f"{_NAMES[hint]} ({name})" if hint in _NAMES else name
