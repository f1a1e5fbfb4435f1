"""Finch: a proxy whose local models learn from every answer that it forwards.

`finch serve` runs it; what it decides can be asked of a log first. A mind sees the requests of a
log in their order, and is told only the answers of those that it forwards:

    >>> from groundup.apps import finch
    >>> words = ["alpha", "bravo", "charlie"]
    >>> log = [(f"{words[n % 3]} please", words[n % 3].upper()) for n in range(400)]
    >>> mind, tally = finch.Mind(finch.MindSettings(models=False)), finch.Tally()
    >>> for step in finch.replay(mind, log, tally):
    ...     pass
    >>> tally.all.local > 100, tally.all.errors
    (True, 0)

What it thinks of one request, and why:

    >>> thought = mind.consider("bravo please")
    >>> thought.answer, [opinion.stage for opinion in thought.opinions]
    ('BRAVO', ['exact', 'neighbours', 'bayes', 'linear'])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import FinchError as FinchError
    from .mind.mind import Mind as Mind
    from .mind.settings import MindSettings as MindSettings
    from .mind.thought import Thought as Thought
    from .opinion import Opinion as Opinion
    from .rehearsal.clinc150 import load_clinc150 as load_clinc150
    from .rehearsal.replay import Counts as Counts, Step as Step, Tally as Tally, replay as replay
    from .service.serve import Service as Service
    from .settings import Settings as Settings, read_settings as read_settings
    from .students.student import Student as Student

_PLACES = {
    "Counts": "rehearsal.replay",
    "FinchError": "errors",
    "Mind": "mind.mind",
    "MindSettings": "mind.settings",
    "Opinion": "opinion",
    "Service": "service.serve",
    "Settings": "settings",
    "Step": "rehearsal.replay",
    "Student": "students.student",
    "Tally": "rehearsal.replay",
    "Thought": "mind.thought",
    "load_clinc150": "rehearsal.clinc150",
    "read_settings": "settings",
    "replay": "rehearsal.replay",
}
"""What is imported when it is first asked for: reading requests costs no numerics."""

__all__ = [
    "Counts",
    "FinchError",
    "Mind",
    "MindSettings",
    "Opinion",
    "Service",
    "Settings",
    "Step",
    "Student",
    "Tally",
    "Thought",
    "load_clinc150",
    "read_settings",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_PLACES[name]}", __name__)
    globals()[name] = found = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
