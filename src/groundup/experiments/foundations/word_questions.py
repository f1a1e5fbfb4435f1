"""What vectors of words are asked in the lesson on embeddings, and how answers are counted.

All words were written down before any vector was trained. What the vocabulary of the text lacks is
left out. Shapes: V words with d numbers each.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

Array = np.ndarray

GROUPS = {
    "types": "int float complex str bytes bytearray memoryview list tuple dict set frozenset bool "
    "object",
    "exceptions": "Exception BaseException ValueError TypeError KeyError IndexError LookupError "
    "AttributeError NameError OSError FileNotFoundError RuntimeError NotImplementedError "
    "ImportError SyntaxError AssertionError StopIteration OverflowError UnicodeError "
    "UnicodeDecodeError UnicodeEncodeError EOFError KeyboardInterrupt",
    "keywords": "if elif else for while break continue return yield pass try except finally raise "
    "with assert def class lambda import from as del global nonlocal and or not in is async await",
    "str methods": "strip lstrip rstrip split rsplit splitlines partition rpartition join replace "
    "startswith endswith lower upper title capitalize find rfind format encode decode isdigit "
    "isalpha isalnum isspace isidentifier ljust rjust zfill",
    "math functions": "sqrt exp log log2 log10 sin cos tan atan atan2 floor ceil pi hypot gamma "
    "fabs pow isnan isinf divmod abs round",
    "paths": "exists isfile isdir islink dirname basename abspath realpath normpath normcase "
    "splitext splitdrive expanduser commonprefix",
    "iteration": "range len enumerate zip map filter sorted reversed sum min max all any iter next",
    "locks": "Lock RLock Condition Event Semaphore BoundedSemaphore Barrier Thread acquire release "
    "notify notify_all wait",
    "ctypes": "c_char c_char_p c_wchar_p c_int c_uint c_long c_ulong c_void_p c_size_t byref "
    "POINTER pointer sizeof Structure cast",
}
"""Words that belong together; methods are compared by them."""

CHOOSING = {
    "comparison": "__eq__ __ne__ __lt__ __le__ __gt__ __ge__ __add__ __radd__ __sub__ __rsub__ "
    "__mul__ __rmul__ __neg__ __abs__",
    "time": "year month day hour minute second microsecond weekday days seconds microseconds "
    "tzinfo",
    "list methods": "append extend insert pop remove clear sort reverse appendleft popleft",
    "reflection": "getattr setattr hasattr delattr isinstance issubclass callable type id repr "
    "hash vars dir",
}
"""Other such groups, by which settings were chosen."""

RELATIONS = {
    "opposites": "start:end first:last left:right low:high min:max lower:upper begin:end "
    "top:bottom old:new before:after read:write open:close push:pop append:pop encode:decode "
    "dump:load dumps:loads send:recv get:set reader:writer src:dst source:target input:output "
    "parent:child prev:next head:tail key:value True:False add:remove put:get acquire:release "
    "encoder:decoder client:server request:response stdin:stdout",
    "plurals": "name:names arg:args item:items key:keys value:values line:lines option:options "
    "module:modules path:paths field:fields param:params file:files thread:threads attr:attrs "
    "frame:frames part:parts header:headers group:groups flag:flags error:errors code:codes "
    "char:chars day:days test:tests result:results",
    "left and right": "startswith:endswith lstrip:rstrip find:rfind split:rsplit "
    "partition:rpartition ljust:rjust",
    "get and set": "getattr:setattr __getattr__:__setattr__ __getitem__:__setitem__ "
    "__get__:__set__ __getstate__:__setstate__ get_name:set_name getter:setter "
    "getsockopt:setsockopt",
    "pairs of methods": "__enter__:__exit__ __aenter__:__aexit__ __lt__:__gt__ __le__:__ge__ "
    "__eq__:__ne__ __add__:__sub__ __iter__:__next__ __str__:__repr__",
    "text and bytes": "str:bytes StringIO:BytesIO",
}
"""Pairs a:b in the same relation; every two of them make a question a : b = c : d."""

PAIRS = (
    ("function", "def"), ("class", "struct"), ("int", "str"), ("lambda", "def"),
    ("class", "namedtuple"), ("int", "float"), ("list", "dict"),
)  # fmt: skip
LEAST = 4
"""Words of a group that the vocabulary must have for the group to count."""


def unit(vectors: Array) -> Array:
    """Rows of length 1, so that products are cosines."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def members(groups: dict[str, str], number: dict[str, int]) -> dict[str, list[str]]:
    """The words of each group that the vocabulary has; groups with too few are left out."""
    found = {name: [w for w in words.split() if w in number] for name, words in groups.items()}
    return {name: words for name, words in found.items() if len(words) >= LEAST}


def same_group(vectors: Array, groups: dict[str, str], number: dict[str, int]) -> float:
    """Of as many nearest words as a word's group has others: how many are of it, in percent.

    Only words of the groups are looked at. The mean over all of them.
    """
    found = list(members(groups, number).values())
    words = [number[word] for group in found for word in group]
    group = np.repeat(np.arange(len(found)), [len(g) for g in found])
    cosine = unit(vectors[words]) @ unit(vectors[words]).T
    np.fill_diagonal(cosine, -np.inf)
    shares = []
    for i in range(len(words)):
        others = int((group == group[i]).sum()) - 1
        nearest = np.argsort(-cosine[i], kind="stable")[:others]
        shares.append((group[nearest] == group[i]).mean())
    return 100 * float(np.mean(shares)) if shares else float("nan")


def by_chance(groups: dict[str, str], number: dict[str, int]) -> float:
    """What `same_group` is for vectors that say nothing, on average."""
    sizes = np.array([len(words) for words in members(groups, number).values()])
    if not len(sizes):
        return float("nan")
    return float(100 * (sizes * (sizes - 1)).sum() / (sizes.sum() * (sizes.sum() - 1)))


def questions(relation: str, number: dict[str, int]) -> Array:
    """All a : b = c : d from two pairs of a relation, four different words each, (N, 4)."""
    pairs = [tuple(number.get(w, -1) for w in p.split(":")) for p in RELATIONS[relation].split()]
    known = [pair for pair in pairs if min(pair) >= 0]
    found = [(*p, *q) for p, q in permutations(known, 2) if len({*p, *q}) == 4]
    return np.array(found, dtype=int).reshape(-1, 4)


def ranks(vectors: Array, asked: Array, arithmetic: bool = True) -> Array:
    """At which place d comes among all words but a, b and c, by the cosine with b - a + c, or c."""
    table = unit(vectors)
    a, b, c, d = asked.T
    scores = (table[b] - table[a] + table[c] if arithmetic else table[c]) @ table.T
    row = np.arange(len(asked))
    of_d = scores[row, d]
    scores[row[:, None], asked[:, :3]] = -np.inf
    return 1 + (scores > of_d[:, None]).sum(axis=1)


def quality(vectors: Array, number: dict[str, int]) -> dict[str, float]:
    """All measures of a table of vectors, in percent."""
    asked = np.concatenate([questions(relation, number) for relation in RELATIONS])
    found = {
        "same_group": same_group(vectors, GROUPS, number),
        "validation_same_group": same_group(vectors, CHOOSING, number),
    }
    if len(asked):
        place = ranks(vectors, asked)
        found |= {"first": 100 * (place == 1).mean(), "five": 100 * (place <= 5).mean()}
        found["neighbour"] = 100 * (ranks(vectors, asked, arithmetic=False) == 1).mean()
    return found


def likeness(vectors: Array, number: dict[str, int]) -> dict[str, float]:
    """Cosines of the documented pairs, and how many of all pairs of words are less alike."""
    cosine = unit(vectors) @ unit(vectors).T
    pairs = cosine[np.triu_indices(len(cosine), 1)]
    found = {}
    for one, other in PAIRS:
        known = one in number and other in number
        value = float(cosine[number[one], number[other]]) if known else float("nan")
        found[f"{one} and {other}/cosine"] = value
        found[f"{one} and {other}/closer"] = 100 * float((pairs < value).mean()) if known else value
    return found
