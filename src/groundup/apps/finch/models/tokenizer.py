r"""The tokens of one kind of traffic: bytes at first, words and whole answers as they are seen.

Byte-level BPE (Sennrich, Haddow and Birch, 2016; on bytes as in Radford et al., 2019) that grows.
Growing only appends: an id, once given, means the same for ever, and a merge that exists is applied
before any newer one. The vocabulary has a fixed capacity, so that the tables of the models, and
with them the compiled programs, keep their shapes; rows without a token are never written.

An answer that repeats becomes one token, which is all that writing it takes then. Every text can be
written at any time and read back: the 256 bytes are always there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ....text.bpe import BPE
from ....text.byte_level import ALPHABET, as_characters
from ....text.splitters import Splitter
from ....text.tokenizer import byte_level_splitter
from ....text.train import learn_merges
from ..errors import FinchError

PAD, BOUNDARY, END, SUMMARY = range(4)
"""Ids that stand in no text: padding, between query and answer, after an answer, of a text."""

_SPECIAL = ("␀pad", "␀boundary", "␀end", "␀summary")  # "␀" stands for no byte
LEAST = len(_SPECIAL) + len(ALPHABET)
"""Tokens that there are from the beginning."""


class TrafficTokenizer:
    """A tokenizer that grows with the texts it is shown.

    Args:
        capacity: ids that there will be at most.
        longest: characters of an answer that may become one token, at most.
        answers: share of the ids beyond the bytes that answers may take.

    Attributes:
        tokens: each token in the notation of vocabulary files.
        answers: id of each answer that is one token.
        most_answers: how many of them there may be.
        grown: how often tokens were added.

    Raises:
        FinchError: a capacity without room for the bytes.

    Example:
        >>> tokenizer = TrafficTokenizer(capacity=300)
        >>> before = tokenizer.encode("low lower")
        >>> _ = tokenizer.extend(["low lower lowest"] * 3)
        >>> len(tokenizer.encode("low lower")) < len(before)
        True
        >>> tokenizer.decode(before)
        'low lower'
    """

    def __init__(self, capacity: int, longest: int = 200, answers: float = 0.25) -> None:
        if capacity < LEAST:
            raise FinchError(
                f"TrafficTokenizer: capacity {capacity}, expected at least {LEAST}: the 256 bytes "
                f"and {len(_SPECIAL)} marks"
            )
        self.capacity, self.longest, self.share = capacity, longest, answers
        self.most_answers = int(answers * (capacity - LEAST))
        self.tokens = [*_SPECIAL, *ALPHABET]
        self.merges: list[tuple[str, str]] = []
        self.answers: dict[str, int] = {}
        self.grown = 0
        self._splitter: Splitter = byte_level_splitter("gpt2")
        self._model = BPE(self.tokens, self.merges)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        r"""The ids of a text, none of them a mark; half characters are written too.

        Example:
            >>> tokenizer = TrafficTokenizer(260)
            >>> tokenizer.decode(tokenizer.encode("é\ud800")) == "é\ud800"
            True
        """
        return [i for part in self.words(text) for i in part]

    def words(self, text: str) -> list[tuple[int, ...]]:
        """The ids of each word of a text.

        Example:
            >>> [len(word) for word in TrafficTokenizer(260).words("to be")]
            [2, 3]
        """
        words = self._splitter.words(text)
        try:
            return self._model.encode_words(words)
        except ValueError:
            return [self._model.encode_bytes(w.encode("utf-8", "surrogatepass")) for w in words]

    def split(self, text: str) -> list[str]:
        """The words that `words` gives the ids of.

        Example:
            >>> TrafficTokenizer(260).split("to be")
            ['to', ' be']
        """
        return self._splitter.words(text)

    def encode_answer(self, text: str) -> list[int]:
        """The ids of an answer: one where it is known as a whole.

        Example:
            >>> tokenizer = TrafficTokenizer(300)
            >>> _ = tokenizer.add_answers(["transfer"])
            >>> len(tokenizer.encode_answer("transfer")), len(tokenizer.encode("transfer"))
            (1, 8)
        """
        known = self.answers.get(text)
        return self.encode(text) if known is None else [known]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; marks are left out, bytes that are not UTF-8 become U+FFFD.

        Raises:
            FinchError: an id that there is not.

        Example:
            >>> tokenizer = TrafficTokenizer(260)
            >>> tokenizer.decode([BOUNDARY, *tokenizer.encode("hi"), END])
            'hi'
        """
        kept = [i for i in ids if i >= len(_SPECIAL)]
        if kept and max(kept) >= len(self.tokens):
            raise FinchError(
                f"decode: id {max(kept)}, expected one of the {len(self.tokens)} tokens"
            )
        content = self._model.decode_bytes(kept)
        try:
            return content.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return content.decode("utf-8", "replace")

    def extend(
        self, texts: Iterable[str] | Mapping[str, int], size: int | None = None, least: int = 2
    ) -> dict[int, list[int]]:
        """Learn merges from texts, going on from those that there are.

        Args:
            texts: what was seen, or how often each text was.
            size: tokens to stop at; None: the capacity, less what is kept for answers.
            least: how often a pair must occur.

        Returns:
            For each new id the ids that wrote it before: their vectors' mean is where the new one's
            begins.

        Example:
            >>> tokenizer = TrafficTokenizer(300)
            >>> tokenizer.extend(["aa aa"])
            {260: [68, 68]}
        """
        room = self.capacity - max(0, self.most_answers - len(self.answers))
        stop = room if size is None else min(size, room)
        counts: Counter[str] = Counter()
        for text, n in texts.items() if isinstance(texts, Mapping) else ((t, 1) for t in texts):
            for word in self._splitter.words(text.encode("utf-8", "replace").decode()):
                counts[word] += n
        old, first = self._model, len(self.tokens)
        new = learn_merges(counts, self.tokens, stop, least, known=old)
        self.merges += new
        return self._rebuilt(old, first)

    def add_answers(self, answers: Iterable[str]) -> dict[int, list[int]]:
        """Make each of these one token, as long as there is room.

        Returns:
            As `extend`.

        Example:
            >>> tokenizer = TrafficTokenizer(300)
            >>> tokenizer.add_answers(["ab"])
            {260: [68, 69]}
        """
        old, first = self._model, len(self.tokens)
        for text in answers:
            full = len(self.answers) >= self.most_answers
            if text in self.answers or not text or len(text) > self.longest or full:
                continue
            token = as_characters(text.encode("utf-8", "surrogatepass"))
            known = old.ids.get(token)
            if known is None:
                if len(self.tokens) >= self.capacity:
                    break
                known = len(self.tokens)
                self.tokens.append(token)
            self.answers[text] = known
        return self._rebuilt(old, first)

    def _rebuilt(self, old: BPE, first: int) -> dict[int, list[int]]:
        """The model of the tokens as they are now; of what the new ones are made."""
        if len(self.tokens) == first and len(self.merges) == len(old.merges):
            return {}
        self._model = BPE(self.tokens, self.merges)
        self.grown += 1
        new = range(first, len(self.tokens))
        return {i: list(old.encode_bytes(self._model.token_bytes(i))) for i in new}

    def as_json(self) -> dict[str, Any]:
        """All of it, as a JSON value.

        Example:
            >>> sorted(TrafficTokenizer(260).as_json())
            ['answers', 'capacity', 'grown', 'longest', 'merges', 'share', 'tokens']
        """
        return {
            "capacity": self.capacity,
            "longest": self.longest,
            "share": self.share,
            "tokens": self.tokens[LEAST:],
            "merges": [list(pair) for pair in self.merges],
            "answers": list(self.answers.values()),
            "grown": self.grown,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrafficTokenizer:
        """The tokenizer of which `as_json` gave the value.

        Raises:
            FinchError: it is damaged.

        Example:
            >>> tokenizer = TrafficTokenizer(300)
            >>> _ = tokenizer.extend(["aa aa"])
            >>> TrafficTokenizer.from_json(tokenizer.as_json()).encode("aa") == [260]
            True
        """
        try:
            out = cls(int(value["capacity"]), int(value["longest"]), float(value["share"]))
            out.tokens += [str(token) for token in value["tokens"]]
            out.merges = [(str(left), str(right)) for left, right in value["merges"]]
            out._model = BPE(out.tokens, out.merges)
            out.answers = {out.decode([int(i)]): int(i) for i in value["answers"]}
            out.grown = int(value["grown"])
        except (KeyError, TypeError, ValueError) as error:
            raise FinchError(f"a tokenizer's state is damaged: {error}; reset the scope") from error
        if len(out.tokens) > out.capacity:
            raise FinchError(
                f"a tokenizer's state has {len(out.tokens)} tokens, its capacity is {out.capacity}"
            )
        return out
