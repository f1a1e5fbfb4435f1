"""The minds of all tasks in one process: who is asked, who learns, what is saved when.

A task has a mind of its own in each scope. It gets one when the task has come often enough to be
worth it. When as many are held as there is room for, one that was not asked for a while is saved
and put away; if all are at work, further tasks are forwarded.
"""

from __future__ import annotations

import gc
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from ..agreement import agreement
from ..errors import FinchError
from ..mind.mind import Mind
from ..mind.settings import MindSettings
from ..mind.thought import Thought
from ..state import State
from ..store.store import Store

MOST_OPEN = 10_000
"""Thoughts whose answer has not come."""
MOST_SEEN = 10_000
"""Tasks that are counted before they have a mind."""
NEW = "its task is new"
CROWDED = "as many tasks as there is room for are at work"
SAVING = 0.02
"""Share of the time that writing a mind may take; a slow disk is written less often."""

SLOWER, FASTER = 0.5, 0.1
"""Weight of the newest thought in how long they usually take, if it took longer, or shorter."""
AGAIN = 0.99
"""What is left of that after one without the transformers, so that they are tried again."""

Key = tuple[str, str]
Write = Callable[[], None]


def as_good(local: str, remote: str) -> bool:
    """Whether a local answer is as good as the remote one.

    Example:
        >>> as_good("transfer", "Transfer"), as_good("enable it", "disable it")
        (True, False)
    """
    return agreement(local, remote).right


@dataclass(slots=True)
class Counts:
    """What came of a task.

    Attributes:
        model: that is asked for.
        requests: of which a mind thought.
        local: of them, those that were answered here.
        audits: local answers that were compared.
        wrong: of them, those that were not as good.
        answers: remote answers whose tokens are known, with the sums of their tokens and letters.
        input_tokens, output_tokens, letters: these sums.

    Example:
        >>> counts = Counts("large", answers=2, input_tokens=90, output_tokens=6, letters=24)
        >>> counts.tokens("transfer")
        (45, 2)
    """

    model: str = ""
    requests: int = 0
    local: int = 0
    audits: int = 0
    wrong: int = 0
    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    letters: int = 0

    def tokens(self, answer: str) -> tuple[int, int]:
        """How many a local answer would have cost, going by the remote ones: of input, output."""
        if not self.answers:
            return 0, 0
        each = self.output_tokens / max(self.letters, 1)
        return round(self.input_tokens / self.answers), max(round(each * len(answer)), 1)


@dataclass(slots=True)
class _Held:
    mind: Mind
    counts: Counts
    changed: bool = False
    saved: float = 0.0
    took: float = 0.0
    asked: float = 0.0
    thinking: float = 0.0  # seconds that a thought with the transformers usually takes

    def thinks(self, seconds: float, thought: Thought) -> None:
        if len(thought.opinions) > len(self.mind.settings.students):
            usual = self.thinking or seconds
            more = min(seconds, 2 * usual) - usual
            self.thinking = usual + more * (SLOWER if more > 0 else FASTER)
        else:
            self.thinking *= AGAIN


@dataclass(frozen=True, slots=True)
class Considered:
    """A thought, and what its answer would have cost.

    Attributes:
        thought: of the request.
        serving: whether of its task anything may be served by now.
        input_tokens, output_tokens: that its answer would have cost.

    Example:
        >>> from groundup.apps.finch.mind.thought import Thought
        >>> thought = Thought("hi", (), "hello", 0.9, True, False, 0.1, "score")
        >>> Considered(thought, True, 45, 2).output_tokens
        2
    """

    thought: Thought
    serving: bool
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Over:
    """What became of a request that was thought about.

    Attributes:
        thought: as it was.
        agreed: whether its answer was as good as the remote one, if they were compared.

    Example:
        >>> from groundup.apps.finch.mind.thought import Thought
        >>> Over(Thought("hi", (), None, 0.0, False, False, 1.0, "cold start")).agreed is None
        True
    """

    thought: Thought
    agreed: bool | None = None


class Keeper:
    """Keeps minds.

    Args:
        store: where they are saved.
        settings: of each mind.
        seed: from which the seed of each is made.
        held: minds in memory at most.
        idle: seconds since it was asked after which a mind makes room for another one. To put one
            away and fetch another takes a second, in which no question is answered.
        most: tasks that are kept on the disk; the one that was saved longest ago goes.
        worth: how often a task must have come before it gets a mind.
        every: seconds between two savings of a mind that has learned; more if they take long.
        clock: seconds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
        ...     keeper = Keeper(store, MindSettings(models=False), worth=2)
        ...     for name in ("1", "2", "3"):
        ...         found = keeper.consider(name, "00112233", "44556677", "hi")
        ...     found.thought.reason
        'no stage has an answer'
    """

    def __init__(
        self,
        store: Store,
        settings: MindSettings,
        *,
        seed: int = 0,
        held: int = 8,
        idle: float = 60.0,
        most: int = 100,
        worth: int = 5,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._settings, self._seed = store, settings, seed
        self._limit, self._most, self._worth = min(held, most), most, worth
        self._every, self._idle, self._clock = every, idle, clock
        self._held: OrderedDict[Key, _Held] = OrderedDict()
        self._seen: OrderedDict[Key, int] = OrderedDict()
        self._open: OrderedDict[str, tuple[Key, Thought]] = OrderedDict()
        self._disk, self._turns = threading.Lock(), threading.Lock()
        self._working: Key | None = None
        self._states = count(1)
        self._newest: dict[Key, int] = {}
        self.trouble = ""
        """What the disk says, while it refuses."""
        self.fetched = 0
        """Minds that were made, or fetched from the disk."""
        self.absent = NEW
        """Why the task that was asked last has no mind, if it has none."""

    def consider(
        self,
        ident: str,
        scope: str,
        task: str,
        query: str,
        model: str = "",
        *,
        forwarded: bool = False,
        left: float = math.inf,
    ) -> Considered | None:
        """What is thought of a request; None while its task has no mind.

        Args:
            ident: of the request, by which `ended` finds the thought again.
            scope: of the key.
            task: of the request.
            query: the user's text.
            model: that is asked for, to be shown.
            forwarded: whether it was sent upstream before anybody thought of it.
            left: seconds that there are; the transformers are asked if they usually take less.
        """
        key = scope, task
        held = self._hold(key)
        if held is None:
            return None
        began = time.perf_counter()
        thought = held.mind.consider(query, hurry=held.thinking >= left)
        held.thinks(time.perf_counter() - began, thought)
        if forwarded:
            thought = thought.unserved()
        held.counts.model = model
        held.counts.requests += 1
        self._open[ident] = key, thought
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        serving = held.mind.guard.serving
        return Considered(thought, serving, *held.counts.tokens(thought.answer or ""))

    def ended(
        self,
        ident: str,
        answer: str | None,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        local: bool = False,
    ) -> Over | None:
        """Take in what became of a request.

        Args:
            ident: of the request.
            answer: of the remote side; None if there is none to learn from.
            input_tokens: of the remote answer.
            output_tokens: of the remote answer.
            local: whether it was answered here.

        Returns:
            None if nobody thought about it.
        """
        key, thought = self._open.pop(ident, (None, None))
        if key is None or thought is None:
            return None
        held = self._held.get(key)
        if held is None:  # put away in the meantime
            return Over(thought)
        counts = held.counts
        counts.local += local
        held.changed = True
        if answer is None or local:
            return Over(thought)
        counts.answers += 1
        counts.input_tokens += input_tokens
        counts.output_tokens += output_tokens
        counts.letters += len(answer)
        agreed = held.mind.learn(thought, answer)
        if thought.audit and agreed is not None:
            counts.audits += 1
            counts.wrong += not agreed
        return Over(thought, agreed)

    def teach(self, scope: str, task: str, query: str, answer: str, model: str = "") -> bool | None:
        """Learn a request of the past, of which the remote answer is known.

        Args:
            scope, task, query, model: as for `consider`.
            answer: of the remote side.

        Returns:
            Whether the local answer would have been as good; None if there would have been none.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/finch") as store:
            ...     keeper = Keeper(store, MindSettings(models=False), worth=0)
            ...     [keeper.teach("00112233", "44556677", "hi", "hello") for _ in range(2)]
            [None, True]
        """
        held = self._hold((scope, task))
        if held is None:
            return None
        held.counts.model = model
        held.changed = True
        return held.mind.learn(held.mind.consider(query).unserved(), answer)

    @property
    def thinking(self) -> float:
        """Seconds that the transformers usually take, of the task where it is most."""
        return max((held.thinking for held in self._held.values()), default=0.0)

    @property
    def waiting(self) -> int:
        """Answers that the models have not learned from yet."""
        return sum(held.mind.status()["waiting"] for held in self._held.values())

    def work(self, budget: float) -> bool:
        """Let models learn for about so many seconds; whether more is waiting."""
        for key in reversed(tuple(self._held)):  # another thread may hold others meanwhile
            with self._turns:
                held = self._held.get(key)
                self._working = key
            try:
                if held is not None and held.mind.work(budget):
                    held.changed = True
                    return True
            finally:
                self._working = None
        return False

    def save(self) -> None:
        """Save all minds that have learned since they were saved."""
        for key, held in self._held.items():
            if held.changed:
                self._save(key, held)

    def due(self) -> Generator[Write | None, None, None]:
        """Copy a mind that has learned and whose time has come, part by part.

        No question waits long meanwhile: at each step one part is copied, and others may come
        between two of them, but no `work`.

        Yields:
            None after each part; in the end what writes the copy, in any thread. Nothing if no mind
            is due.
        """
        for key, held in self._held.items():
            rest = max(self._every, held.took / SAVING)
            if held.changed and self._clock() - held.saved >= rest:
                yield from self._copied(key, held)
                return

    def tasks(self) -> Iterator[dict[str, Any]]:
        """What there is to show of each mind that is held, the last one asked first."""
        for (scope, task), held in reversed(self._held.items()):
            status, counts = held.mind.status(), held.counts
            if status["forwarded"] < self._settings.cold_start:
                state = "cold start"
            else:
                state = "learning" if status["threshold"] is None else "serving"
            yield {
                "scope": scope,
                "task": task,
                "model": counts.model,
                "state": state,
                "requests": counts.requests,
                "local": counts.local,
                "audits": counts.audits,
                "wrong": counts.wrong,
                "bound": status["bound"] if counts.audits else None,
                "error": status["error"],
            }

    def _hold(self, key: Key) -> _Held | None:
        if key not in self._held:
            if len(self._held) >= self._limit and self._leaving() is None:
                self.absent = CROWDED
                return None
            held = self._new(key)
            if held is None:
                self.absent = NEW
                return None
            self._put_away()
            self._held[key] = held
            self.fetched += 1
        held = self._held[key]
        self._held.move_to_end(key)
        held.asked = self._clock()
        return held

    def _new(self, key: Key) -> _Held | None:
        """The mind of a task that is not held, from the disk or a new one."""
        saved = None if key in self._seen else self._store.minds.load(*key)
        if saved is not None:
            content = saved.content
            mind = Mind.from_state(dict(saved.arrays), content["mind"], self._settings, as_good)
            return _Held(mind, Counts(**content["counts"]), saved=self._clock())
        if self._count(key) <= self._worth:
            return None
        del self._seen[key]
        mind = Mind(self._settings, self._seed ^ int(key[1][:8], 16), as_good)
        return _Held(mind, Counts(), saved=self._clock())

    def _leaving(self) -> Key | None:
        """Who would make room: the one asked longest ago, if it is long and it is not at work."""
        key = next((one for one in self._held if one != self._working), None)
        if key is None or self._clock() - self._held[key].asked < self._idle:
            return None
        return key

    def _put_away(self) -> None:
        while len(self._held) >= self._limit:
            with self._turns:  # one that learns just now stays
                key = self._leaving()
                if key is None:
                    return
                held = self._held.pop(key)
            if held.changed:
                self._save(key, held)
            gc.unfreeze()  # the next search for garbage looks at what it was made of, too

    def _count(self, key: Key) -> int:
        self._seen[key] = self._seen.pop(key, 0) + 1
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)
        return self._seen[key]

    def _save(self, key: Key, held: _Held) -> None:
        for write in self._copied(key, held):
            if write is not None:
                write()

    def _copied(self, key: Key, held: _Held) -> Generator[Write | None, None, None]:
        number = self._newest[key] = next(self._states)
        held.saved, held.changed = self._clock(), False
        parts: list[tuple[str, State]] = []
        whole = False
        try:
            for part in held.mind.parts():
                parts.append(part)
                yield None
            whole = True
        finally:
            held.changed = held.changed or not whole
        arrays, facts = held.mind.state(parts)
        content = {"mind": facts, "counts": asdict(held.counts)}

        def write() -> None:
            with self._disk:
                if self._newest.get(key) != number:
                    return  # a newer state of it is there already
                began = self._clock()
                try:
                    self._store.minds.save(*key, arrays, content)
                    self._make_room()
                    held.took = self._clock() - began
                except FinchError as error:
                    self.trouble, held.changed = str(error), True
                else:
                    self.trouble = ""

        yield write

    def _make_room(self) -> None:
        saved = sorted(self._store.minds, key=lambda one: one.time)
        for old in saved[: max(0, len(saved) - self._most)]:
            if (old.scope, old.task) not in self._held:
                self._store.minds.forget(old.scope, old.task)
