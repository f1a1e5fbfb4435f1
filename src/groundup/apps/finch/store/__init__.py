"""The home of a server on the disk: its log, what was learned, and everything that deletes it.

    from groundup.apps.finch.store import Record, Store

    with Store(folder) as store:
        state = store.minds.load(scope, task)
        store.log.append(Record(...))
        store.minds.save(scope, task, arrays, content)

One process at a time has a `Store`; `status`, `find`, `page` and `export` look from outside at any
time. A killed process loses about a second of the log and what was learned since the last `save`.
"""

from .archive import Archived, export, import_
from .checkpoints import Checkpoints, Saved
from .home import Home, Owner, home_folder
from .log import Log
from .purge import Deleted, Selection, purge, reset
from .reading import Filter, find, page, status
from .record import DECISIONS, Record
from .scopes import Scope, Scopes
from .states import State
from .store import Store

__all__ = [
    "DECISIONS",
    "Archived",
    "Checkpoints",
    "Deleted",
    "Filter",
    "Home",
    "Log",
    "Owner",
    "Record",
    "Saved",
    "Scope",
    "Scopes",
    "Selection",
    "State",
    "Store",
    "export",
    "find",
    "home_folder",
    "import_",
    "page",
    "purge",
    "reset",
    "status",
]
