"""The 256 bytes as printable characters, the alphabet of byte-level tokens.

A. Radford et al., "Language models are unsupervised multitask learners" (GPT-2, 2019, section 2.2):
tokens are made of the bytes of UTF-8, so that 256 of them already write any text. In vocabulary
files each byte is a character: the printable ones of Latin-1 stand for themselves, the other 68 are
U+0100, U+0101, ... in their order, so that a space is "Ġ" and a line end "Ċ".
"""

from __future__ import annotations

_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(256) if byte not in set(_PRINTABLE)]

CHARACTER_OF = dict(
    sorted(
        [(byte, chr(byte)) for byte in _PRINTABLE]
        + [(byte, chr(0x100 + i)) for i, byte in enumerate(_OTHERS)]
    )
)
"""Byte -> character, in the order of the bytes."""

BYTE_OF = {character: byte for byte, character in CHARACTER_OF.items()}
"""Character -> byte."""

ALPHABET = "".join(sorted(BYTE_OF))
"""All 256 characters by their code points, the order in which a trained vocabulary has them."""

_TO_BYTES = {ord(character): chr(byte) for character, byte in BYTE_OF.items()}


def as_characters(content: bytes) -> str:
    """Bytes in the notation of vocabulary files.

    Example:
        >>> as_characters(" né".encode())
        'ĠnÃ©'
    """
    return content.decode("latin-1").translate(CHARACTER_OF)


def as_bytes(token: str) -> bytes:
    """The bytes that a token of a vocabulary file stands for, the inverse of ``as_characters``.

    A character that stands for no byte gives its UTF-8: added tokens are plain text.

    Example:
        >>> as_bytes("ĠnÃ©").decode()
        ' né'
    """
    try:
        return token.translate(_TO_BYTES).encode("latin-1")
    except UnicodeEncodeError:
        return b"".join(
            bytes([BYTE_OF[c]]) if c in BYTE_OF else c.encode("utf-8", "surrogatepass")
            for c in token
        )


def utf8(text: str) -> bytes:
    r"""The bytes of a text.

    Raises:
        ValueError: it holds a lone surrogate, half of a UTF-16 pair, which is no character.

    Example:
        >>> utf8("né")
        b'n\xc3\xa9'
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"U+{ord(text[error.start]):04X} at place {error.start} of the text is a lone "
            "surrogate, half of a UTF-16 pair, which UTF-8 cannot write; decode the source "
            "properly, or replace them: text.encode('utf-8', 'replace').decode()"
        ) from None
