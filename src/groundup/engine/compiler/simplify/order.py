"""In which order a program is computed, so that what is read has just been written.

Products, calls and reductions are taken in the order of the trace, but a reduction right after the
last product that it needs: the sum of a gradient's rows, or its norm, is made while the gradient is
in the cache. Elementwise operations and views wait until one of these, or a result, asks for them:
what is computed of activations for the backward pass alone is computed in the backward pass, and
each parameter is clipped and updated at once.
"""

from __future__ import annotations

from ..graph import Graph, Value, ordered
from ..layout import VIEWS
from ..shapes import ELEMENTWISE

_WAITING = VIEWS | ELEMENTWISE.keys() | {"copy", "pick", "assembly"}
_REDUCTIONS = frozenset({"sum", "amax", "amin"})


def arranged(graph: Graph) -> Graph:
    """The same program in another order.

    Args:
        graph: values in the order of the trace.

    Example:
        >>> arranged(Graph()).values
        []
    """
    ready: dict[Value, int] = {}
    asking: list[tuple[int, int, int]] = []
    for i, value in enumerate(graph.values):
        ready[value] = max((ready[x] for x in value.inputs), default=-1)
        reduces = value.name in _REDUCTIONS
        if not value.inputs or value.name in _WAITING:
            continue
        if not reduces:
            ready[value] = i
        asking.append((ready[value], int(reduces), i))
    first = [graph.values[i] for _, _, i in sorted(asking)]
    made = graph.replaced({value: value for value in graph.values})
    made.values = ordered([*first, *(state for state, _ in graph.writes), *graph.roots()])
    return made
