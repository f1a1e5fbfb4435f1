"""What can be done at the points of a training run, one idea a file."""

from .average import Average
from .base import Callback
from .checkpoint import Checkpoint
from .clip import ClipGradients
from .early_stopping import EarlyStopping
from .gradients import GradientStatistics
from .progress import Progress
from .schedule import Schedule

__all__ = [
    "Average",
    "Callback",
    "Checkpoint",
    "ClipGradients",
    "EarlyStopping",
    "GradientStatistics",
    "Progress",
    "Schedule",
]
