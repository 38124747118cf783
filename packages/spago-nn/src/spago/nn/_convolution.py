"""What convolution layers of one and two dimensions have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import Node, Operand, ShapeError
from spago.initializers import xavier_uniform
from spago.mat import Padding, Sizes, Windows
from spago.mat.rand import LockedRand
from spago.nn._module import Module
from spago.nn._param import Param

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]

_NUMPY_MODES: dict[str, Literal["reflect", "edge", "wrap"]] = {
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""What NumPy calls padding with elements of the array."""


class Convolution(Module):
    """A convolution layer over the last axes; subclasses say over how many, and by which operator.

    Attributes:
        axes: The number of axes.
        operator: The function of `ag`.
        windows: Where the kernel is laid.
    """

    axes: ClassVar[int]
    operator: ClassVar[Callable[..., Node]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        *,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        mask: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        rng: LockedRand | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        name = type(self).__name__
        if in_channels < 1 or out_channels < 1:
            raise ShapeError(f"{name}: expected sizes of at least 1, got {in_channels} and {out_channels} channels")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{name}: expected groups that divide in_channels {in_channels} and out_channels {out_channels}, "
                f"got {groups}"
            )
        if padding_mode != "zeros" and padding_mode not in _NUMPY_MODES:
            modes = ", ".join(["zeros", *_NUMPY_MODES])
            raise ValueError(f"{name}: expected padding_mode one of {modes}, got {padding_mode!r}")
        self.windows = Windows.of(name, kernel_size, self.axes, stride=stride, padding=padding, dilation=dilation)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.padding: Padding = padding
        self.groups = groups
        self.padding_mode = padding_mode
        self.mask = None if mask is None else self._checked_mask(mask)
        shape = (out_channels, in_channels // groups, *self.windows.size)
        self.weight = Param(xavier_uniform(np.empty(shape, dtype), rng=rng), name="weight")
        self.bias = Param(np.zeros(out_channels, dtype), name="bias") if bias else None

    def _checked_mask(self, mask: Sequence[bool] | npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which channels are read, shape (C, 1...)."""
        channels, name = np.asarray(mask), type(self).__name__
        if channels.shape != (self.in_channels,):
            raise ShapeError(
                f"{name}: expected mask of shape ({self.in_channels},), one for each of in_channels, "
                f"got {channels.shape}"
            )
        if not np.isin(channels, (0, 1)).all() or not channels.any():
            raise ValueError(f"{name}: expected mask of booleans, True for at least one channel, got {mask}")
        return channels.astype(np.bool_).reshape(-1, *[1] * self.axes)

    def forward(self, x: Operand) -> Node:
        """Return y for x; the equation is in the class.

        Raises:
            ShapeError: When x has not in_channels channels, or is smaller than the kernel.
        """
        shape = np.shape(x)
        if len(shape) <= self.axes or shape[-self.axes - 1] != self.in_channels:
            raise ShapeError(
                f"{type(self).__name__}: expected x of shape (..., {self.in_channels}, {', '.join('NM'[: self.axes])}) "
                f"for weight {self.weight.shape}, got {shape}; channels come before positions"
            )
        if self.mask is not None:
            x = ag.where(self.mask, x, 0.0)
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._pad(x), 0
        return type(self).operator(
            x,
            self.weight,
            self.bias,
            stride=self.windows.stride,
            padding=padding,
            dilation=self.windows.dilation,
            groups=self.groups,
        )

    def _pad(self, x: Operand) -> Operand:
        """Return x with elements of its own on both sides."""
        sizes = np.shape(x)[-self.axes :]
        for i, (n, before, after) in enumerate(zip(sizes, self.windows.before, self.windows.after, strict=True)):
            if n and (before or after):
                source: npt.NDArray[np.int64] = np.pad(
                    np.arange(n, dtype=np.int64), (before, after), _NUMPY_MODES[self.padding_mode]
                )
                x = ag.take(x, source, axis=i - self.axes)
        return x

    def extra_repr(self) -> str:
        """The sizes, and settings that are not the default."""
        windows = self.windows
        settings = {
            "stride": windows.stride if max(windows.stride) > 1 else None,
            "padding": self.padding if any(windows.before) or any(windows.after) else None,
            "dilation": windows.dilation if max(windows.dilation) > 1 else None,
            "groups": self.groups if self.groups > 1 else None,
            "padding_mode": self.padding_mode if self.padding_mode != "zeros" else None,
        }
        told = (f", {name}={value}" for name, value in settings.items() if value is not None)
        return f"{self.in_channels}, {self.out_channels}, {windows.size}{''.join(told)}"
