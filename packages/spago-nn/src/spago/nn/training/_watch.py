"""What follows a figure from epoch to epoch: stopping early, and keeping the best model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from spago.mat import Array
from spago.nn._files import save
from spago.nn._module import Module
from spago.nn._safetensors import PathLike
from spago.nn.training._run import Run


class Watch:
    """Base of the callbacks that compare a figure of each epoch with the best one so far.

    Args:
        figure: Its name: "loss", or one that `validate` returns.
        mode: Whether "min" or "max" is better.
        margin: By how much a figure must be better to count as such.

    Attributes:
        best: The best figure; NaN before the first epoch.
        epoch: The epoch that it is of, from 1; 0 before the first.
    """

    def __init__(self, figure: str = "loss", *, mode: Literal["min", "max"] = "min", margin: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f'{type(self).__name__}: expected mode="min" or "max", got {mode!r}')
        if not margin >= 0:
            raise ValueError(f"{type(self).__name__}: expected margin ≥ 0, got {margin}")
        self.figure = figure
        self.mode = mode
        self.margin = margin
        self.best = math.nan
        self.epoch = 0

    def improves(self, run: Run) -> bool:
        """Take note of the figure of the last epoch, and return whether it is the best; NaN never is."""
        figures = run.epochs[-1]
        if self.figure not in figures:
            raise KeyError(
                f"{type(self).__name__}: expected the name of a figure among {', '.join(figures)}, got {self.figure}; "
                "validate returns further ones"
            )
        x = figures[self.figure]
        gain = self.best - x if self.mode == "min" else x - self.best
        if math.isnan(x) or not (math.isnan(self.best) or gain > self.margin):
            return False
        self.best, self.epoch = x, len(run.epochs)
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return what there is to remember."""
        return {"figure": self.figure, "mode": self.mode, "best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: When it is of another figure; nothing has been changed.
        """
        if (state.get("figure"), state.get("mode")) != (self.figure, self.mode):
            raise ValueError(
                f"{type(self).__name__}: expected the state of {self.mode} {self.figure}, got that of "
                f"{state.get('mode')} {state.get('figure')}"
            )
        self.best, self.epoch = float(state["best"]), int(state["epoch"])


class EarlyStopping(Watch):
    """Ends training when a figure has not improved for some epochs.

    Args:
        figure: Its name: "loss", or one that `validate` returns.
        patience: How many epochs in a row may go by without improvement; training ends at the next one.
        mode: Whether "min" or "max" is better.
        margin: By how much a figure must be better to count as such.
    """

    def __init__(
        self,
        figure: str = "loss",
        patience: int = 3,
        *,
        mode: Literal["min", "max"] = "min",
        margin: float = 0.0,
    ) -> None:
        super().__init__(figure, mode=mode, margin=margin)
        if patience < 0:
            raise ValueError(f"EarlyStopping: expected patience ≥ 0, got {patience}")
        self.patience = patience

    def __call__(self, run: Run) -> None:
        """Look at the last epoch."""
        if not self.improves(run) and len(run.epochs) - self.epoch > self.patience:
            run.stop(f"{self.figure} has not improved since epoch {self.epoch}")


class KeepBest(Watch):
    """Keeps the parameters and buffers of the epoch in which a figure was best.

    Args:
        figure: Its name: "loss", or one that `validate` returns.
        mode: Whether "min" or "max" is better.
        margin: By how much a figure must be better to count as such.
        path: A model file to keep them in, for `nn.load`; by default they are kept in memory, and in checkpoints.
    """

    def __init__(
        self,
        figure: str = "loss",
        *,
        mode: Literal["min", "max"] = "min",
        margin: float = 0.0,
        path: PathLike | None = None,
    ) -> None:
        super().__init__(figure, mode=mode, margin=margin)
        self.path = path
        self.values: dict[str, Array] = {}

    def __call__(self, run: Run) -> None:
        """Look at the last epoch."""
        if not self.improves(run):
            return
        if self.path is None:
            self.values = run.model.state_dict()
        else:
            save(run.model, self.path, {"epoch": str(self.epoch), self.figure: repr(self.best)})

    def restore(self, model: Module) -> None:
        """Give a model the parameters and buffers that were kept in memory.

        Raises:
            ValueError: When there are none, or it is another model; nothing has been changed.
        """
        if not self.values:
            raise ValueError("KeepBest: expected an epoch to go back to, got none; with path, use nn.load")
        model.load_state_dict(self.values)

    def state_dict(self) -> dict[str, Any]:
        """Return what there is to remember, the parameters among it."""
        return {**super().state_dict(), "values": dict(self.values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: When it is of another figure; nothing has been changed.
        """
        values: dict[str, Array] = dict(state["values"])
        super().load_state_dict(state)
        self.values = values
