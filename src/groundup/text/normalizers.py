"""What is done to a text before it is cut: Unicode's normal forms, small letters, no accents.

Each normaliser gives the text, and on request also where in the original each of its characters
comes from, so that offsets of tokens always mean the original. The normal forms are those of
Unicode Standard Annex 15; BERT's (J. Devlin et al., "BERT: pre-training of deep bidirectional
transformers", 2019, the published code) drops control characters, puts spaces around Chinese
characters, and by choice makes letters small and takes their accents off.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

Spans = list[tuple[int, int]]
"""For each character the place of the first original one it comes from, and behind the last."""

CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
"""Blocks of Chinese characters, as BERT's published vocabularies were made with them."""


class Normalizer(Protocol):
    """What a normaliser can do.

    Example:
        >>> form: Normalizer = UnicodeForm("NFC")
        >>> form("e\u0301"), form.aligned("e\u0301")
        ('é', ('é', [(0, 2)]))
    """

    def __call__(self, text: str) -> str:
        """The text, normalised."""
        ...

    def aligned(self, text: str) -> tuple[str, Spans]:
        """The same, and where each character comes from."""
        ...

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        ...


def _clusters(text: str) -> Spans:
    """Stretches that no normal form joins: a character with the marks and jamo behind it."""
    starts = [
        i
        for i, c in enumerate(text)
        if i == 0 or not (unicodedata.category(c)[0] == "M" or "\u1160" <= c <= "\u11ff")
    ]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


class UnicodeForm:
    r"""One of Unicode's normal forms: composed or decomposed, canonical or compatible.

    Args:
        form: "NFC", "NFD", "NFKC" or "NFKD".

    Example:
        >>> UnicodeForm("NFKC")("ﬁ²")
        'fi2'
    """

    def __init__(self, form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> None:
        self.form = form

    def __call__(self, text: str) -> str:
        """The text in this form."""
        return unicodedata.normalize(self.form, text)

    def aligned(self, text: str) -> tuple[str, Spans]:
        """The text in this form, and the cluster that each character comes from."""
        whole = self(text)
        if whole == text:
            return text, [(i, i + 1) for i in range(len(text))]
        pieces = [(self(text[a:b]), (a, b)) for a, b in _clusters(text)]
        spans = [span for piece, span in pieces for _ in piece]
        if "".join(piece for piece, _ in pieces) != whole:
            spans = [(0, len(text))] * len(whole)
        return whole, spans

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": self.form}


class _Table(dict[int, str]):
    """Character -> what takes its place, worked out when it is first met."""

    def __init__(self, change: Callable[[str], str]) -> None:
        super().__init__()
        self._change = change

    def __missing__(self, code: int) -> str:
        found = self[code] = self._change(chr(code))
        return found


class _ByCharacter:
    """A normaliser that replaces each character whatever stands around it."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self._table = _Table(change)

    def __call__(self, text: str) -> str:
        """The text, normalised."""
        return text.translate(self._table)

    def aligned(self, text: str) -> tuple[str, Spans]:
        """The same, and where each character comes from."""
        parts = [self._table[ord(c)] for c in text]
        return "".join(parts), [(i, i + 1) for i, part in enumerate(parts) for _ in part]


class Lowercase(_ByCharacter):
    """Small letters.

    Example:
        >>> Lowercase()("ÀB")
        'àb'
    """

    def __init__(self) -> None:
        super().__init__(str.lower)

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "Lowercase"}


class StripAccents(_ByCharacter):
    r"""No combining marks; letters that carry theirs in themselves need NFD before.

    Example:
        >>> StripAccents()("e\u0301é")
        'eé'
    """

    def __init__(self) -> None:
        super().__init__(lambda c: "" if unicodedata.category(c)[0] == "M" else c)

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "StripAccents"}


class BertNormalizer(_ByCharacter):
    r"""BERT's cleaning of a text (Devlin et al. 2019, the published code's BasicTokenizer).

    Args:
        clean_text: whether to drop control characters and make every kind of space a plain one.
        handle_chinese_chars: whether to put spaces around Chinese characters.
        strip_accents: whether to take accents off. None: if `lowercase`.
        lowercase: whether to make letters small.

    Example:
        >>> BertNormalizer()("Crème\tBrûlée")
        'creme brulee'
    """

    def __init__(
        self,
        clean_text: bool = True,
        handle_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        lowercase: bool = True,
    ) -> None:
        self.clean_text = clean_text
        self.handle_chinese_chars = handle_chinese_chars
        self.strip_accents = strip_accents
        self.lowercase = lowercase
        super().__init__(self._change)

    def _change(self, character: str) -> str:
        category = unicodedata.category(character)
        if self.clean_text:
            if character in "\t\n\r" or category == "Zs" or character in "\u2028\u2029":
                return " "
            if category[0] == "C" or character == "\ufffd":
                return ""
        if self.handle_chinese_chars and any(a <= ord(character) <= b for a, b in CHINESE):
            return f" {character} "
        if self.lowercase if self.strip_accents is None else self.strip_accents:
            parts = unicodedata.normalize("NFD", character)
            character = "".join(c for c in parts if unicodedata.category(c) != "Mn")
        return character.lower() if self.lowercase else character

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {
            "type": "BertNormalizer",
            "clean_text": self.clean_text,
            "handle_chinese_chars": self.handle_chinese_chars,
            "strip_accents": self.strip_accents,
            "lowercase": self.lowercase,
        }


class NormalizerSequence:
    """One normaliser after the other.

    Args:
        parts: the normalisers; none leaves the text as it is.

    Example:
        >>> NormalizerSequence([UnicodeForm("NFD"), StripAccents(), Lowercase()])("Été")
        'ete'
    """

    def __init__(self, parts: Sequence[Normalizer]) -> None:
        self.parts = list(parts)

    def __call__(self, text: str) -> str:
        """The text, normalised."""
        for part in self.parts:
            text = part(text)
        return text

    def aligned(self, text: str) -> tuple[str, Spans]:
        """The same, and where each character comes from."""
        spans = [(i, i + 1) for i in range(len(text))]
        for part in self.parts:
            text, inner = part.aligned(text)
            spans = [(spans[a][0], spans[b - 1][1]) for a, b in inner]
        return text, spans

    def as_json(self) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""
        return {"type": "Sequence", "normalizers": [part.as_json() for part in self.parts]}


_FORMS: dict[str, Callable[..., Normalizer]] = {
    "NFC": lambda: UnicodeForm("NFC"),
    "NFD": lambda: UnicodeForm("NFD"),
    "NFKC": lambda: UnicodeForm("NFKC"),
    "NFKD": lambda: UnicodeForm("NFKD"),
    "Lowercase": Lowercase,
    "StripAccents": StripAccents,
    "BertNormalizer": BertNormalizer,
}


def normalizer_from_json(spec: dict[str, Any] | None) -> Normalizer | None:
    """The normaliser that a ``tokenizer.json`` describes.

    Raises:
        ValueError: it is of a kind that is not supported.

    Example:
        >>> normalizer_from_json({"type": "NFC"}).form
        'NFC'
    """
    if spec is None:
        return None
    options = dict(spec)
    kind = options.pop("type", None)
    if kind == "Sequence":
        parts = [normalizer_from_json(part) for part in options["normalizers"]]
        return NormalizerSequence([part for part in parts if part is not None])
    if kind not in _FORMS:
        raise ValueError(
            f"tokenizer.json: normalizer {kind!r} is not supported; these are: "
            f"{', '.join(sorted([*_FORMS, 'Sequence']))}"
        )
    return _FORMS[kind](**options)
