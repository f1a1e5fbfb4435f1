"""What stands around a text: "[CLS] A [SEP]", "[CLS] A [SEP] B [SEP]", "<|begin_of_text|> A".

Each part has a type, by which BERT tells its two texts apart (Devlin et al. 2019, figure 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Part = tuple[str, int]
"""A special token, or "$A" or "$B" for the texts; with its type."""


def _parts(words: str | Iterable[Part]) -> tuple[Part, ...]:
    if not isinstance(words, str):
        return tuple(words)
    out: list[Part] = []
    for word in words.split():
        name, colon, number = word.rpartition(":")
        out.append((name, int(number)) if colon and number.isdecimal() else (word, 0))
    return tuple(out)


@dataclass(frozen=True, init=False)
class Template:
    """The order of special tokens and texts.

    Args:
        single: for one text: parts, or a string of them with spaces between and types behind
            colons.
        pair: for two texts.

    Raises:
        ValueError: a template lacks a text or has one twice.

    Example:
        >>> Template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1").pair[-1]
        ('[SEP]', 1)
    """

    single: tuple[Part, ...]
    pair: tuple[Part, ...]

    def __init__(
        self, single: str | Iterable[Part] = "$A", pair: str | Iterable[Part] = "$A $B:1"
    ) -> None:
        object.__setattr__(self, "single", _parts(single))
        object.__setattr__(self, "pair", _parts(pair))
        for parts, texts in ((self.single, ["$A"]), (self.pair, ["$A", "$B"])):
            found = sorted(name for name, _ in parts if name in ("$A", "$B"))
            if found != texts:
                raise ValueError(
                    f"Template: {' '.join(name for name, _ in parts)!r} holds {found}; expected "
                    f"each of {texts} once"
                )

    @property
    def tokens(self) -> set[str]:
        """The special tokens in it."""
        return {name for name, _ in (*self.single, *self.pair)} - {"$A", "$B"}

    def as_json(self, ids: dict[str, int]) -> dict[str, Any]:
        """How ``tokenizer.json`` describes it."""

        def described(parts: Sequence[Part]) -> list[dict[str, Any]]:
            return [
                {"Sequence": {"id": name[1:], "type_id": kind}}
                if name in ("$A", "$B")
                else {"SpecialToken": {"id": name, "type_id": kind}}
                for name, kind in parts
            ]

        return {
            "type": "TemplateProcessing",
            "single": described(self.single),
            "pair": described(self.pair),
            "special_tokens": {
                name: {"id": name, "ids": [ids[name]], "tokens": [name]}
                for name in sorted(self.tokens)
            },
        }


def template_from_json(spec: dict[str, Any] | None) -> tuple[Template | None, bool]:
    """The template that a ``tokenizer.json`` describes, and whether offsets leave spaces out.

    Raises:
        ValueError: it is of a kind that is not supported.

    Example:
        >>> template_from_json({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]})
        (Template(single=(('[CLS]', 0), ('$A', 0), ('[SEP]', 0)), pair=...), False)
    """
    if spec is None:
        return None, False
    kind = spec.get("type")
    if kind == "ByteLevel":
        return None, bool(spec.get("trim_offsets", True))
    if kind == "TemplateProcessing":
        return Template(_described(spec["single"]), _described(spec["pair"])), False
    if kind == "Sequence":
        parts = [template_from_json(part) for part in spec["processors"]]
        templates = [template for template, _ in parts if template is not None]
        if len(templates) > 1:
            raise ValueError("tokenizer.json: more than one template in post_processor")
        return (templates[0] if templates else None), any(trim for _, trim in parts)
    if kind in ("BertProcessing", "RobertaProcessing"):
        begin, end = spec["cls"][0], spec["sep"][0]
        if kind == "BertProcessing":
            second = [("$B", 1), (end, 1)]
        else:
            second = [(end, 0), ("$B", 0), (end, 0)]
        single = [(begin, 0), ("$A", 0), (end, 0)]
        trim = kind == "RobertaProcessing" and bool(spec.get("trim_offsets", True))
        return Template(single, [*single, *second]), trim
    raise ValueError(
        f"tokenizer.json: post_processor {kind!r} is not supported; these are: BertProcessing, "
        "ByteLevel, RobertaProcessing, Sequence, TemplateProcessing"
    )


def _described(parts: Iterable[dict[str, Any]]) -> list[Part]:
    out: list[Part] = []
    for part in parts:
        ((kind, what),) = part.items()
        name = f"${what['id']}" if kind == "Sequence" else what["id"]
        out.append((name, what["type_id"]))
    return out
