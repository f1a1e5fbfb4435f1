"""Is a local answer as good as the remote one?"""

from .judge import Agreement, agreement

__all__ = ["Agreement", "agreement"]
