"""One task's cascade: what the stages say, whether it may be served, and what they learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..guard.audits import Audits
from ..guard.cold_start import ColdStart
from ..guard.guard import Guard
from ..models.ensemble import Ensemble
from ..models.presets import build
from ..state import State, merged
from ..students.grams import clear, normalised
from .combine import Combine, sureness
from .settings import KINDS, MindSettings
from .thought import Opinion, Thought

Agrees = Callable[[str, str], bool]
"""Is the first, local, answer as good as the second, remote, one?"""

RECENT = 200
"""Examples that students remember when answers have changed."""
MODELS = ("router", "generator", "validator")
"""Names of the opinions of the three transformers."""
SURE = 0.98
"""Score of the students from which the transformers are not asked."""


def same(local: str, remote: str) -> bool:
    """Whether two answers differ in nothing but case, width and white space.

    Example:
        >>> same("Yes ", "yes"), same("yes", "no")
        (True, False)
    """
    return normalised(local) == normalised(remote)


class Mind:
    """What is known of one task.

    Args:
        settings: sizes and limits.
        seed: of all that is drawn.
        agrees: judges local answers; `same` if None.

    Example:
        >>> mind = Mind(MindSettings(models=False))
        >>> thought = mind.consider("freeze my card")
        >>> thought.serve, thought.reason
        (False, 'no stage has an answer')
        >>> mind.learn(thought, "freeze") is None
        True
        >>> mind.consider("freeze my card").answer
        'freeze'
    """

    def __init__(
        self,
        settings: MindSettings,
        seed: int = 0,
        agrees: Agrees | None = None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.agrees = agrees or same
        self._start()

    def consider(self, query: str, hurry: bool = False) -> Thought:
        """Say what would be answered and whether it is served; changes nothing but the draw.

        Args:
            query: the user's text.
            hurry: whether the transformers are left out, which take most of the time.
        """
        opinions = tuple(student.suggest(query) for student in self._students)
        answer, score = self._combine.weigh(opinions)
        if self.models is not None and score < SURE and not hurry:
            more = self._ask(query, opinions)
            if more:
                opinions += more
                answer, score = self._whole.weigh(opinions)
        draw = float(self._draws.random())
        if answer is None:
            reason = "no stage has an answer"
            return Thought(query, opinions, None, 0.0, False, False, 1.0, reason)
        decision = self.guard.decide(score, draw)
        return Thought(
            query, opinions, answer, score,
            decision.serve, decision.audit, decision.propensity, decision.reason,
        )  # fmt: skip

    def learn(self, thought: Thought, answer: str) -> bool | None:
        """Take in a forwarded request's answer: judge the thought first, then learn.

        One that was to be served and was not, such as for a stop sequence, was not drawn by lot: it
        is learned from, but is no evidence of an error.

        Args:
            thought: as `consider` gave it when the request came.
            answer: the remote one.

        Returns:
            Whether the local answer agrees with it; None if there was no local answer.
        """
        right: bool | None = None
        changed = False
        if thought.answer is None:
            self.guard.pass_over()
        else:
            right = bool(self.agrees(thought.answer, answer))
            students = thought.opinions[: len(self._students)]
            if thought.serve:
                self.guard.pass_over()
            else:
                changed = self.guard.note(
                    thought.score, sureness(students, thought.answer),
                    not right, thought.audit, thought.propensity,
                )  # fmt: skip
            self._combine.learn(students, lambda local: self.agrees(local, answer))
            if len(students) < len(thought.opinions):
                self._whole.learn(thought.opinions, lambda local: self.agrees(local, answer))
        if changed:
            for student in self._students:
                student.let_go(RECENT)
            if self.models is not None:
                self.models.let_go(RECENT)
        if len(answer) <= self.settings.longest_answer:
            for student in self._students:
                student.learn(thought.query, answer)
            if self.models is not None:
                self.models.learn(thought.query, answer, thought.answer, right)
        return right

    def work(self, budget: float) -> bool:
        """Train the models on what was learned and on what they remember; students need none.

        Args:
            budget: seconds.

        Returns:
            Whether more is waiting.
        """
        return self.models is not None and self.models.work(budget)

    def parts(self) -> Iterator[tuple[str, State]]:
        """Its state piece by piece, with the part each belongs to, as it is when it is asked for.

        To copy all takes a hundred milliseconds, between two pieces there is time for an answer.
        """
        yield "guard", self.guard.state()
        yield "combine", self._combine.state()
        yield "whole", self._whole.state()
        for student in self._students:
            for piece in student.parts():
                yield f"student.{student.name}", piece
        if self.models is not None:
            for piece in self.models.parts():
                yield "models", piece

    def state(self, parts: Iterable[tuple[str, State]] | None = None) -> State:
        """All of it, so that `from_state` goes on exactly.

        Args:
            parts: of `parts`; as they are now if None.
        """
        pieces: dict[str, list[State]] = {}
        for part, piece in self.parts() if parts is None else parts:
            pieces.setdefault(part, []).append(piece)
        whole = {part: merged(some) for part, some in pieces.items()}
        arrays = {
            f"{part}.{name}": array
            for part, (some, _) in whole.items()
            for name, array in some.items()
        }
        facts = {
            "settings": self.settings.to_json(),
            "seed": self.seed,
            "draws": self._draws.bit_generator.state,
            "parts": {part: content for part, (_, content) in whole.items()},
        }
        return arrays, facts

    @classmethod
    def from_state(
        cls,
        arrays: dict[str, NDArray[Any]],
        facts: dict[str, Any],
        settings: MindSettings | None = None,
        agrees: Agrees | None = None,
    ) -> Mind:
        """The mind whose state this is.

        Args:
            arrays: of `state`.
            facts: of `state`.
            settings: whose limits hold from now on; those of the state if None.
            agrees: as at the start; it is no part of the state.
        """
        parts = facts["parts"]
        saved = MindSettings.from_json(facts["settings"])
        mind = cls(replace(saved, models=False), facts["seed"], agrees)
        mind.settings = saved
        if saved.models:
            mind.models = Ensemble.from_state(_under(arrays, "models"), parts["models"])
        mind._draws.bit_generator.state = facts["draws"]
        mind.guard = Guard.from_state(_under(arrays, "guard"), parts["guard"])
        mind._combine = Combine.from_state(_under(arrays, "combine"), parts["combine"])
        mind._whole = Combine.from_state(_under(arrays, "whole"), parts["whole"])
        mind._students = [
            KINDS[name].from_state(_under(arrays, f"student.{name}"), parts[f"student.{name}"])
            for name in mind.settings.students
        ]
        if settings is not None:
            mind.settings = saved.with_limits_of(settings)
            mind.guard.limit(*_limits(mind.settings))
        return mind

    def status(self) -> dict[str, Any]:
        """What there is to tell, as JSON."""
        waiting = self.models.backlog if self.models is not None else 0
        return {**self.guard.status(), "waiting": waiting}

    def forget(self) -> None:
        """Know nothing again, as at the start."""
        clear()
        self._start()

    def _ask(self, query: str, students: tuple[Opinion, ...]) -> tuple[Opinion, ...]:
        """What the transformers say where the students are not sure; nothing if they cannot yet."""
        assert self.models is not None
        said = self.models.suggest(query, (one.answer for one in students if one.answer))
        if said.answer is None:
            return ()
        judged = [Opinion("validator", one, score) for one, score in said.validator.items()]
        return (
            Opinion("router", None, said.router),
            Opinion("generator", said.answer, said.score),
            *judged,
        )

    def _start(self) -> None:
        settings = self.settings
        self._students = [
            settings.make_student(name, self.seed + place)
            for place, name in enumerate(settings.students)
        ]
        self.models = build(settings.preset, self.seed) if settings.models else None
        self._combine = Combine(settings.students)
        self._whole = Combine((*settings.students, *(MODELS if settings.models else ())))
        self.guard = Guard(*_limits(settings), settings.window)
        self._draws = np.random.default_rng([self.seed, 1])


def _limits(settings: MindSettings) -> tuple[float, float, ColdStart, Audits, int]:
    return (
        settings.delta,
        settings.confidence,
        ColdStart(settings.cold_start, settings.conservative),
        Audits(settings.audit_start, settings.audit_floor, settings.audit_half),
        settings.minimum,
    )


def _under(arrays: dict[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    start = f"{part}."
    return {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
