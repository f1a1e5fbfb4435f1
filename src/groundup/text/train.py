"""Learning the merges of byte-level BPE, with counts of pairs that are kept up to date.

R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units"
(2016, algorithm 1): of all neighbours in the words of a text, weighted by how often each word
occurs, the most frequent pair becomes a new token, again and again. Only the words that hold the
pair change, so only their pairs are counted anew; a heap gives the most frequent pair, and an entry
whose count has changed meanwhile is put back with the new one when it comes up.

Of pairs that are equally frequent the one with the smaller ids comes first, first token before
second; ids are those of the special tokens, then of the 256 bytes in the order of their characters
(`ALPHABET`), then of the merges. That is the order of the `tokenizers` package, whose merges these
are, pair by pair.

Cost: the words are cut out of the text once; after that the text does not matter, only its
different words. With W of them of B bytes in all, at most B pairs are ever joined.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from .added import AddedToken
from .bpe import BPE
from .byte_level import ALPHABET, CHARACTER_OF, utf8
from .normalizers import Normalizer
from .splitters import Splitter
from .template import Template
from .tokenizer import Tokenizer, byte_level_splitter

_SHIFT = 32
_RIGHT = (1 << _SHIFT) - 1
"""A pair of ids is one integer, left << 32 | right: quick to look up, and in the order of ties."""

BLOCK = 2**20
"""Characters of a file that are read at a time."""


def train_bpe(
    texts: str | os.PathLike[str] | Iterable[str],
    vocab_size: int,
    *,
    pattern: str = "gpt2",
    normalizer: Normalizer | None = None,
    special_tokens: Iterable[AddedToken | str] = (),
    prefix_space: bool = False,
    min_frequency: int = 0,
    template: Template | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tokenizer:
    """A byte-level tokenizer for texts like these.

    Args:
        texts: a text, a file (a ``Path``, UTF-8, read piece by piece, so that it may be larger than
            memory), or many texts.
        vocab_size: tokens at the most: special ones, 256 bytes, and a merge each. Fewer where no
            pair is left.
        pattern: where words are cut: a name of `PATTERNS` or a pattern.
        normalizer: what is done to a text before, and will be in encoding.
        special_tokens: get the first ids.
        prefix_space: whether a text that does not begin with a space gets one.
        min_frequency: how often a pair must occur to be joined; at least once in any case.
        template: the special tokens around a text.
        progress: called after every hundred merges with the number of tokens and `vocab_size`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the vocabulary has no room for the bytes, the file is not UTF-8, or a text holds
            a lone surrogate.

    Example:
        >>> tokenizer = train_bpe("low low low lower lowest newest", 261)
        >>> tokenizer.model.merges
        [('l', 'o'), ('lo', 'w'), ('Ġ', 'low'), ('e', 's'), ('es', 't')]
    """
    added = [AddedToken(one) if isinstance(one, str) else one for one in special_tokens]
    least = len(ALPHABET) + len(added)
    if vocab_size < least:
        raise ValueError(
            f"train_bpe: vocab_size {vocab_size} has no room for the 256 bytes and {len(added)} "
            f"special tokens; expected at least {least}"
        )
    splitter = byte_level_splitter(pattern, prefix_space=prefix_space)
    if isinstance(texts, os.PathLike):
        texts = _blocks(texts)
    elif isinstance(texts, str):
        texts = [texts]
    counts = count_words(texts, splitter, normalizer, prefix_space=prefix_space)
    tokens = [*(token.content for token in added), *ALPHABET]
    merges = learn_merges(counts, tokens, vocab_size, min_frequency, progress)
    return Tokenizer(
        BPE(tokens, merges),
        splitter=splitter,
        normalizer=normalizer,
        added=added,
        template=template,
    )


def count_words(
    texts: Iterable[str],
    splitter: Splitter,
    normalizer: Normalizer | None = None,
    *,
    prefix_space: bool = False,
) -> Counter[str]:
    """How often each word occurs in texts.

    Example:
        >>> from groundup.text import ByteLevel
        >>> count_words(["to be or not to be"], ByteLevel())[" be"]
        2
    """
    counts: Counter[str] = Counter()
    for text in texts:
        changed = normalizer(text) if normalizer else text
        if prefix_space and changed and not changed.startswith(" "):
            changed = f" {changed}"
        counts.update(splitter.words(changed))
    return counts


def learn_merges(
    counts: Mapping[str, int],
    tokens: list[str],
    size: int,
    min_frequency: int = 0,
    progress: Callable[[int, int], None] | None = None,
    known: BPE | None = None,
) -> list[tuple[str, str]]:
    """The merges of words that occur so often.

    Args:
        counts: how often each word occurs.
        tokens: those that there are, with the 256 bytes; gets the new ones.
        size: how many tokens to stop at.
        min_frequency: how often a pair must occur to be joined.
        progress: called after every hundred merges.
        known: a model whose vocabulary is ``tokens``, to go on from: words are made of its tokens
            first, and the merges returned are those that it lacks.

    Returns:
        The merges, the earliest first.

    Example:
        >>> tokens = list(ALPHABET)
        >>> learn_merges({"aab": 3}, tokens, 258)
        [('a', 'a'), ('aa', 'b')]
        >>> tokens[256:]
        ['aa', 'aab']
    """
    ids = {token: i for i, token in enumerate(tokens)}
    byte_ids = [ids[CHARACTER_OF[byte]] for byte in range(256)]
    if known is None:
        words = [(list(map(byte_ids.__getitem__, utf8(word))), n) for word, n in counts.items()]
    else:
        words = [(list(known.encode_words([word])[0]), n) for word, n in counts.items()]
    words = [(numbers, n) for numbers, n in words if len(numbers) > 1]

    pairs: defaultdict[int, int] = defaultdict(int)  # how often each occurs
    holders: defaultdict[int, list[int]] = defaultdict(list)  # in which words
    for place, (numbers, n) in enumerate(words):
        left = numbers[0]
        for right in numbers[1:]:
            pair = left << _SHIFT | right
            pairs[pair] += n
            holders[pair].append(place)
            left = right
    heap = [(-pairs[pair], pair, places) for pair, places in holders.items()]
    del holders
    heapify(heap)

    merges: list[tuple[str, str]] = []
    least = max(min_frequency, 1)
    while len(tokens) < size and heap:
        count, pair, places = heappop(heap)
        if pairs[pair] != -count:
            heappush(heap, (-pairs[pair], pair, places))
            continue
        if -count < least:
            break
        left, right = pair >> _SHIFT, pair & _RIGHT
        merges.append((tokens[left], tokens[right]))
        token = tokens[left] + tokens[right]
        made = ids.setdefault(token, len(tokens))
        if made == len(tokens):
            tokens.append(token)
        for found, holding in _join(words, places, left, right, made, pairs).items():
            if pairs[found] > 0:
                heappush(heap, (-pairs[found], found, holding))
        if progress is not None and len(merges) % 100 == 0:
            progress(len(tokens), size)
    return merges


def _join(
    words: list[tuple[list[int], int]],
    places: list[int],
    left: int,
    right: int,
    made: int,
    pairs: defaultdict[int, int],
) -> dict[int, list[int]]:
    """Put a new token in the place of a pair, and keep the counts of the pairs around it.

    Args:
        words: ids and count of each; changed.
        places: the words that hold the pair, or have held it; may repeat.
        left, right: the pair.
        made: the token that takes its place.
        pairs: how often each occurs; changed, but for the pair itself.

    Returns:
        The pairs that have become more frequent, with the words that hold them.
    """
    risen: defaultdict[int, list[int]] = defaultdict(list)
    made_first = made << _SHIFT
    right_first = right << _SHIFT
    for place in places:
        numbers, n = words[place]
        last = len(numbers) - 1
        i = -1
        while True:
            try:
                i = numbers.index(left, i + 1, last)
            except ValueError:
                break
            if numbers[i + 1] != right:
                continue
            numbers[i : i + 2] = (made,)
            last -= 1
            if i:
                before = numbers[i - 1] << _SHIFT
                pairs[before | left] -= n
                pairs[before | made] += n
                risen[before | made].append(place)
            if i < last:
                behind = numbers[i + 1]
                pairs[right_first | behind] -= n
                pairs[made_first | behind] += n
                risen[made_first | behind].append(place)
    return risen


_SURE_CUT = re.compile(r"(?<=[^\W\d_])(?= [^\W\d_])")


def _blocks(path: os.PathLike[str]) -> Iterator[str]:
    """A file in pieces that end where every public pattern cuts: between a letter and " a".

    Where there is no such place, a piece is as long as it takes.
    """
    name = os.fspath(path)
    try:
        with open(name, encoding="utf-8-sig", newline="") as file:
            kept: list[str] = []
            while block := file.read(BLOCK):
                cut = max((match.start() for match in _SURE_CUT.finditer(block)), default=0)
                if cut:
                    yield "".join([*kept, block[:cut]])
                    kept.clear()
                kept.append(block[cut:])
            yield "".join(kept)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: there is no such text file") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: not UTF-8 ({error.reason}); convert the file to UTF-8 first, or read it with "
            "its own encoding and pass the text"
        ) from error
