"""Forward hooks: functions called before and after a module's ``forward``.

A module without hooks pays one comparison for them: its ``_hooks`` is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module

Hook = Callable[..., Any]
Registry = dict["Handle", Hook]


class Hooks:
    """The hooks of one module, in the order in which they were registered.

    Attributes:
        before: called with (module, args); a result other than None replaces the arguments.
        after: called with (module, args, output); a result other than None replaces the output.
    """

    def __init__(self) -> None:
        self.before: Registry = {}
        self.after: Registry = {}

    def run(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the module's ``forward`` between its hooks."""
        for hook in tuple(self.before.values()):
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = module.forward(*args, **kwargs)
        for hook in tuple(self.after.values()):
            changed = hook(module, args, output)
            if changed is not None:
                output = changed
        return output


class Handle:
    """A registered hook, to be removed again; as a context manager it removes itself at the end.

    Example:
        >>> layer = nn.ReLU()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        >>> layer(gu.zeros(1)).item()
        1.0
        >>> handle.remove()
        >>> layer(gu.zeros(1)).item()
        0.0
    """

    def __init__(self, module: Module, registry: Registry, hook: Hook) -> None:
        self._module = module
        self._registry = registry
        registry[self] = hook

    def remove(self) -> None:
        """Unregister the hook; a second call does nothing."""
        self._registry.pop(self, None)
        hooks = self._module._hooks
        if hooks is not None and not hooks.before and not hooks.after:
            self._module._hooks = None

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
