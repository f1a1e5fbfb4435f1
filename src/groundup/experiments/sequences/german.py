"""English sentences and their German: the data of the experiment on translation.

A small grammar of both languages writes pairs. What makes them more than word for word:

    the man buys the red apple        der Mann kauft den roten Apfel       case of the object
    a small child / this small child  ein kleines Kind / dieses kleine Kind    gender, declension
    today the man buys the apple      heute kauft der Mann den Apfel       the verb stays second
    the man buys the apple today      der Mann kauft heute den Apfel
    the man bought the apple          der Mann hat den Apfel gekauft       one word becomes two
    the man wants to buy the apple    der Mann will den Apfel kaufen
    ... says that the man will ...    ... sagt, dass der Mann ... wird     the verb goes last

Clauses with "that" can stand in each other: their number is the depth of a sentence. Some nouns are
never objects unless asked for, so that a test can ask what was never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import groundup as gu
from groundup.text import Tokenizer, train_bpe

Array = np.ndarray
Batch = tuple[gu.Tensor, gu.Tensor, gu.Tensor, gu.Tensor]

MASCULINE, FEMININE, NEUTER = range(3)
LIVING = {
    "man": ("Mann", MASCULINE), "teacher": ("Lehrer", MASCULINE), "dog": ("Hund", MASCULINE),
    "bird": ("Vogel", MASCULINE), "woman": ("Frau", FEMININE), "doctor": ("Ärztin", FEMININE),
    "cat": ("Katze", FEMININE), "queen": ("Königin", FEMININE), "child": ("Kind", NEUTER),
    "girl": ("Mädchen", NEUTER), "horse": ("Pferd", NEUTER), "sheep": ("Schaf", NEUTER),
}  # fmt: skip
THINGS = {
    "apple": ("Apfel", MASCULINE), "letter": ("Brief", MASCULINE), "table": ("Tisch", MASCULINE),
    "hat": ("Hut", MASCULINE), "flower": ("Blume", FEMININE), "lamp": ("Lampe", FEMININE),
    "clock": ("Uhr", FEMININE), "bag": ("Tasche", FEMININE), "book": ("Buch", NEUTER),
    "egg": ("Ei", NEUTER), "picture": ("Bild", NEUTER), "bicycle": ("Fahrrad", NEUTER),
}  # fmt: skip
NOUNS = LIVING | THINGS
NEVER_OBJECTS = ("bird", "queen", "sheep")
"""In no object of the training data, though often in subjects: one of each gender."""

DETERMINERS = {"the": "d", "this": "dies", "a": "ein", "my": "mein"}
NOMINATIVE = {"d": ("der", "die", "das"), "dies": ("dieser", "diese", "dieses")} | {
    word: (word, f"{word}e", word) for word in ("ein", "mein")
}
ACCUSATIVE = {
    word: ({"d": "den"}.get(word, f"{word}en"), *forms[1:]) for word, forms in NOMINATIVE.items()
}
ENDINGS = {  # of adjectives, by whether the determiner shows case and gender itself
    (False, True): ("e", "e", "e"), (False, False): ("er", "e", "es"),
    (True, True): ("en", "e", "e"), (True, False): ("en", "e", "es"),
}  # fmt: skip
ADJECTIVES = {
    "old": "alt", "small": "klein", "big": "groß", "new": "neu", "beautiful": "schön",
    "heavy": "schwer", "red": "rot", "quiet": "ruhig",
}  # fmt: skip

VERBS = (  # buy, buys, bought, and kaufen, kauft, gekauft
    ("buy", "buys", "bought", "kaufen", "kauft", "gekauft"),
    ("see", "sees", "saw", "sehen", "sieht", "gesehen"),
    ("find", "finds", "found", "finden", "findet", "gefunden"),
    ("paint", "paints", "painted", "malen", "malt", "gemalt"),
    ("love", "loves", "loved", "lieben", "liebt", "geliebt"),
    ("carry", "carries", "carried", "tragen", "trägt", "getragen"),
    ("need", "needs", "needed", "brauchen", "braucht", "gebraucht"),
    ("bring", "brings", "brought", "bringen", "bringt", "gebracht"),
)
MODALS = {"wants to": "will", "can": "kann", "must": "muss", "will": "wird"}
SAYING = {"says": "sagt", "believes": "glaubt", "knows": "weiß", "hopes": "hofft"}
ADVERBS = {
    "today": "heute", "here": "hier", "at home": "zu Hause", "every day": "jeden Tag",
    "in the garden": "im Garten",
}  # fmt: skip

SPECIAL = ("<begin>", "<end>", "<pad>")
BEGIN, END, PAD = range(3)
VOCABULARY, BATCH = 704, 50

DEPTHS, DEEPER = (0, 1, 2), 3
"""Clauses with "that" in the sentences to learn from, and in others to test on."""


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation."""

    english: str
    german: str
    depth: int


EXAMPLE = Pair(
    "today the man wants to buy the red apple", "heute will der Mann den roten Apfel kaufen", 0
)
"""In no part of the data."""


def pick(random: np.random.Generator, words: Sequence[str]) -> str:
    """One of them, each as likely."""
    return words[int(random.integers(len(words)))]


def noun_phrase(random: np.random.Generator, noun: str, accusative: bool) -> tuple[str, str]:
    """A noun with a determiner, and an adjective half of the time."""
    word, gender = NOUNS[noun]
    english = pick(random, [*DETERMINERS])
    german = DETERMINERS[english]
    forms = ACCUSATIVE if accusative else NOMINATIVE
    between, ending = "", ENDINGS[accusative, german in ("d", "dies")][gender]
    left, right = [english], [forms[german][gender]]
    if random.random() < 0.5:
        between = pick(random, [*ADJECTIVES])
        left, right = [*left, between], [*right, ADJECTIVES[between] + ending]
    if english == "a" and (between or noun)[0] in "aeiou":
        left[0] = "an"
    return " ".join([*left, noun]), " ".join([*right, word])


def sentence(random: np.random.Generator, depth: int, objects: tuple[str, ...]) -> Pair:
    """A sentence of that many clauses with "that", whose object is one of these nouns."""
    english, german = [], []
    inside = False  # of a clause with "that"

    def clause(
        subject: tuple[str, str], verb: str, finite: str, rest: list[str], ends: bool
    ) -> None:
        """Subject, verb and what follows, with an adverb at times; German as this clause has it."""
        place = pick(random, ["none", "none", "end", "front"])
        if (place == "front" and inside) or (place == "end" and not ends):
            place = "none"
        adverb, ort = "", ""
        if place != "none":
            adverb = pick(random, [*ADVERBS])
            ort = ADVERBS[adverb]
        front = place == "front"
        english.extend([adverb] * front + [subject[0], verb] + [adverb] * (not front))
        if inside:
            german.extend([subject[1], ort, *rest, finite])
        elif front:
            german.extend([ort, finite, subject[1], *rest])
        else:
            german.extend([subject[1], finite, ort, *rest])

    for _ in range(depth):
        sayer = noun_phrase(random, pick(random, [*LIVING]), False)
        says = pick(random, [*SAYING])
        clause(sayer, says, SAYING[says], [], ends=False)
        english.append("that")
        german[-1 if german[-1] else -2] += ","
        german.append("dass")
        inside = True
    subject = noun_phrase(random, pick(random, [*LIVING]), False)
    thing = noun_phrase(random, pick(random, objects), True)
    base, present, past, infinitive, finite, participle = VERBS[random.integers(len(VERBS))]
    tense = pick(random, ["present", "past", *MODALS])
    if tense == "present":
        verb, rest = present, [thing[1]]
    elif tense == "past":
        verb, finite, rest = past, "hat", [thing[1], participle]
    else:
        verb, finite, rest = f"{tense} {base}", MODALS[tense], [thing[1], infinitive]
    clause(subject, f"{verb} {thing[0]}", finite, rest, ends=True)
    return Pair(" ".join(filter(None, english)), " ".join(filter(None, german)), depth)


USUAL = tuple(noun for noun in NOUNS if noun not in NEVER_OBJECTS)


@dataclass(frozen=True)
class Split:
    """Pairs to learn from, to choose settings by, and to test on; none is in two parts."""

    train: list[Pair]
    validation: list[Pair]
    test: dict[str, list[Pair]]


def split(seed: int, count: int, held_out: int) -> Split:
    """The pairs of a seed.

    Args:
        seed: of the random numbers.
        count: pairs to learn from, as many of each depth.
        held_out: pairs of each test, and of the validation.
    """
    random = np.random.default_rng(seed)
    taken = {EXAMPLE.english}

    def take(pairs: int, depths: tuple[int, ...], objects: tuple[str, ...]) -> list[Pair]:
        found: list[Pair] = []
        while len(found) < pairs:
            pair = sentence(random, depths[len(found) % len(depths)], objects)
            if pair.english not in taken:
                found.append(pair)
                taken.add(pair.english)
        return found

    test = {
        "same": take(held_out, DEPTHS, USUAL),
        "roles": take(held_out, DEPTHS, NEVER_OBJECTS),
        "deeper": take(held_out, (DEEPER,), USUAL),
    }
    validation = take(held_out, DEPTHS, USUAL)
    return Split(take(count, DEPTHS, USUAL), validation, test)


# Text as numbers


@lru_cache(maxsize=2)
def material(seed: int, pairs: int, held_out: int) -> tuple[Split, Tokenizer]:
    """The pairs of a seed, and a tokenizer learned from those to learn from."""
    parts = split(seed, pairs, held_out)
    texts = (f" {text}" for pair in parts.train for text in (pair.english, pair.german))
    return parts, train_bpe(texts, VOCABULARY, special_tokens=SPECIAL)


def numbers(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text, and the end."""
    return [*tokenizer.encode(f" {text}").ids, END]


def filled(rows: Sequence[list[int]], blank: int) -> gu.Tensor:
    """Rows filled up to a multiple of seven, so that there are few shapes to compile."""
    length = -(-max(map(len, rows)) // 7) * 7
    return gu.tensor([[*row, *[blank] * (length - len(row))] for row in rows])


def together(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> Batch:
    """Source, what the decoder wrote before each token if it made no mistake, mask, target."""
    source = filled([numbers(tokenizer, pair.english) for pair in pairs], PAD)
    target = [numbers(tokenizer, pair.german) for pair in pairs]
    before = filled([[BEGIN, *row[:-1]] for row in target], PAD)
    return source, before, source != PAD, filled(target, -100)


def batches(
    tokenizer: Tokenizer, pairs: Sequence[Pair], epochs: int, random: np.random.Generator
) -> list[Batch]:
    """Batches of pairs of one depth each, in random order."""
    found: list[Batch] = []
    for _ in range(epochs):
        whole: list[Batch] = []
        for depth in DEPTHS:
            part = [pair for pair in pairs if pair.depth == depth]
            order = random.permutation(len(part))
            rows = (order[i : i + BATCH] for i in range(0, len(part), BATCH))
            whole += [together(tokenizer, [part[j] for j in row]) for row in rows]
        found += [whole[i] for i in random.permutation(len(whole))]
    return found


# Translating without a network


def distances(text: list[int], others: Array) -> Array:
    """Edit distance from a text of numbered words to each column (Wagner and Fischer, 1974).

    Columns are filled up with -1 at their ends.
    """
    places = np.arange(len(others) + 1, dtype=np.int16)[:, None]
    before = np.broadcast_to(places, (len(others) + 1, others.shape[1]))
    for i, word in enumerate(text, 1):
        now = np.empty(before.shape, np.int16)
        now[0] = i
        now[1:] = np.minimum(before[:-1] + (others != word), before[1:] + 1)
        # Or words are put in, for one each: the least that there is further left.
        before = np.minimum.accumulate(now - places, axis=0) + places
    return before[(others != -1).sum(axis=0), np.arange(others.shape[1])]


def nearest(train: list[Pair], english: list[str]) -> list[str]:
    """The German of the nearest English sentence in the training data."""
    number: dict[str, int] = {}
    others = [[number.setdefault(w, len(number)) for w in p.english.split()] for p in train]
    columns = np.full((max(map(len, others)), len(others)), -1, np.int16)
    for i, other in enumerate(others):
        columns[: len(other), i] = other
    texts = [[number.get(word, -2) for word in text.split()] for text in english]
    return [train[int(distances(text, columns).argmin())].german for text in texts]


def dictionary(train: list[Pair], rounds: int = 5) -> dict[str, str]:
    r"""The likeliest German word for each English one (IBM model 1; Brown et al., 1993).

    $t(g \mid e)$ begins even. Each German word of a pair is shared out among the English words of
    the pair by $t$, and the shares are counted; that is a new $t$; and so on.
    """
    pairs = [(pair.english.split(), pair.german.split()) for pair in train]
    left = {word: i for i, word in enumerate(sorted({w for e, _ in pairs for w in e}))}
    right = {word: i for i, word in enumerate(sorted({w for _, g in pairs for w in g}))}
    table = np.full((len(left), len(right)), 1 / len(right))
    numbers = [([left[w] for w in e], [right[w] for w in g]) for e, g in pairs]
    for _ in range(rounds):
        counts = np.zeros_like(table)
        for e, g in numbers:
            shares = table[np.ix_(e, g)]
            np.add.at(counts, np.ix_(e, g), shares / shares.sum(axis=0))
        table = counts / counts.sum(axis=1, keepdims=True)
    words = list(right)
    return {word: words[int(table[i].argmax())] for word, i in left.items()}
