"""Files that other programs write: GGUF with its packed weights."""

from .blocks import PACKINGS, Packing, unpack
from .gguf import GGUF, PackedTensor, read_gguf

__all__ = ["GGUF", "PACKINGS", "PackedTensor", "Packing", "read_gguf", "unpack"]
