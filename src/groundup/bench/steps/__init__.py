"""The training steps that are measured: each a network, a loss, batches, an optimizer.

A network is written once and built with either library, ``groundup`` or ``torch``, since their
names are the same; so weights move from one to the other by name.
"""

from .maml import MAML
from .recurrent import GRU, LSTM
from .small import CNN, MLP, RESIDUAL, XOR
from .transformers import BERT, GPT, GPT_WIDE
from .two_tower import TWO_TOWER
from .unet import UNET
from .vae import VAE
from .workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        XOR,
        MLP,
        CNN,
        RESIDUAL,
        LSTM,
        GRU,
        GPT,
        GPT_WIDE,
        BERT,
        TWO_TOWER,
        VAE,
        UNET,
        MAML,
    )
}

__all__ = ["WORKLOADS", "Workload"]
