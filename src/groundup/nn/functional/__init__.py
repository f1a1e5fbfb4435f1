"""The computations of layers and losses as functions of tensors, under PyTorch's names.

import groundup.nn.functional as F
"""

from ...engine.ops.convolution import (
    avg_pool1d,
    avg_pool2d,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    max_pool1d,
    max_pool2d,
)
from ...engine.ops.functions import sigmoid, tanh
from ...engine.ops.indexing import one_hot
from ...engine.ops.products import linear
from ...engine.ops.reductions import log_softmax, softmax
from ...engine.ops.shaping import pad
from .activation import elu, gelu, leaky_relu, logsigmoid, mish, relu, silu, softplus
from .attention import attention_weights, scaled_dot_product_attention
from .dropout import dropout, dropout1d, dropout2d
from .embedding import embedding
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    focal_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    multiclass_focal_loss,
    nll_loss,
    smooth_l1_loss,
)
from .loss_unlabelled import gaussian_kl, info_nce, reconstruction_loss
from .mask import alibi, alibi_slopes, sliding_window
from .normalization import batch_norm, group_norm, layer_norm, rms_norm
from .position import rotary, rotary_table, rotate, sinusoidal
from .resize import adaptive_avg_pool1d, adaptive_avg_pool2d, interpolate
from .similarity import cosine_similarity, normalize

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "alibi",
    "alibi_slopes",
    "attention_weights",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "focal_loss",
    "gaussian_kl",
    "gelu",
    "group_norm",
    "huber_loss",
    "info_nce",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multiclass_focal_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "reconstruction_loss",
    "relu",
    "rms_norm",
    "rotary",
    "rotary_table",
    "rotate",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "sinusoidal",
    "sliding_window",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
