"""What public files call the weights that are here called something else.

Each table gives the public name for ours; ``{}`` is the number of the block. Where the public name
begins with ``T:`` the matrix is stored transposed: GPT-2's files have (in, out).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Table = Mapping[str, str]


def _both(ours: str, public: str, transposed: bool = False) -> dict[str, str]:
    mark = "T:" if transposed else ""
    return {f"{ours}.weight": f"{mark}{public}.weight", f"{ours}.bias": f"{public}.bias"}


GPT2: Table = {
    "token.weight": "wte.weight",
    "position.weight": "wpe.weight",
    **_both("blocks.{}.norm1", "h.{}.ln_1"),
    **_both("blocks.{}.attention.qkv", "h.{}.attn.c_attn", transposed=True),
    **_both("blocks.{}.attention.out", "h.{}.attn.c_proj", transposed=True),
    **_both("blocks.{}.norm2", "h.{}.ln_2"),
    **_both("blocks.{}.up", "h.{}.mlp.c_fc", transposed=True),
    **_both("blocks.{}.down", "h.{}.mlp.c_proj", transposed=True),
    **_both("norm", "ln_f"),
}
LLAMA: Table = {
    "token.weight": "model.embed_tokens.weight",
    "blocks.{}.norm1.weight": "model.layers.{}.input_layernorm.weight",
    **_both("blocks.{}.attention.query", "model.layers.{}.self_attn.q_proj"),
    **_both("blocks.{}.attention.key", "model.layers.{}.self_attn.k_proj"),
    **_both("blocks.{}.attention.value", "model.layers.{}.self_attn.v_proj"),
    "blocks.{}.attention.out.weight": "model.layers.{}.self_attn.o_proj.weight",
    "blocks.{}.norm2.weight": "model.layers.{}.post_attention_layernorm.weight",
    "blocks.{}.mlp.gate.weight": "model.layers.{}.mlp.gate_proj.weight",
    "blocks.{}.mlp.up.weight": "model.layers.{}.mlp.up_proj.weight",
    "blocks.{}.mlp.down.weight": "model.layers.{}.mlp.down_proj.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
BERT: Table = {
    "token.weight": "embeddings.word_embeddings.weight",
    "position.weight": "embeddings.position_embeddings.weight",
    "type.weight": "embeddings.token_type_embeddings.weight",
    **_both("norm", "embeddings.LayerNorm"),
    **_both("blocks.{}.query", "encoder.layer.{}.attention.self.query"),
    **_both("blocks.{}.key", "encoder.layer.{}.attention.self.key"),
    **_both("blocks.{}.value", "encoder.layer.{}.attention.self.value"),
    **_both("blocks.{}.out", "encoder.layer.{}.attention.output.dense"),
    **_both("blocks.{}.norm1", "encoder.layer.{}.attention.output.LayerNorm"),
    **_both("blocks.{}.up", "encoder.layer.{}.intermediate.dense"),
    **_both("blocks.{}.down", "encoder.layer.{}.output.dense"),
    **_both("blocks.{}.norm2", "encoder.layer.{}.output.LayerNorm"),
}
GGUF_LLAMA: Table = {
    "token.weight": "token_embd.weight",
    "blocks.{}.norm1.weight": "blk.{}.attn_norm.weight",
    **_both("blocks.{}.attention.query", "blk.{}.attn_q"),
    **_both("blocks.{}.attention.key", "blk.{}.attn_k"),
    **_both("blocks.{}.attention.value", "blk.{}.attn_v"),
    "blocks.{}.attention.out.weight": "blk.{}.attn_output.weight",
    "blocks.{}.norm2.weight": "blk.{}.ffn_norm.weight",
    "blocks.{}.mlp.gate.weight": "blk.{}.ffn_gate.weight",
    "blocks.{}.mlp.up.weight": "blk.{}.ffn_up.weight",
    "blocks.{}.mlp.down.weight": "blk.{}.ffn_down.weight",
    "norm.weight": "output_norm.weight",
    "head.weight": "output.weight",
}


def public_name(ours: str, table: Table) -> tuple[str, bool]:
    """The public name of a weight, and whether it is stored transposed.

    Raises:
        KeyError: the table does not have it.

    Example:
        >>> public_name("blocks.3.up.weight", GPT2)
        ('h.3.mlp.c_fc.weight', True)
    """
    number = re.search(r"\.(\d+)\.", ours)
    general = ours if number is None else ours.replace(number[0], ".{}.", 1)
    public = table[general]
    name = public.removeprefix("T:")
    return (name if number is None else name.replace("{}", number[1])), public.startswith("T:")
