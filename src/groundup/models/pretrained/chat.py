"""Talking with a model: its own template makes a prompt of the messages, its tokens end an answer.

Templates come with the model, in Jinja, and are run in Jinja's sandbox. What people write is put
into the prompt as plain text: should it hold the characters of a special token, they stay
characters, so that a message cannot pretend to be another speaker's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...engine.files import CheckpointError
from ...engine.random import Generator
from ...io.gguf import read_gguf
from ...text import Tokenizer
from ..bert import Bert
from ..decoding import GREEDY, Decoder, Sampling, stream
from ..gpt import GPT
from ..llama import Llama
from .huggingface import read_json
from .load import load_pretrained

Message = Mapping[str, str]
_BEGIN, _END = "\ue000", "\ue001"  # around the number of a message, where its text will stand


class Chat:
    """A conversation with a model.

    Args:
        model: a decoder-only model.
        tokenizer: its tokenizer.
        template: in Jinja, as models bring it.
        ends: tokens that end an answer.
        special: further words of the template, such as ``bos_token``.
        system: what the model is told before the conversation, if anything.

    Attributes:
        messages: what was said, each a "role" (system, user, assistant) and a "content".

    Raises:
        CheckpointError: a template that is not valid.

    Example:
        >>> from groundup.models import GPT, GPTConfig
        >>> from groundup.text import train_bpe
        >>> tokenizer = train_bpe("to be or not to be", 258, special_tokens=["<end>"])
        >>> sizes = dict(vocab_size=258, context=64, d_model=8, num_layers=1, num_heads=1)
        >>> template = "{% for m in messages %}{{ m.role }}: {{ m.content }}<end>{% endfor %}"
        >>> chat = Chat(GPT(GPTConfig(**sizes)), tokenizer, template, [0])
        >>> _ = "".join(chat.say("to be?", max_new_tokens=3))
        >>> [message["role"] for message in chat.messages]
        ['user', 'assistant']
    """

    def __init__(
        self,
        model: GPT | Llama,
        tokenizer: Tokenizer,
        template: str,
        ends: Sequence[int],
        special: Mapping[str, str] | None = None,
        system: str | None = None,
    ) -> None:
        self.model, self.tokenizer, self.ends = model, tokenizer, list(ends)
        self.messages: list[dict[str, str]] = []
        if system:
            self.messages.append({"role": "system", "content": system})
        self._special = dict(special or {})
        self._decoder = Decoder(model, capacity=256)
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(template)
        except TemplateError as error:
            raise CheckpointError(f"the chat template is not valid: {error}") from error

    def prompt(self) -> list[int]:
        """The tokens of all that was said, up to where the model goes on.

        Raises:
            CheckpointError: the template refuses the messages.

        Example:
            >>> from groundup.models import GPT, GPTConfig
            >>> from groundup.text import train_bpe
            >>> tokenizer = train_bpe("a", 257, special_tokens=["<end>"])
            >>> sizes = dict(vocab_size=257, context=8, d_model=8, num_layers=1, num_heads=1)
            >>> template = "{{ messages[0].content }}<end>"
            >>> chat = Chat(GPT(GPTConfig(**sizes)), tokenizer, template, [0])
            >>> chat.messages.append({"role": "user", "content": "<end>"})
            >>> len(chat.prompt()), chat.prompt()[-1]
            (6, 0)
        """
        marked = [
            {**message, "content": f"{_BEGIN}{number}{_END}"}
            for number, message in enumerate(self.messages)
        ]
        try:
            text = self._template.render(
                messages=marked, add_generation_prompt=True, **self._special
            )
        except TemplateError as error:
            raise CheckpointError(f"the chat template refuses the messages: {error}") from error
        ids: list[int] = []
        for part in text.split(_BEGIN):
            number, mark, rest = part.partition(_END)
            if mark and number.isdigit():
                content = self.messages[int(number)]["content"]
                ids += self.tokenizer.encode(content, add_special_tokens=False).ids
            else:
                rest = part
            ids += self.tokenizer.encode(rest, add_special_tokens=False, allow_special=True).ids
        return ids

    def say(
        self,
        text: str,
        sampling: Sampling = GREEDY,
        max_new_tokens: int | None = None,
        generator: Generator | None = None,
    ) -> Iterator[str]:
        """Say something; the model's answer comes piece by piece.

        When all of the answer has come it is kept in `messages`. An answer that is not waited for
        is not kept, nor is what it answers.

        Args:
            text: what is said.
            sampling: how tokens are chosen; greedy by default.
            max_new_tokens: of the answer; None: as many as the context has room for.
            generator: where random numbers come from.

        Raises:
            ValueError: the conversation is longer than the context.
        """
        kept = len(self.messages)
        self.messages.append({"role": "user", "content": text})
        answer = ""
        try:
            decoding = self.tokenizer.decode_stream()
            new = stream(
                self._decoder,
                [self.prompt()],
                max_new_tokens,
                sampling,
                stop=[[end] for end in self.ends],
                generator=generator,
            )
            for (tokens,) in new:
                for token in tokens:
                    if piece := decoding.push(token):
                        answer += piece
                        yield piece
            if piece := decoding.finish():
                answer += piece
                yield piece
            self.messages.append({"role": "assistant", "content": answer})
            kept = len(self.messages)
        finally:
            del self.messages[kept:]


def load_chat(path: str | os.PathLike[str], system: str | None = None) -> Chat:
    """A conversation with a public model.

    Args:
        path: as for `load_pretrained`; it must have a chat template.
        system: what the model is told before the conversation, if anything.

    Raises:
        CheckpointError: as `load_pretrained`; a model that was not made for conversations.

    Example:
        >>> load_chat("no such model")
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such model: there is no such file or folder
    """
    path = Path(path)
    model, tokenizer = load_pretrained(path)
    if isinstance(model, Bert):
        raise CheckpointError(f"{path}: an encoder cannot write; expected a decoder, such as Llama")
    template, ends, special = _from_folder(path) if path.is_dir() else _from_gguf(path)
    if not isinstance(template, str):
        raise CheckpointError(f"{path}: it has no chat template; it was not made to converse")
    return Chat(model, tokenizer, template, ends, special, system)


def _from_gguf(path: Path) -> tuple[Any, list[int], dict[str, str]]:
    metadata = read_gguf(path).metadata
    tokens = metadata["tokenizer.ggml.tokens"]
    found = {
        name: metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot")
    }
    ids = {name: i for name, i in found.items() if isinstance(i, int) and 0 <= i < len(tokens)}
    special = {f"{name}_token": tokens[i] for name, i in ids.items()}
    ends = sorted({i for name, i in ids.items() if name != "bos"})
    return metadata.get("tokenizer.chat_template"), ends, special


def _from_folder(path: Path) -> tuple[Any, list[int], dict[str, str]]:
    settings = read_json(path / "tokenizer_config.json")
    template = settings.get("chat_template")
    if (file := path / "chat_template.jinja").exists():
        template = file.read_text(encoding="utf-8")
    special = {}
    for name in ("bos_token", "eos_token"):
        token = settings.get(name)
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str):
            special[name] = token
    ends = read_json(path / "config.json").get("eos_token_id")
    if (file := path / "generation_config.json").exists():
        ends = read_json(file).get("eos_token_id", ends)
    found = ends if isinstance(ends, list) else [ends]
    return template, [end for end in found if isinstance(end, int)], special


def _refuse(message: str) -> None:
    raise TemplateError(message)
