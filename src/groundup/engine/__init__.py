"""The engine: tensors, primitives, differentiation, randomness, files.

NumPy warns when an operation meets an infinity or a NaN. Here those are values like others (PyTorch
says nothing either; ``detect_anomaly`` finds them), so such warnings are silenced for this package
alone.
"""

import warnings

warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"groundup\.engine\.")
