"""Guards: what of Python a compiled function has read and would have to notice a change of.

A traced function has the numbers in it that Python had at the time: a closure's variable, a
global, ``self.scale``, ``module.training``, a hyper-parameter. So whatever the function reads while
it is traced is noted and compared before each call; if something has changed, the function is
traced anew, and the message says what it was. What it does not read may change as it likes.

Variables of functions are found in their code. Attributes are found by listening: for the time of
the trace, the classes of the objects at hand have a ``__getattribute__`` that notes what it gives.
Numbers, strings and their like are compared by value, all other objects by identity, lists and
dictionaries entry by entry.

Learning rates are the exception: they change at every step, so they are inputs of the program.
"""

from __future__ import annotations

import dis
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...base import TensorBase, mode
from .guards import ABSENT, PLAIN, Guards, short

RATES = ("lr",)
"""Hyper-parameters that are inputs of the program."""
Found = dict[Any, tuple[str, Any]]
"""What was read of a dictionary or an object: for each key its name and the value."""
_SMALL_ARRAY = 1024
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial, staticmethod, classmethod)
_DATA = (types.MemberDescriptorType, types.GetSetDescriptorType)


class _Here(threading.local):
    """Which watch the calling thread traces with."""

    watch: Watch | None = None


class _Listened:
    """Classes that tell when their objects are read, as long as any thread wants to know."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: dict[type, tuple[int, Any]] = {}  # by how many, what was there before

    def join(self, cls: type) -> bool:
        """Have a class tell; False if it cannot, being of another language."""
        with self._lock:
            count, before = self._wanted.get(cls, (0, vars(cls).get("__getattribute__", ABSENT)))
            if count == 0:
                try:
                    cls.__getattribute__ = _telling(cls)  # type: ignore[assignment, method-assign]
                except TypeError:
                    return False
            self._wanted[cls] = count + 1, before
            return True

    def leave(self, cls: type) -> None:
        """One thread less wants to know."""
        with self._lock:
            count, before = self._wanted.pop(cls)
            if count > 1:
                self._wanted[cls] = count - 1, before
            elif before is ABSENT:
                del cls.__getattribute__
            else:
                cls.__getattribute__ = before  # type: ignore[method-assign]


def _telling(cls: type) -> Callable[[Any, str], Any]:
    """What reads an attribute, and tells the watch of the thread that reads."""
    original: Any = cls.__getattribute__

    def __getattribute__(own: Any, name: str) -> Any:  # noqa: N807
        value = original(own, name)
        watch = _here.watch
        if watch is None or mode.tracer is None or cls not in watch.classes:
            return value
        if sys._getframe(1).f_code.co_name != "__setattr__":
            watch.read(own, name, value)
        return value

    return __getattribute__


_here, _listened = _Here(), _Listened()


class Watch:
    """What a function reads of Python while it is traced; a context for the time of the trace.

    Args:
        function: the function.
        more: objects among its arguments.
        on_group: called with each group of an optimizer's parameters that is found.

    Attributes:
        classes: that are listened to.

    Example:
        >>> scale = 2.0
        >>> def double(x):
        ...     return x * scale
        >>> with Watch(double) as watch:
        ...     _ = double(1)
        >>> watch.changed() is None
        True
    """

    def __init__(
        self,
        function: Callable[..., Any],
        more: tuple[Any, ...] = (),
        on_group: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self._held = (function, more)  # known by identity, so they must not go
        self._on_group = on_group
        self._seen: dict[int, Any] = {}
        self._names: dict[int, str] = {}
        self._entries: dict[int, tuple[Any, Found]] = {}
        self._inherited: dict[int, tuple[dict[str, Any], Found]] = {}
        self._initial: dict[int, dict[str, Any]] = {}
        self._tensors: list[tuple[str, TensorBase, bool]] = []
        self.classes: set[type] = set()
        self._guards = Guards()

    def __enter__(self) -> Watch:
        _here.watch = self
        function, more = self._held
        self._find(function, "")
        for i, value in enumerate(more):
            self._find(value, f"argument {i}")
        return self

    def __exit__(self, *_: object) -> None:
        _here.watch = None
        for cls in self.classes:
            _listened.leave(cls)
        self.classes = set()
        for holder, found in self._entries.values():
            guard = self._guards.entry if isinstance(holder, dict) else self._guards.attribute
            for key, (label, value) in found.items():
                guard(label, holder, key, value)
        for attributes, inherited in self._inherited.values():
            for key, (label, default) in inherited.items():
                self._guards.inherited(label, attributes, key, default)
        for name, x, wanted in self._tensors:
            self._guards.attribute(f"{name}.requires_grad", x, "requires_grad", wanted)

    def changed(self) -> str | None:
        """What differs from when the function was traced; None if nothing does."""
        return self._guards.changed()

    def knows(self, x: object) -> bool:
        """Whether the function has read this very object of Python.

        Example:
            >>> layer = nn.Linear(1, 1)
            >>> with Watch(layer.forward) as watch:
            ...     pass
            >>> watch.knows(layer)
            True
        """
        return id(x) in self._seen

    # Guards

    def _guard_items(self, name: str, items: Any) -> None:
        """Compare the entries of a list, dictionary or set."""
        if isinstance(items, dict):
            rates = RATES if "params" in items else ()
            keys = [key for key in items if not isinstance(key, str) or key not in rates]
            labels = [f"{name}[{short(key)}]" for key in keys]
            self._guards.size(name, items)
            if len(keys) < len(items):
                for key, label in zip(keys, labels, strict=True):
                    self._guards.entry(label, items, key, items[key])
            else:
                self._guards.contents(items.values(), labels)
                self._guards.contents(items, [f"a key of {name}"] * len(keys))
        elif isinstance(items, set | frozenset):
            before = frozenset(items)
            self._guards.condition(name, lambda: items == before)
        elif isinstance(items, list):
            self._guards.size(name, items)
            self._guards.contents(items, [f"{name}[{i}]" for i in range(len(items))])

    def _guard_array(self, name: str, array: Any) -> None:
        """Compare a small NumPy array by its values; of a large one it is too costly."""
        if array.size <= _SMALL_ARRAY:
            before = array.copy()
            self._guards.condition(name, lambda: np.array_equal(array, before))

    # Finding

    def _note(self, name: str, holder: Any, key: str, value: Any) -> None:
        """A variable or attribute is read, maybe for the first time."""
        found = self._entries.setdefault(id(holder), (holder, {}))[1]
        if key not in found:
            found[key] = name, value
            self._find(value, name)

    def _find(self, value: Any, name: str) -> None:
        """Look at what has come into view."""
        if isinstance(value, (*PLAIN, types.ModuleType, type)) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        self._names[id(value)] = name
        if isinstance(value, TensorBase):
            if isinstance(value.array, np.ndarray):
                self._tensors.append((name, value, value.requires_grad))
        elif isinstance(value, np.ndarray):
            self._guard_array(name, value)
        elif isinstance(value, _FUNCTIONS):
            self._function(value, name)
        elif isinstance(value, list | tuple | dict | set | frozenset):
            if isinstance(value, dict) and "params" in value and any(r in value for r in RATES):
                self._guard_items(name, value)
                self._on_group(value)
            else:
                self._guard_items(name, value)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in list(items):
                self._find(item, f"{name}[{short(key)}]")
        if type(value).__module__ == "groundup.engine.compiler.run":  # compiled, inside of another
            self._find(value.function, name)
        elif not isinstance(value, (*_FUNCTIONS, TensorBase, np.ndarray)):
            held = _attributes(value)
            self._initial[id(held)] = dict(held)
            self._listen(type(value))

    def _function(self, function: Any, name: str) -> None:
        """The variables that a function reads."""
        if isinstance(function, functools.partial):
            for i, value in enumerate((function.func, function.args, function.keywords)):
                self._find(value, f"{name}, part {i}")
            return
        if isinstance(function, types.MethodType):
            self._find(function.__self__, "self")
        if not isinstance(function, types.FunctionType):
            self._find(function.__func__, name)
            return
        code = function.__code__
        for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                contents = cell.cell_contents
            except ValueError:  # not set yet
                continue
            self._note(key, cell, "cell_contents", contents)
        if (function.__module__ or "").startswith("groundup."):
            return  # this library's own globals do not change
        self._find(function.__defaults__ or (), f"a default of {function.__name__}()")
        self._find(function.__kwdefaults__ or {}, f"a default of {function.__name__}()")
        self._globals(code, function.__globals__)
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self._find(wrapped, name)

    def _globals(self, code: types.CodeType, variables: dict[str, Any]) -> None:
        names = list(_names_in(code))
        for key in _globals_in(code):
            value = variables.get(key, ABSENT)
            if value is ABSENT:
                continue
            if not isinstance(value, types.ModuleType | type):
                self._note(f"global {key}", variables, key, value)
            elif isinstance(value, types.ModuleType) and not _is_library(value.__name__):
                self._note(f"global {key}", variables, key, value)
                for inside in names:
                    if inside in vars(value):
                        self._note(f"{key}.{inside}", vars(value), inside, vars(value)[inside])
            elif isinstance(value, type) and not _is_library(value.__module__):
                self._note(f"global {key}", variables, key, value)
                for inside in names:
                    self._of_class(value, inside, f"{key}.{inside}")

    def _of_class(self, cls: type, key: str, name: str) -> None:
        """An attribute of a class, perhaps of one that it inherits from."""
        base = next((base for base in cls.__mro__ if key in vars(base)), object)
        value = vars(base).get(key)
        if isinstance(value, _FUNCTIONS):
            self._find(value, name)
        elif not isinstance(value, (*_DATA, property)) and not _is_library(base.__module__):
            self._note(name, base, key, value)

    # Listening

    def _listen(self, cls: type) -> None:
        """Note what is read of objects of a class, and what their operators read."""
        module = cls.__module__
        if cls in self.classes or module == "builtins" or module.startswith("groundup.engine"):
            return
        if not _listened.join(cls):
            return
        self.classes.add(cls)
        for base in cls.__mro__:
            if not _is_library(base.__module__):
                for key, value in list(vars(base).items()):
                    if key.startswith("__") and isinstance(value, types.FunctionType):
                        self._find(value, f"{cls.__name__}.{key}")

    def read(self, own: Any, key: str, value: Any) -> None:
        """An attribute of an object is read."""
        label = f"{self._names.get(id(own)) or type(own).__name__}.{key}"
        self._seen.setdefault(id(own), own)
        held = _attributes(own)
        initial = self._initial.get(id(held), held)  # what the trace itself has set does not count
        places = [vars(base)[key] for base in type(own).__mro__ if key in vars(base)]
        if key == "__dict__":  # all of them
            self._find(held, label.removesuffix(".__dict__"))
        elif key.startswith("__"):
            return
        elif key in initial:
            self._note(label, held, key, initial[key])
        elif key in held:
            self._inherited.setdefault(id(held), (held, {}))[1].setdefault(key, (label, ABSENT))
        elif places and isinstance(places[0], _DATA):
            self._note(label, own, key, value)
        elif places and not isinstance(places[0], (*_FUNCTIONS, property)):
            self._inherited.setdefault(id(held), (held, {}))[1].setdefault(key, (label, value))
            self._of_class(type(own), key, label)
        else:
            for place in places:  # also those that super() may call
                self._find(getattr(place, "fget", place), label)


def _attributes(own: Any) -> dict[str, Any]:
    """The attributes of an object itself; none if it has no dictionary."""
    try:
        held: dict[str, Any] = object.__getattribute__(own, "__dict__")
    except AttributeError:
        return {}
    return held


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function's code mentions: of globals, and of attributes of anything."""
    for own in _codes(code):
        yield from own.co_names


def _globals_in(code: types.CodeType) -> Iterator[str]:
    """The names that a function's code looks up among the globals."""
    for own in _codes(code):
        for each in dis.get_instructions(own):
            if each.opname == "LOAD_NAME" or each.opname.endswith(("_GLOBAL", "_GLOBALS")):
                yield each.argval


def _is_library(module: str | None) -> bool:
    """Whether a module is one whose variables do not change."""
    top = (module or "").partition(".")[0]
    return top in ("groundup", "numpy", "scipy", "builtins", "math", "typing", "abc")
