"""Settings of a model by name, as texts such as ``epochs=5``, and recipes as files.

What is not a field of `Recipe` is an option of the model itself, such as ``dropout=0.2``.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ....engine.files import write_atomically
from ..errors import GRNError
from ..training.recipes import Recipe, plan_of

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}


def options_of(name: str, recipe: Recipe | None = None) -> dict[str, Any]:
    """The options of a model, with the values that a recipe gives them.

    Args:
        name: of the model.
        recipe: its settings; the model's own if None.

    Raises:
        GRNError: there is no such model.

    Example:
        >>> options_of("expression")
        {'dropout': 0.1, 'sizes': (512, 256, 128)}
    """
    plan = plan_of(name)
    given = (plan.recipe if recipe is None else recipe).options
    own = {
        parameter.name: parameter.default
        for parameter in inspect.signature(plan.build).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    return {**own, **given}


def with_settings(name: str, settings: Mapping[str, Any], recipe: Recipe | None = None) -> Recipe:
    """A recipe with some settings changed.

    Args:
        name: of the model.
        settings: by field of `Recipe` or option of the model: values, or texts that are read as
            the kind of value that is there; "none" is None where that may be.
        recipe: what is changed; the model's own if None.

    Raises:
        GRNError: no such setting, or a value that it cannot have.

    Example:
        >>> given = {"epochs": "5", "dropout": "0.1", "patience": "none"}
        >>> changed = with_settings("regulon", given)
        >>> changed.epochs, changed.patience, changed.options
        (5, None, {'dropout': 0.1})
        >>> with_settings("regulon", {"depth": "3"})
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: model 'regulon' has no setting 'depth'; it has ...
    """
    start = plan_of(name).recipe if recipe is None else recipe
    options = options_of(name, start)
    hints = get_type_hints(Recipe)
    own = [item.name for item in fields(Recipe) if item.name != "options"]
    values: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for key, value in settings.items():
        if key in own:
            kinds = get_args(hints[key]) or (hints[key],)
            values[key] = _read(key, value, kinds)
        elif key in options:
            changed[key] = _read(key, value, (type(options[key]),))
        else:
            raise GRNError(
                f"model {name!r} has no setting {key!r}; it has {', '.join([*own, *options])}"
            )
    if changed:
        values["options"] = {**start.options, **changed}
    return replace(start, **values)


def _read(name: str, value: Any, kinds: tuple[type, ...]) -> Any:
    """A text as one of these kinds; other values if they are of one."""
    kind = kinds[0]
    expected = _EXPECTED.get(kind, "a word" if kind is str else "whole numbers with commas between")
    wrong = GRNError(f"{name}={value}: expected {expected}{', or none' * (type(None) in kinds)}")
    if isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, str):
        also = (int,) if kind is float else ()
        if not isinstance(value, (*kinds, *also)) or (isinstance(value, bool) and kind is not bool):
            raise wrong
        return value
    if value.lower() == "none" and type(None) in kinds:
        return None
    try:
        if kind is bool:
            return _BOOLEANS[value.lower()]
        if kind is tuple:
            return tuple(int(part) for part in value.split(","))
        return kind(value)
    except (ValueError, KeyError):
        raise wrong from None


def save_recipe(path: str | os.PathLike[str], name: str, recipe: Recipe) -> None:
    """Write a model's name and recipe as JSON: whole, or not at all.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_recipe(f"{folder}/mine.json", "expression", Recipe(epochs=3))
        ...     name, recipe = load_recipe(f"{folder}/mine.json")
        >>> name, recipe.epochs
        ('expression', 3)
    """
    content = {"model": name, "recipe": asdict(recipe)}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def load_recipe(path: str | os.PathLike[str]) -> tuple[str, Recipe]:
    """A model's name and recipe: from `save_recipe`, or the ``model.json`` of a trained model.

    Raises:
        GRNError: the file cannot be read, or has no recipe.

    Example:
        >>> load_recipe("no such file")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: no such file: cannot be read: ...
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GRNError(f"{path}: cannot be read: {error}") from error
    try:
        name, given = content["model"], dict(content["recipe"])
        options = given.pop("options", {})
        plan_of(name)
        recipe = with_settings(name, {**given, **options}, Recipe())
    except (KeyError, TypeError, ValueError) as error:
        raise GRNError(f"{path}: this has no model and recipe: {error}") from error
    return name, recipe
