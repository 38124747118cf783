"""Parameters of PyTorch's layers, for ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spago.nn._batch_norm import BatchNorm
from spago.nn._birnn import BiRNN
from spago.nn._gru import GRU
from spago.nn._lstm import LSTM
from spago.nn._module import LoadResult, Module
from spago.nn._srn import SRN
from spago.nn._stacked import Stacked

State = dict[str, npt.NDArray[Any]]


def from_torch(module: Module, state: Mapping[str, npt.ArrayLike], strict: bool = True) -> LoadResult:
    """Load the `state_dict` of the same model in PyTorch.

    Names that are the same here and there are loaded as they are. What differs is translated, anywhere in the model:
    recurrent layers, where a `Stacked` of layers, a `BiRNN`, or a single layer stands for one of PyTorch's, whose two
    biases become one; SRN for its RNN, and GRU with reset_after=True.

    Args:
        module: A model of the same layers under the same names.
        state: Tensors, or arrays, by PyTorch's names.
        strict: Whether missing and unexpected names are errors. Shapes always are.

    Returns:
        The names that were missing and unexpected.

    Raises:
        ValueError: When names or shapes do not fit; nothing has been changed.

    Examples:
        >>> import numpy as np
        >>> from spago import nn
        >>> state = {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 2))}
        >>> state |= {"bias_ih_l0": np.ones(8), "bias_hh_l0": np.ones(8)}
        >>> lstm = nn.LSTM(3, 2)
        >>> _ = nn.from_torch(lstm, state)
        >>> lstm.bias.value[0].item()
        2.0
    """
    remaining = {name: _as_array(array) for name, array in state.items()}
    translated: State = {}
    for name, part in module.named_modules():
        translate = next((function for kind, function in _TRANSLATIONS.items() if isinstance(part, kind)), None)
        if translate is None:
            continue
        prefix = f"{name}." if name else ""
        theirs = {key.removeprefix(prefix): remaining.pop(key) for key in list(remaining) if key.startswith(prefix)}
        translated |= {prefix + key: array for key, array in translate(part, theirs).items()}
    return module.load_state_dict({**remaining, **translated}, strict)


def _as_array(value: Any) -> npt.NDArray[Any]:
    """Return a tensor or an array as an array; NumPy has no bfloat16, so that becomes float32."""
    if "bfloat16" in str(getattr(value, "dtype", "")):
        value = value.float()
    return np.asarray(value)


def _batch_norm(module: Module, theirs: State) -> State:
    """What a batch normalization holds: all but the number of batches, which is not counted here."""
    return {name: array for name, array in theirs.items() if name != "num_batches_tracked"}


def _recurrent(module: Module, theirs: State) -> State:
    """What one of PyTorch's recurrent layers holds; names that are not its own are kept."""
    ours: State = {}
    for prefix, cell, suffix in _cells(module):
        parts = [theirs.pop(f"{kind}{suffix}", None) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weight_ih, weight_hh, bias_ih, bias_hh = parts
        if weight_ih is None:
            continue
        named = {"weight_ih": weight_ih, "weight_hh": weight_hh, **_biases(cell, bias_ih, bias_hh)}
        ours |= {prefix + name: array for name, array in named.items() if array is not None}
    return {**theirs, **ours}


def _cells(module: Any, prefix: str = "", layer: int = 0) -> Iterator[tuple[str, Any, str]]:
    """The layers of one direction: the prefix of their names here, themselves, and the end of their names there."""
    if isinstance(module, Stacked):
        for k, part in enumerate(module.layers):
            yield from _cells(part, f"{prefix}layers.{k}.", k)
    elif isinstance(module, BiRNN):
        yield f"{prefix}forward_layer.", module.forward_layer, f"_l{layer}"
        yield f"{prefix}backward_layer.", module.backward_layer, f"_l{layer}_reverse"
    else:
        yield prefix, module, f"_l{layer}"


def _biases(cell: Any, bias_ih: Any, bias_hh: Any) -> State:
    """Our biases from PyTorch's two; zeros where the layer there has none."""
    if bias_ih is None or bias_hh is None:
        return {name: np.zeros(p.shape, p.dtype) for name, p in cell.named_parameters() if name.startswith("bias")}
    if not isinstance(cell, GRU):
        return {"bias": bias_ih + bias_hh}
    if not cell.reset_after:
        raise ValueError("from_torch: expected a GRU with reset_after=True, as PyTorch's, got one without")
    n = 2 * cell.hidden_size
    return {"bias": np.concatenate([bias_ih[:n] + bias_hh[:n], bias_ih[n:]]), "bias_hn": bias_hh[n:]}


_TRANSLATIONS: dict[type[Module], Callable[[Module, State], State]] = {
    **dict.fromkeys((Stacked, BiRNN, LSTM, GRU, SRN), _recurrent),
    BatchNorm: _batch_norm,
}
"""Layers whose parameters differ from PyTorch's, and what turns theirs into ours."""
