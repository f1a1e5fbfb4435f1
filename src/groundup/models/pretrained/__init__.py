"""Public weights: folders of Hugging Face and GGUF files."""

from .chat import Chat, load_chat
from .gguf import read_file
from .huggingface import build, fill, public_config, public_weights, read_folder, write_folder
from .load import load_pretrained

__all__ = [
    "Chat",
    "build",
    "fill",
    "load_chat",
    "load_pretrained",
    "public_config",
    "public_weights",
    "read_file",
    "read_folder",
    "write_folder",
]
