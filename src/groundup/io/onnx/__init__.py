"""ONNX: a module written as a model that other programs run."""

from .export import export_onnx
from .program import ExportError

__all__ = ["ExportError", "export_onnx"]
