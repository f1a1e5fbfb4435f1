"""Training: a loop short enough to read, callbacks, metrics, checkpoints that resume exactly.

::

    from groundup.training import Checkpoint, Progress, accuracy, fit

    history = fit(
        model, F.cross_entropy, optim.Adam(model.parameters()), loader, epochs=10,
        validation=batches, metrics={"accuracy": accuracy},
        callbacks=[Progress(), Checkpoint("run.safetensors")],
    )

A run that was killed continues with the argument ``resume="run.safetensors"``.
"""

from .callbacks import (
    Average,
    Callback,
    Checkpoint,
    ClipGradients,
    EarlyStopping,
    GradientStatistics,
    Progress,
    Schedule,
)
from .checkpoint import load_checkpoint, save_checkpoint
from .evaluate import evaluate, predict
from .fit import fit
from .gradient_flow import LayerFlow, gradient_flow
from .history import History
from .landscape import (
    Landscape,
    PathPlane,
    directions_of_path,
    filter_normalised_direction,
    loss_landscape,
)
from .metrics import accuracy, binary_accuracy, mean_absolute_error, top_k_accuracy
from .precision import GradScaler
from .run import Run

__all__ = [
    "Average",
    "Callback",
    "Checkpoint",
    "ClipGradients",
    "EarlyStopping",
    "GradScaler",
    "GradientStatistics",
    "History",
    "Landscape",
    "LayerFlow",
    "PathPlane",
    "Progress",
    "Run",
    "Schedule",
    "accuracy",
    "binary_accuracy",
    "directions_of_path",
    "evaluate",
    "filter_normalised_direction",
    "fit",
    "gradient_flow",
    "load_checkpoint",
    "loss_landscape",
    "mean_absolute_error",
    "predict",
    "save_checkpoint",
    "top_k_accuracy",
]
