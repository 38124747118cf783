"""The array type that every part of spago speaks."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
"""A NumPy array of float32 or float64, of any rank."""
