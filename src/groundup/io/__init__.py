"""Files that other programs write or read: GGUF with its packed weights, ONNX."""

from .blocks import PACKINGS, Packing, unpack
from .gguf import GGUF, PackedTensor, read_gguf
from .onnx import ExportError, export_onnx

__all__ = [
    "GGUF",
    "PACKINGS",
    "ExportError",
    "PackedTensor",
    "Packing",
    "export_onnx",
    "read_gguf",
    "unpack",
]
