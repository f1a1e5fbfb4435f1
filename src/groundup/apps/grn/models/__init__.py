"""Models of which TF regulates which gene, one a file."""

from .base import PairModel, TowerModel
from .cross_encoder import CrossEncoder
from .embedding_two_tower import EmbeddingTwoTower
from .ensemble import Ensemble
from .expression_two_tower import ExpressionTwoTower
from .losses import InBatch, info_nce
from .optimised import Optimised
from .paired import PairedEarly, PairedLate
from .regulon import RegulonTowers
from .two_tower import TwoTower

__all__ = [
    "CrossEncoder",
    "EmbeddingTwoTower",
    "Ensemble",
    "ExpressionTwoTower",
    "InBatch",
    "Optimised",
    "PairModel",
    "PairedEarly",
    "PairedLate",
    "RegulonTowers",
    "TowerModel",
    "TwoTower",
    "info_nce",
]
