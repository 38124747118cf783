"""What all optimizers have in common: groups of parameters, the step, checks, state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NoReturn, TypeAlias, TypedDict, cast

import numpy as np
import numpy.typing as npt

from spago import ag
from spago.ag import RowGradient
from spago.mat import Array, ShapeError
from spago.nn import Param, Payload, Trainable
from spago.optim._blocks import Columns, Update, run
from spago.optim._clipping import all_finite, check_bound, clip_gradients, limit_gradients
from spago.optim._schedules import Schedule
from spago.optim._sources import Source, gradient_of, is_source, label_of, sources_of, trainables_of

Rate: TypeAlias = float | Callable[[int], float]
"""A learning rate: a number, or a function of the number of steps taken so far, such as a `Schedule`."""

Params: TypeAlias = Source | Iterable[Source | Mapping[str, Any]]
"""A model, its parameters, several models; or groups: mappings with "params" and the settings that differ."""

OnNaN: TypeAlias = Literal["raise", "skip", "ignore"]


class OptimizerState(TypedDict):
    """What an optimizer needs to go on as if it had never stopped; JSON but for the arrays.

    Attributes:
        method: The method.
        steps: How many steps were taken.
        skipped: How many were left out because of NaN.
        groups: The settings of each group; that of a schedule is its state.
        shapes: The shapes of the parameters in memory, in order.
        arrays: The state of the parameters, by "number.name", such as "0.m".
    """

    method: str
    steps: int
    skipped: int
    groups: list[dict[str, Any]]
    shapes: list[list[int]]
    arrays: dict[str, Array]


class Group:
    """Parameters that are trained with the same settings.

    Settings are read and changed by name: `optimizer.groups[0]["learning_rate"] = 0.01`.

    Attributes:
        sources: The parameters, and the models that are asked for theirs at each step.
        settings: The settings by name.
    """

    def __init__(self, sources: list[Source], settings: dict[str, Any]) -> None:
        self.sources = sources
        self.settings = settings

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.settings:
            raise KeyError(f"expected one of {', '.join(self.settings)}, got {name!r}")
        self.settings[name] = value

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"Group({len(self.sources)} sources, {settings})"


class Optimizer(ABC):
    """Base of the optimizers: what a step does, apart from the rule.

    A step takes all parameters that have a gradient, each once, clips the gradients jointly if told to, changes values
    and state in place, commits them, and clears the gradients. Parameters without gradient are left alone. Models are
    asked for their parameters at each step, so what changes from step to step, such as the rows of an embedding store,
    takes part. The state lives with the parameter, in `payload`; the number of steps with the optimizer.

    Of a parameter with a gradient by rows, as the table of `nn.Embedding(..., sparse=True)` has it, only these rows and
    their state are changed; see `nn.SparseParam`. Nothing is changed when a step raises an error of its own.

    Args:
        params: A model, its parameters, or several of them; or groups, such as
            `[{"params": encoder, "learning_rate": 1e-4}, {"params": head}]`.
        settings: The settings of the method, which groups may override.
        clip_norm: Bound of the joint 2-norm of all gradients; see `clip_by_norm`.
        clip_value: Bound of each element of all gradients; see `clip_by_value`.
        on_nan: What to do when a gradient has NaN or infinity: "raise" an error that names the parameter, "skip" the
            step, or "ignore" it, which saves a pass over the gradients.

    Attributes:
        groups: The groups, at least one.
        steps: How many steps were taken. What depends on time, as bias correction does, is computed for steps + 1. The
            reference counts when it is told to (examples, batches): set this to count so.
        skipped: How many steps were left out because of NaN.
        norm: With clip_norm, the joint norm of the gradients of the last step, before clipping.
    """

    label: ClassVar[str]
    """What the state of the method is labelled with."""

    def __init__(
        self,
        params: Params,
        settings: dict[str, Any],
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        on_nan: OnNaN = "raise",
    ) -> None:
        if on_nan not in ("raise", "skip", "ignore"):
            raise ValueError(f'{self.name}: expected on_nan="raise", "skip" or "ignore", got {on_nan!r}')
        if clip_norm is not None and clip_value is not None:
            raise ValueError(f"{self.name}: expected clip_norm or clip_value, got both")
        check_bound(self.name, "clip_norm", clip_norm or 0.0)
        check_bound(self.name, "clip_value", clip_value or 0.0)
        self.clip_norm, self.clip_value, self.on_nan = clip_norm, clip_value, on_nan
        self.steps = 0
        self.skipped = 0
        self.norm = 0.0
        self.defaults = settings
        self.groups: list[Group] = []
        for group in _grouped(params):
            self.add_group(**group)

    @property
    def name(self) -> str:
        """The name of the method, for messages."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{self.name}({self.steps} steps, {', '.join(map(repr, self.groups))})"

    # What a method says

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError for a setting that is out of range."""
        for name in ("eps", "weight_decay"):
            if name in settings and not settings[name] >= 0:
                raise ValueError(f"{self.name}: expected {name} ≥ 0, got {settings[name]}")

    @abstractmethod
    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the state arrays, as in the paper."""

    @abstractmethod
    def rule(self, settings: Mapping[str, Any], learning_rate: float, t: int) -> Update:
        """Return the update of step t (from 1): a function of w, g, the state arrays, and two arrays to compute in."""

    def update(self, settings: Mapping[str, Any], learning_rate: float, t: int, columns: Columns) -> None:
        """Update all parameters of a group; element by element unless a method says otherwise."""
        run(self.rule(settings, learning_rate, t), columns)

    # What a user calls

    def add_group(self, params: Source | Iterable[Source], **settings: Any) -> None:
        """Train more parameters, with settings of their own.

        Raises:
            ValueError: For a setting that the method does not have, or that is out of range.
        """
        unknown = settings.keys() - self.defaults.keys()
        if unknown:
            raise ValueError(
                f"{self.name}: expected settings among {', '.join(self.defaults)}, got {', '.join(unknown)}"
            )
        group = Group(sources_of(params, self.name), self.defaults | settings)
        self._checked_rate(group)
        self.groups.append(group)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, of the first group. Setting it sets that of all groups."""
        return self._checked_rate(self.groups[0])

    @learning_rate.setter
    def learning_rate(self, learning_rate: Rate) -> None:
        for group in self.groups:
            group["learning_rate"] = learning_rate

    def step(self, *, zero_grad: bool = True) -> bool:
        """Update the parameters that have a gradient.

        Args:
            zero_grad: Whether to clear the gradients afterwards, as the reference does. A loop that clears them itself,
                as in PyTorch, works as well.

        Returns:
            Whether an update was made: False when it was skipped because of NaN.

        Raises:
            FloatingPointError: When a gradient has NaN or infinity, with on_nan="raise".
            ValueError: When a setting is out of range, or a parameter holds the state of another method.
        """
        rates = [self._checked_rate(group) for group in self.groups]
        ready = self._ready()
        parameters = [parameter for members in ready for parameter in members.parameters]
        gradients = [gradient for members in ready for gradient in members.gradients]
        if not self._finite(parameters, gradients):
            self.skipped += 1
            if zero_grad:
                self.zero_grad()
            return False
        work = self._work(ready)
        # What other threads still compute may read the values that change now.
        ag.synchronize()
        # Nothing can fail from here on but the writing of what is kept on disk.
        self._clip(parameters, gradients)
        for parameter, payload in work.fresh:
            parameter.payload = payload
        self.steps += 1
        with np.errstate(all="ignore"):
            for group, rate, columns in zip(self.groups, rates, work.columns, strict=True):
                if columns[0]:
                    self.update(group.settings, rate, self.steps, columns)
        for array, rows, values in work.rows:
            array[rows] = values
        for parameter in parameters:
            parameter.commit()
            if zero_grad:
                parameter.zero_grad()
        return True

    def zero_grad(self) -> None:
        """Clear the gradients of all parameters."""
        for group in self.groups:
            for source in group.sources:
                source.zero_grad()

    def reset(self) -> None:
        """Forget the state of all parameters in memory and the number of steps, as if training began now."""
        for parameter in self._in_memory():
            parameter.payload = None
        self.steps = self.skipped = 0

    def state_dict(self) -> OptimizerState:
        """Return what is needed to go on later: steps, settings, and copies of the state of parameters in memory.

        Rows of an embedding store keep their state in the store.
        """
        parameters = self._in_memory()
        return {
            "method": self.name,
            "steps": self.steps,
            "skipped": self.skipped,
            "groups": [{name: _saved(value) for name, value in group.settings.items()} for group in self.groups],
            "shapes": [list(parameter.shape) for parameter in parameters],
            "arrays": {
                f"{i}.{name}": array.copy()
                for i, parameter in enumerate(parameters)
                if parameter.payload is not None
                for name, array in parameter.payload.arrays.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` returned, for the same parameters in the same order.

        Settings become those of the state. A learning rate that is a schedule stays one, and takes over its state.

        Raises:
            ValueError: When the state is of another method, or of other parameters; nothing has been changed.
        """
        parameters = self._in_memory()
        self._check_loadable(state, parameters)
        payloads = self._loaded_payloads(state, parameters)
        steps, skipped = int(state["steps"]), int(state["skipped"])
        for group, saved in zip(self.groups, state["groups"], strict=True):
            for name, value in saved.items():
                group.settings[name] = _loaded(group[name], value)
        for parameter, payload in zip(parameters, payloads, strict=True):
            parameter.payload = payload
        self.steps, self.skipped = steps, skipped

    # The parts of a step

    def _checked_rate(self, group: Group) -> float:
        self.check(group.settings)
        given: Rate = group["learning_rate"]
        return self._rate(given(self.steps) if callable(given) else given)

    def _rate(self, rate: float) -> float:
        if not 0 <= rate < math.inf:
            raise ValueError(f"{self.name}: expected a learning rate ≥ 0, got {rate}")
        return float(rate)

    def _ready(self) -> list[_Members]:
        """The parameters of each group that have a gradient; a shared one counts in the first group that has it."""
        clips = self.clip_norm is not None or self.clip_value is not None
        seen: set[int] = set()
        ready: list[_Members] = []
        for group in self.groups:
            members = _Members()
            for parameter in trainables_of(group.sources):
                # Most parameters are of this class, and a call for each would be a twentieth of a step of small ones.
                plain = type(parameter) is Param and parameter.requires_grad
                gradient: Any = parameter.grad if plain else gradient_of(parameter)
                if gradient is None or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                if type(gradient) is RowGradient:
                    members.rows[len(members.parameters)] = gradient.rows
                    gradient = gradient.values
                elif clips and not gradient.flags.writeable:
                    parameter.grad = gradient = gradient.copy()
                members.parameters.append(parameter)
                members.gradients.append(gradient)
            ready.append(members)
        return ready

    def _finite(self, parameters: Sequence[Trainable], gradients: Sequence[Array]) -> bool:
        """Whether the step can be made.

        Raises:
            FloatingPointError: When it cannot, and on_nan is "raise".
        """
        if self.on_nan == "ignore" or all_finite(gradients):
            return True
        if self.on_nan == "skip":
            return False
        number, finite = next((i, f) for i, g in enumerate(gradients) if not (f := np.isfinite(g)).all())
        raise FloatingPointError(
            f"{self.name}: expected finite gradients, got NaN or infinity in {np.count_nonzero(~finite)} of "
            f"{finite.size} elements for {label_of(parameters[number])}; ag.detect_anomaly() finds their origin, "
            'on_nan="skip" leaves out such steps'
        )

    def _work(self, ready: Sequence[_Members]) -> _Work:
        """Return what there is to do for the parameters of each group; nothing is changed yet.

        Raises:
            ValueError: When a parameter holds state that is not of this method, or not of its shape and dtype.
        """
        work = _Work()
        for group, members in zip(self.groups, ready, strict=True):
            values = self._values(members.parameters)
            columns = [values, *self._state(members.parameters, values, self.state_names(group.settings), work)]
            for i, rows in members.rows.items():
                work.take_rows(columns, i, rows)
            columns.insert(1, members.gradients)
            work.columns.append(columns)
        return work

    def _values(self, parameters: Sequence[Trainable]) -> list[Array]:
        """The values of parameters; one that is read-only, as that of a file that is mapped to memory, is copied."""
        values = [parameter.value for parameter in parameters]
        if False in [value.flags.writeable for value in values]:
            for i, parameter in enumerate(parameters):
                if not values[i].flags.writeable:
                    values[i] = parameter.value = values[i].copy()
        return values

    def _state(
        self, parameters: Sequence[Trainable], values: Sequence[Array], names: tuple[str, ...], work: _Work
    ) -> list[list[Array]]:
        """Return the state arrays of parameters, for each name those of all; new ones are noted in work.

        Everything is done for all parameters at once: of a thousand small ones, each line counts.
        """
        payloads: list[Any] = [parameter.payload for parameter in parameters]
        for parameter, payload in zip(parameters, payloads, strict=True):
            if payload is not None and payload.label != self.label:
                self._refuse(parameter, f"that of {payload.label}")
        if not names:
            return []
        try:
            state = [[payload.arrays[name] for payload in payloads] for name in names]
        except (AttributeError, KeyError):  # a parameter is new, or momentum was switched on
            payloads = [self._completed(p, value, names, work) for p, value in zip(parameters, values, strict=True)]
            state = [[payload.arrays[name] for payload in payloads] for name in names]
        shapes, dtypes = [value.shape for value in values], [value.dtype for value in values]
        for column in state:
            if [array.shape for array in column] != shapes or [array.dtype for array in column] != dtypes:
                for parameter, value, array in zip(parameters, values, column, strict=True):
                    if array.shape != value.shape or array.dtype != value.dtype:
                        self._refuse(parameter, f"{array.dtype} of shape {array.shape}")
        return state

    def _completed(self, parameter: Trainable, value: Array, names: tuple[str, ...], work: _Work) -> Payload:
        """Return the state of a parameter, with zeros for what is missing."""
        payload = parameter.payload
        present = {} if payload is None else payload.arrays
        if payload is None or present.keys() < set(names):
            payload = Payload(self.label, {name: np.zeros(value.shape, value.dtype) for name in names} | present)
            work.fresh.append((parameter, payload))
        return payload

    def _refuse(self, parameter: Trainable, state: str) -> NoReturn:
        value = parameter.value
        raise ValueError(
            f"{self.name}: expected for {label_of(parameter)} the state of {self.label}, {value.dtype} of shape "
            f"{value.shape}, got {state}; to start anew, set its payload to None; an embedding model has clear_state()"
        )

    def _clip(self, parameters: Sequence[Trainable], gradients: Sequence[Array]) -> None:
        if self.clip_norm is not None:
            self.norm = clip_gradients(parameters, gradients, self.clip_norm)
        elif self.clip_value is not None:
            limit_gradients(parameters, gradients, self.clip_value)

    def _in_memory(self) -> list[Param]:
        """All parameters whose state is not kept elsewhere, each once."""
        sources = (source for group in self.groups for source in group.sources)
        return list({id(p): p for p in trainables_of(sources) if isinstance(p, Param)}.values())

    def _check_loadable(self, state: Mapping[str, Any], parameters: Sequence[Param]) -> None:
        missing = OptimizerState.__annotations__.keys() - state.keys()
        if missing:
            raise ValueError(
                f"{self.name}: expected a state of state_dict, got one without {', '.join(sorted(missing))}"
            )
        if state["method"] != self.name:
            raise ValueError(f"{self.name}: expected state of {self.name}, got that of {state['method']}")
        shapes = [list(parameter.shape) for parameter in parameters]
        if [list(shape) for shape in state["shapes"]] != shapes or len(state["groups"]) != len(self.groups):
            raise ValueError(
                f"{self.name}: expected state of {len(self.groups)} groups with parameters of shapes {shapes}, got "
                f"{len(state['groups'])} with {state['shapes']}; is it the same model?"
            )
        for group, saved in zip(self.groups, state["groups"], strict=True):
            if group.settings.keys() != saved.keys():
                raise ValueError(f"{self.name}: expected settings {', '.join(group.settings)}, got {', '.join(saved)}")
            self.check(saved)
            for name, value in group.settings.items():
                if isinstance(value, Schedule):
                    value.check_state(saved[name])
            if not callable(group["learning_rate"]):
                rate = saved["learning_rate"]
                if not isinstance(rate, int | float):
                    raise ValueError(
                        f"{self.name}: expected state with a number as the learning rate, got {rate}; make the "
                        "optimizer with the schedule that it was saved with"
                    )
                self._rate(rate)

    def _loaded_payloads(self, state: Mapping[str, Any], parameters: Sequence[Param]) -> list[Payload | None]:
        payloads: list[Payload | None] = [None] * len(parameters)
        for key, array in state["arrays"].items():
            number, _, name = key.partition(".")
            if not (number.isdecimal() and int(number) < len(parameters)):
                raise ValueError(f"{self.name}: expected state of {len(parameters)} parameters, got {key}")
            parameter = parameters[int(number)]
            if array.shape != parameter.shape:
                raise ShapeError(f"{self.name}: expected {key} of shape {parameter.shape}, got {array.shape}")
            payload = payloads[int(number)] = payloads[int(number)] or Payload(self.label)
            payload.arrays[name] = np.array(array, dtype=parameter.dtype)
        return payloads


class _Members:
    """The parameters of a group that have a gradient.

    Attributes:
        parameters: The parameters, each once.
        gradients: Their gradients; of a gradient by rows, that of the rows.
        rows: By the number of a parameter the rows that its gradient is of, unless it is of all.
    """

    def __init__(self) -> None:
        self.parameters: list[Trainable] = []
        self.gradients: list[Array] = []
        self.rows: dict[int, npt.NDArray[np.intp]] = {}


class _Work:
    """What a step does, once everything is checked.

    Attributes:
        columns: For each group the values, gradients and state of its parameters, or copies of some rows of these.
        rows: Where such copies belong: an array, row numbers, the copies.
        fresh: State that is yet to be given to its parameters.
    """

    def __init__(self) -> None:
        self.columns: list[list[list[Array]]] = []
        self.rows: list[tuple[Array, npt.NDArray[np.intp], Array]] = []
        self.fresh: list[tuple[Trainable, Payload]] = []

    def take_rows(self, columns: Iterable[list[Array]], i: int, rows: npt.NDArray[np.intp]) -> None:
        """Put copies of some rows in place of the arrays of parameter i; they go back when they have been updated."""
        for column in columns:
            array, column[i] = column[i], column[i][rows]
            self.rows.append((array, rows, column[i]))


def _grouped(params: Params) -> list[dict[str, Any]]:
    """Return the arguments of add_group, for each group."""
    if not is_source(params):
        members: list[Any] = list(cast("Iterable[Any]", params))
        if members and all(isinstance(member, Mapping) for member in members):
            return [dict(member) for member in members]
        params = members
    return [{"params": params}]


def _saved(value: Any) -> Any:
    """Return a setting as JSON has it: that of a schedule is its state, None for any other function."""
    if isinstance(value, Schedule):
        return value.state_dict()
    return None if callable(value) else value


def _loaded(current: Any, saved: Any) -> Any:
    if isinstance(current, Schedule):
        current.load_state_dict(saved)
        return current
    if callable(current):
        return current
    return tuple(saved) if isinstance(current, tuple) else saved
