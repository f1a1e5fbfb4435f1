"""Public weights: folders of Hugging Face and GGUF files."""

from .gguf import read_file
from .huggingface import build, fill, public_config, public_weights, read_folder, write_folder

__all__ = [
    "build",
    "fill",
    "public_config",
    "public_weights",
    "read_file",
    "read_folder",
    "write_folder",
]
