"""Router, generator and validator with one tokenizer and one replay buffer, learning together.

`learn` takes an answer in and returns at once. `work` does the learning in slices: every new
example earns itself and some replayed ones a pass through the three models; examples wait in bins
of similar length until a bin is full, so that all batches have one of a few shapes.

The tokenizer grows when the number of examples has doubled, and when an answer comes again.

One thread may learn (`work`) while another one asks and teaches (`suggest`, `learn`), and does not
wait for it: what it teaches is put down, to be taken in later; while words and tables change the
models have nothing to say; and they say nothing of queries and answers of a length that they have
not learned yet, for which the programs are compiled by the thread that learns. What is asked during
a step meets an average of weights that is half a step further than the other half.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FinchError
from ..state import State, merged
from .answers import answer_length
from .generator import Generator
from .network import Sizes, sizes_json
from .reading import Reader, rounded
from .replay import Example, ReplayBuffer
from .router import Router
from .tokenizer import TrafficTokenizer
from .validator import Validator

ROWS = 32
"""Examples of a batch of short texts."""
TOKENS = 1024
"""Tokens of a batch: longer texts come in smaller batches, but not below four examples."""
FIRST_GROWTH = 32
"""Examples after which the tokenizer grows first; nothing is learned before."""
SHORT = 32
"""Characters of an answer that becomes one token at once, as long as half the room is free."""
REMEMBERED = 10_000
"""Answers of which it is remembered that they were seen."""
WAITING = 4096
"""New examples that wait at most; older ones are left to replay."""


PATIENCE = 0.002
"""Seconds that a question waits while words or tables change."""

Key = tuple[int, int]
"""The lengths that a query and an answer are padded to."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the three models say of a query.

    Attributes:
        answer: the generator's; None if the models have nothing to say.
        score: the probability that the generator gives it.
        router: the router's score, from the query alone.
        validator: the validator's score of each answer that it was shown.

    Example:
        >>> Said("balance", 0.9, 0.8, {"balance": 0.95}).answer
        'balance'
    """

    answer: str | None = None
    score: float = 0.0
    router: float = 0.0
    validator: Mapping[str, float] = field(default_factory=dict)


class Ensemble:
    """The three transformers of Finch.

    Args:
        router, generator, validator: their sizes; ``vocab`` is the same.
        seed: of everything random.
        replays: replayed examples that go with each new one.
        buffer: what is replayed; None: one of the usual size.
        rate: learning rate.

    Raises:
        FinchError: vocabularies of different sizes.

    Example:
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> ensemble = Ensemble(sizes, sizes, sizes, replays=30, rate=0.02)
        >>> for query, answer in [("ping", "yes"), ("tick", "no")] * 32:
        ...     ensemble.learn(query, answer)
        >>> while ensemble.work(1.0):
        ...     pass
        >>> ensemble.suggest("tick").answer
        'no'
    """

    def __init__(
        self,
        router: Sizes,
        generator: Sizes,
        validator: Sizes,
        seed: int = 0,
        replays: int = 8,
        buffer: ReplayBuffer | None = None,
        rate: float = 2e-3,
    ) -> None:
        if len({router.vocab, generator.vocab, validator.vocab}) > 1:
            raise FinchError(
                f"Ensemble: vocabularies of {router.vocab}, {generator.vocab} and "
                f"{validator.vocab} ids, expected the same: there is one tokenizer"
            )
        self.seed, self.replays, self.rate = seed, replays, rate
        self.tokenizer = TrafficTokenizer(router.vocab)
        self.router = Router(router, self.tokenizer, 4 * seed + 1, rate)
        self.generator = Generator(generator, self.tokenizer, 4 * seed + 2, rate)
        self.validator = Validator(validator, self.tokenizer, 4 * seed + 3, rate)
        readers: dict[tuple[int, int], Reader] = {}
        for model in (self.router, self.generator, self.validator):  # what they read is read once
            place = model.sizes.rows, model.sizes.query
            model.reader = readers.setdefault(place, model.reader)
        self.buffer = buffer if buffer is not None else ReplayBuffer(seed=4 * seed + 4)
        self.losses: dict[str, float] = {}
        self._words = threading.Lock()
        self._taught: deque[Example | int] = deque(maxlen=WAITING)
        self._waiting: deque[Example] = deque(maxlen=WAITING)
        self._bins: dict[Key, list[Example]] = {}
        self._learned: set[Key] = set()
        self._growth = FIRST_GROWTH
        self._answers: Counter[str] = Counter()

    def suggest(self, query: str, others: Iterable[str] = ()) -> Said:
        """What the models say; changes nothing.

        Args:
            query: the user's text.
            others: answers that others suggest, for the validator to judge.
        """
        if not self._words.acquire(timeout=PATIENCE):
            return Said()
        try:
            length = self._length(query)
            if not any(length == t for t, _ in self._learned):
                return Said()
            answer, score = self.generator.suggest(query)
            if answer is None:
                return Said()
            judged = {
                one: self.validator.score(query, one)
                for one in dict.fromkeys((answer, *others))
                if (length, self._answer_length(one)) in self._learned
            }
            return Said(answer, score, self.router.score(query), judged)
        finally:
            self._words.release()

    def learn(
        self, query: str, answer: str, local: str | None = None, right: bool | None = None
    ) -> None:
        """Put a remote answer down, to be learned from by `work` if it fits.

        Args:
            query: the user's text.
            answer: the remote answer.
            local: what was, or would have been, answered locally.
            right: whether that was as good.
        """
        self._taught.append(Example(query, answer, local, right))

    def let_go(self, recent: int) -> None:
        """Remember the latest examples alone, for answers have changed.

        Args:
            recent: so many.
        """
        self._taught.append(recent)

    def work(self, budget: float) -> bool:
        """Learn for about so many seconds; True if more is waiting.

        At least one step is made if there is one to make, so that any budget gets on.
        """
        end = time.perf_counter() + budget
        while self.step():
            if time.perf_counter() >= end:
                return self._ready() or self._full() is not None
        return False

    def step(self) -> bool:
        """One batch for each model; False if there is none yet."""
        with self._words:
            self._take_in()
        while (key := self._full()) is None:
            with self._words:
                if not self._ready():
                    return False
                self._earn(self._waiting.popleft())
        rows, self._bins[key] = self._bins[key][: _rows(key)], self._bins[key][_rows(key) :]
        for name, model in (
            ("router", self.router),
            ("generator", self.generator),
            ("validator", self.validator),
        ):
            self.losses[name] = model.update(rows)
        if key not in self._learned:
            self._prepare(key)
        return True

    def _take_in(self) -> None:
        """Bring into the buffer what was put down meanwhile."""
        while self._taught:
            one = self._taught.popleft()
            if isinstance(one, int):
                self.buffer.let_go(one)
                self._waiting.clear()
                self._bins = {}
            elif self._fits(one.query, one.answer):
                one = replace(one, number=self.buffer.seen)
                self.buffer.add(one)
                self._waiting.append(one)

    def _prepare(self, key: Key) -> None:
        """Compile what answering takes for queries and answers of these lengths."""
        length, tokens = key
        if not any(length == t for t, _ in self._learned):
            self.generator.prepare(length)
            self.router.prepare(length, 0)
        self.validator.prepare(length, tokens)
        self._learned = {*self._learned, key}

    def _ready(self) -> bool:
        """Whether an example waits, and there are enough to begin with."""
        return bool(self._waiting) and self.buffer.seen >= FIRST_GROWTH

    @property
    def backlog(self) -> int:
        """New examples that nothing was learned from yet."""
        return len(self._waiting) + len(self._taught)

    def _earn(self, example: Example) -> None:
        """Put a new example and some old ones into the bins; let the tokenizer grow first."""
        self._grow(example)
        for one in (example, *self.buffer.sample(self.replays)):
            if self._fits(one.query, one.answer):
                self._bins.setdefault(self._key(one), []).append(one)

    def _fits(self, query: str, answer: str) -> bool:
        return (
            self.generator.fits(query, answer)
            and self.router.reader.read(query) is not None
            and self.validator.reader.read(query) is not None
            and len(self.tokenizer.encode_answer(answer)) <= self.validator.sizes.answer
        )

    def _key(self, one: Example) -> Key:
        """The lengths that an example is padded to."""
        return self._length(one.query), self._answer_length(one.answer)

    def _length(self, query: str) -> int:
        """What a query is padded to; 0 if it is too long."""
        reading = self.generator.reader.read(query)
        if reading is None:
            return 0
        return min(rounded(len(reading.ids)), self.generator.sizes.query)

    def _answer_length(self, answer: str) -> int:
        """What an answer is padded to; 0 if it is too long."""
        most = self.generator.sizes.answer
        if len(answer) > 16 * most:
            return 0
        tokens = len(self.tokenizer.encode_answer(answer))
        return answer_length(tokens, most) if tokens <= most else 0

    def _full(self) -> Key | None:
        return next((key for key, held in self._bins.items() if len(held) >= _rows(key)), None)

    def _grow(self, example: Example) -> None:
        made: dict[int, list[int]] = {}
        if len(example.answer) <= self.tokenizer.longest:
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            self._answers[example.answer] += 1
            if self._answers[example.answer] == 2 or self._at_once(example.answer):
                made |= self.tokenizer.add_answers([example.answer])
        if self.buffer.seen >= self._growth:
            self._growth = 2 * self.buffer.seen
            made |= self.tokenizer.extend(one.query for one in self.buffer)
            waiting = [one for held in self._bins.values() for one in held]
            self._bins = {}
            for one in waiting:
                self._bins.setdefault(self._key(one), []).append(one)
        if made:
            for model in (self.router, self.generator, self.validator):
                model.grow(made)

    def _at_once(self, answer: str) -> bool:
        """Whether an answer becomes a token when it comes first: it is short, and there is room."""
        room = len(self.tokenizer.answers) < self.tokenizer.most_answers // 2
        return room and len(answer) <= SHORT and "\n" not in answer

    def parts(self) -> Iterator[State]:
        """All of it, piece by piece; `work` must not be at it until it is whole."""
        with self._words:
            self._take_in()
        for name, part in self._parts().items():
            arrays, facts = part.state()
            yield {f"{name}/{key}": array for key, array in arrays.items()}, {name: facts}
        value = {
            "sizes": [
                sizes_json(model.sizes) for model in (self.router, self.generator, self.validator)
            ],
            "seed": self.seed,
            "replays": self.replays,
            "rate": self.rate,
            "tokenizer": self.tokenizer.as_json(),
            "growth": self._growth,
            "answers": dict(self._answers),
            "waiting": [_fields(one) for one in self._waiting],
            "bins": [[*key, [_fields(one) for one in held]] for key, held in self._bins.items()],
            "learned": sorted(self._learned),
            "losses": self.losses,
        }
        yield {}, value

    def state(self) -> State:
        """All of it: arrays, and a JSON value; not to be asked for while `work` is at it."""
        return merged(self.parts())

    def _parts(self) -> dict[str, Any]:
        return {
            "router": self.router,
            "generator": self.generator,
            "validator": self.validator,
            "buffer": self.buffer,
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], value: Mapping[str, Any]) -> Ensemble:
        """The models of which `state` gave the arrays and the value; they go on bit for bit.

        Raises:
            FinchError: they are damaged.
        """
        inner: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            inner.setdefault(part, {})[rest] = array
        try:
            router, generator, validator = (Sizes(**one) for one in value["sizes"])
            out = cls(
                router, generator, validator, value["seed"], value["replays"], rate=value["rate"]
            )
            grown = TrafficTokenizer.from_json(value["tokenizer"])
            out.tokenizer.__dict__.update(grown.__dict__)
            out.buffer = ReplayBuffer.from_state(inner["buffer"], value["buffer"])
            for name, part in out._parts().items():
                if name != "buffer":
                    part.load(inner[name], value[name])
            out._growth = int(value["growth"])
            out._answers = Counter(value["answers"])
            out._waiting.extend(Example(*fields) for fields in value["waiting"])
            out._bins = {
                (t, s): [Example(*fields) for fields in held] for t, s, held in value["bins"]
            }
            out._learned = {(t, s) for t, s in value["learned"]}
            out.losses = dict(value["losses"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise FinchError(f"the models' state is damaged: {error}; reset the scope") from error
        return out


def _rows(key: Key) -> int:
    return int(np.clip(TOKENS // sum(key), 4, ROWS))


def _fields(one: Example) -> list[Any]:
    return [one.query, one.answer, one.local, one.right, one.number]
