"""Files that PyTorch writes: a zip archive with a pickle and the bytes of the tensors.

A pickle is a program. Here it is read by a machine that knows the instructions with which PyTorch builds containers and
tensors, and nothing else: it imports nothing, calls nothing that the file names, and sets no attribute. What a file
names is looked up in a table of a dozen entries; anything else is refused.

Source: Python's `pickletools`, for the instructions; `torch.serialization`, for their use.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Collection
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from spago.mat import FormatError
from spago.nn._guards import are_sizes, is_array, is_dict, is_list, is_mapping, is_tuple
from spago.nn._progress import advance
from spago.nn._safetensors import PathLike
from spago.nn._widen import read_widened
from spago.nn._zip import Stored, read_directory

_STORAGES: dict[str, str] = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexDoubleStorage": "<c16",
    "ComplexFloatStorage": "<c8",
}
_DTYPES = frozenset(("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"))
_MAX_AXES = 64
_MAX_DEPTH = 100
_OBJECT = 100  # bytes that a value takes, roughly
_SPARE = 1 << 26


class _Name:
    """What a pickle names, found in the table of what may be named."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Storage:
    """Numbers of a tensor, or of several."""

    __slots__ = ("array",)

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array


class _Mark:
    """Where a list of operands begins on the stack."""


class _Ordered(dict[Any, Any]):
    """An OrderedDict, whose attributes are dropped."""


_MARK = _Mark()


def load_torch(path: PathLike) -> Any:
    """Read a file that `torch.save` of PyTorch 1.6 or later has written, without PyTorch.

    Tensors and parameters become arrays, those of float16 and bfloat16 as float32; tensors that share memory do so
    here. Dicts, lists, tuples, numbers and text are as they were saved; dtypes and devices become their names. Nothing
    that a file says is run: one that holds anything else, such as a whole model, is refused. The archive's checksums
    are checked as it is read, where it has any, which takes about as long as the reading.

    Args:
        path: The file.

    Raises:
        FormatError: The file is damaged, of another format, or holds what is not allowed.
        OSError: The file cannot be read.
    """
    return read_torch(path)[0]


def read_torch(path: PathLike) -> tuple[Any, dict[int, str]]:
    """Read a file; see `load_torch`.

    Returns:
        What it holds; and, by the id of an array that has been widened, its dtype in the file: `F16` or `BF16`.
    """
    with Path(path).open("rb") as file:
        checkpoint = _Checkpoint(file, str(path))
        return checkpoint.load(), checkpoint.narrow


class _Checkpoint:
    """A file that is being read."""

    def __init__(self, file: BufferedReader, path: str) -> None:
        self.file = file
        self.path = path
        self.entries = read_directory(file, path)
        self.storages: dict[str, tuple[str, _Storage]] = {}
        self.folder = ""
        self.narrow: dict[int, str] = {}

    def refuse(self, expected: str, got: str) -> NoReturn:
        raise FormatError(f"{self.path}: expected {expected}, got {got}"[:1000])

    def load(self) -> Any:
        pickles = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            self.refuse("one entry data.pkl", f"{len(pickles)}; is it a file of torch.save?")
        self.folder = pickles[0].removesuffix("data.pkl")
        order = self.entries.get(f"{self.folder}byteorder")
        if order is not None and self.bytes_of(order, "byteorder") != b"little":
            self.refuse("numbers whose first byte is the lowest", "others")
        size = sum(entry.size for entry in self.entries.values())
        data = self.bytes_of(self.entries[pickles[0]], "data.pkl")
        return _Machine(data, self, size + _SPARE - (1 << 23)).run()

    def bytes_of(self, entry: Stored, what: str) -> bytes:
        data = bytearray(entry.size)
        entry.read_into(memoryview(data), self.file, f"{self.path}, {what}")
        return bytes(data)

    def storage(self, kind: str, key: str, count: int) -> _Storage:
        """The numbers of an entry, read once."""
        if key in self.storages:
            known, storage = self.storages[key]
            if known != kind or len(storage.array) != count:
                self.refuse(f"storage {key!r} to be always the same", "two different ones")
            return storage
        entry = self.entries.get(f"{self.folder}data/{key}")
        if entry is None:
            self.refuse(f"an entry data/{key}", "none")
        dtype = np.dtype("<u2" if kind == "bfloat16" else kind)
        if count * dtype.itemsize != entry.size:
            self.refuse(f"{count * dtype.itemsize} bytes for storage {key!r}", f"{entry.size}")
        read = partial(entry.read_into, file=self.file, what=f"{self.path}, storage {key!r}")
        advance(entry.size)
        if kind in ("bfloat16", "<f2"):
            array: npt.NDArray[Any] = read_widened(read, count, kind == "bfloat16")
            self.narrow[id(array)] = "BF16" if kind == "bfloat16" else "F16"
        else:
            array = np.empty(count, dtype)
            read(array.view(np.uint8).data)
            # A byte other than 0 and 1 is no boolean for NumPy.
            array = array.view(np.uint8) != 0 if kind == "?" else array
        self.storages[key] = kind, _Storage(array)
        return self.storages[key][1]


class _Machine:
    """Runs a pickle.

    Args:
        data: The pickle.
        file: Where storages come from.
        budget: Bytes that values may take.
    """

    def __init__(self, data: bytes, file: _Checkpoint, budget: int) -> None:
        self.data = data
        self.file = file
        self.budget = budget
        self.position = 0
        self.stack: list[Any] = []
        self.marks = 0
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while True:
            if self.position >= len(self.data):
                self.refuse("the instruction STOP", "the end")
            code = self.data[self.position]
            self.position += 1
            if code == _STOP:
                break
            action = _ACTIONS.get(code)
            if action is None:
                self.refuse("an instruction that builds plain data", f"{bytes((code,))!r}")
            self.budget -= _OBJECT
            if self.budget < 0:
                self.refuse("values in proportion to the file", "too many")
            action(self)
        if len(self.stack) != 1 or self.position != len(self.data):
            self.refuse("one value and nothing behind it", "more")
        result = self.plain(self.stack[0])
        self.check_depth(result)
        return result

    def check_depth(self, value: Any) -> None:
        """Refuse containers that contain themselves, or are too deep inside one another."""
        heights: dict[int, int] = {}
        on_path: set[int] = set()
        to_do: list[tuple[Any, bool]] = [(value, False)]
        while to_do:
            value, are_parts_done = to_do.pop()
            parts = _parts(value)
            if are_parts_done:
                on_path.discard(id(value))
                heights[id(value)] = 1 + max((heights.get(id(part), 0) for part in parts), default=0)
                if heights[id(value)] > _MAX_DEPTH:
                    self.refuse(f"containers at most {_MAX_DEPTH} deep inside one another", "deeper ones")
            elif parts and id(value) not in heights:
                if id(value) in on_path:
                    self.refuse("containers that do not contain themselves", "one that does")
                on_path.add(id(value))
                to_do.append((value, True))
                to_do += [(part, False) for part in parts if id(part) not in heights]

    def refuse(self, expected: str, got: str) -> NoReturn:
        self.file.refuse(f"at byte {self.position} of data.pkl {expected}", got)

    # Reading

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.position:
            self.refuse(f"{size} bytes", f"{len(self.data) - self.position} before the end")
        self.position += size
        return self.data[self.position - size : self.position]

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, layout: str) -> Any:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return value

    def text(self, size: int) -> str:
        raw = self.take(size)
        self.budget -= size * (1 if raw.isascii() else 4)
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            self.refuse("text in UTF-8", "other bytes")

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + 200)
        if end < 0:
            self.refuse("a name of at most 200 bytes", "none")
        name = self.data[self.position : end]
        self.position = end + 1
        return name.decode("ascii", "replace")

    # The stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("an operand", "none")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("an operand", "none")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks += 1
        self.stack.append(_MARK)

    def since_mark(self) -> list[Any]:
        if not self.marks:
            self.refuse("a mark", "none")
        self.marks -= 1
        values: list[Any] = []
        while self.stack[-1] is not _MARK:
            values.append(self.stack.pop())
        self.stack.pop()
        return values[::-1]

    def plain(self, value: Any) -> Any:
        """A value that may be seen outside, or part of one that may."""
        if isinstance(value, _Name):
            if not value.name.startswith("torch."):
                self.refuse("plain data", value.name)
            return value.name
        if isinstance(value, _Storage):
            return value.array
        return value

    # Instructions

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            self.refuse("a value that was noted", f"number {index}")
        self.push(self.memo[index])

    def tuple_of(self, count: int) -> None:
        values = [self.plain(self.pop()) for _ in range(count)]
        self.push(tuple(values[::-1]))

    def appends(self, values: list[Any]) -> None:
        target = self.top()
        if not is_list(target):
            self.refuse("a list to append to", type(target).__name__)
        target.extend(map(self.plain, values))

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if not is_dict(target) or len(values) % 2:
            self.refuse("a dict and pairs to put into it", type(target).__name__)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not _is_key(key):
                self.refuse("keys that are text or numbers", type(key).__name__)
            if key in target:
                self.refuse("each key once", f"{_shown(key)} again")
            target[key] = self.plain(value)

    def long(self) -> None:
        self.push(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def named(self, module: str, name: str) -> None:
        """Look up what a pickle names."""
        full = f"{module}.{name}"
        if full not in _CALLS and not (
            (module == "torch" and (name in _STORAGES or name in _DTYPES)) or full == "torch.storage.UntypedStorage"
        ):
            self.refuse("tensors, dicts, lists, tuples, numbers and text", f"{full!r}")
        self.push(_Name(full))

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            self.refuse("a name", type(name).__name__)
        self.named(module[:200], name[:200])

    def persistent(self) -> None:
        """Find a storage: ("storage", its class, key, device, count)."""
        value = self.pop()
        if (
            not is_tuple(value)
            or len(value) != 5
            or not all(isinstance(part, str) for part in value[:4])
            or value[0] != "storage"
            or not are_sizes(value[4:])
        ):
            self.refuse("a reference to a storage", _shown(value))
        kind = _STORAGES.get(value[1].removeprefix("torch."), "u1" if value[1].endswith("UntypedStorage") else "")
        if not kind:
            self.refuse("a class of storages", _shown(value[1]))
        self.push(self.file.storage(kind, value[2], value[4]))

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or function.name not in _CALLS or not is_tuple(arguments):
            self.refuse("the making of a tensor or dict", "a call of something else")
        self.push(_CALLS[function.name](self, arguments))

    def build(self) -> None:
        """Drop the attributes of an OrderedDict, such as the versions of a state_dict's modules."""
        state, target = self.pop(), self.top()
        if not isinstance(target, _Ordered) or not is_mapping(state):
            self.refuse("attributes of an OrderedDict", f"those of a {type(target).__name__}")

    # What may be called

    def tensor(self, arguments: tuple[Any, ...]) -> npt.NDArray[Any]:
        """A view of a storage: (storage, offset, sizes, strides, ...)."""
        if len(arguments) < 4:
            self.refuse("a tensor of at least 4 arguments", f"{len(arguments)}")
        array, offset, sizes, strides = arguments[:4]
        if (
            not is_array(array)
            or not are_sizes((offset,))
            or not are_sizes(sizes)
            or not are_sizes(strides)
            or len(sizes) != len(strides)
            or len(sizes) > _MAX_AXES
        ):
            self.refuse("storage, offset, sizes and strides of a tensor", _shown(arguments))
        flat = array
        count = math.prod(sizes)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) if count else 0
        if flat.ndim != 1 or not flat.flags.c_contiguous or last >= len(flat) + (not count) or count > len(flat):
            self.refuse(
                f"a tensor inside its storage of {len(flat)} numbers", f"{list(sizes)} from {offset} by {list(strides)}"
            )
        if math.prod(size or 1 for size in sizes) > 1 << 60:
            self.refuse("sizes that an array can have", f"{sizes}")
        steps = [
            stride * flat.itemsize if size > 1 else flat.itemsize for size, stride in zip(sizes, strides, strict=True)
        ]
        view: npt.NDArray[Any] = (
            np.lib.stride_tricks.as_strided(flat[offset:], sizes, steps) if count else np.empty(sizes, flat.dtype)
        )
        if id(flat) in self.file.narrow:
            self.file.narrow[id(view)] = self.file.narrow[id(flat)]
        return view

    def parameter(self, arguments: tuple[Any, ...]) -> npt.NDArray[Any]:
        if not arguments or not is_array(arguments[0]):
            self.refuse("the tensor of a parameter", _shown(arguments))
        return arguments[0]

    def ordered(self, arguments: tuple[Any, ...]) -> _Ordered:
        if arguments:
            self.refuse("an empty OrderedDict", _shown(arguments))
        return _Ordered()

    def size(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        if len(arguments) != 1 or not are_sizes(arguments[0]):
            self.refuse("the sizes of a tensor", _shown(arguments))
        return tuple(arguments[0])

    def device(self, arguments: tuple[Any, ...]) -> str:
        if not arguments or not isinstance(arguments[0], str):
            self.refuse("the name of a device", _shown(arguments))
        return arguments[0]

    def encoded(self, arguments: tuple[Any, ...]) -> bytes:
        """Bytes, which older pickles have as text in Latin-1."""
        if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1] != "latin1":
            self.refuse("bytes as text in latin1", _shown(arguments))
        try:
            return arguments[0].encode("latin1")
        except UnicodeEncodeError:
            self.refuse("bytes as text in latin1", "other text")


def _is_key(value: Any) -> bool:
    if is_tuple(value):
        return all(isinstance(part, str | int | float | bytes) for part in value)
    return value is None or isinstance(value, str | int | float | bytes)


def _parts(value: Any) -> Collection[Any]:
    """What a container holds; nothing for anything else."""
    if is_tuple(value) or is_list(value):
        return value
    return value.values() if is_mapping(value) else ()


def _shown(value: Any) -> str:
    """A value for a message, at most a short text: containers may be of any size and depth."""
    return repr(value[:80]) if isinstance(value, str) else type(value).__name__


_CALLS: dict[str, Callable[[_Machine, tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_tensor": _Machine.tensor,
    "torch._utils._rebuild_tensor_v2": _Machine.tensor,
    "torch._utils._rebuild_parameter": _Machine.parameter,
    "torch.Size": _Machine.size,
    "torch.device": _Machine.device,
    "collections.OrderedDict": _Machine.ordered,
    "_codecs.encode": _Machine.encoded,
}
_STOP = ord(".")
_BY_CODE: dict[str, Callable[[_Machine], None]] = {
    "\x80": lambda m: None if m.number("<B") <= 5 else m.refuse("protocol 5 or below", "a later one"),
    "\x95": lambda m: m.skip(8),  # a frame, which changes nothing
    "(": _Machine.mark,
    "N": lambda m: m.push(None),
    "\x88": lambda m: m.push(True),
    "\x89": lambda m: m.push(False),
    "J": lambda m: m.push(m.number("<i")),
    "K": lambda m: m.push(m.number("<B")),
    "M": lambda m: m.push(m.number("<H")),
    "\x8a": _Machine.long,
    "G": lambda m: m.push(m.number(">d")),
    "X": lambda m: m.push(m.text(m.number("<I"))),
    "\x8c": lambda m: m.push(m.text(m.number("<B"))),
    "B": lambda m: m.push(m.take(m.number("<I"))),
    "C": lambda m: m.push(m.take(m.number("<B"))),
    "}": lambda m: m.push({}),
    "]": lambda m: m.push([]),
    ")": lambda m: m.push(()),
    "t": lambda m: m.push(tuple(map(m.plain, m.since_mark()))),
    "\x85": lambda m: m.tuple_of(1),
    "\x86": lambda m: m.tuple_of(2),
    "\x87": lambda m: m.tuple_of(3),
    "a": lambda m: m.appends([m.pop()]),
    "e": lambda m: m.appends(m.since_mark()),
    "s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    "u": lambda m: m.set_items(m.since_mark()),
    "q": lambda m: m.put(m.number("<B")),
    "r": lambda m: m.put(m.number("<I")),
    "\x94": lambda m: m.put(len(m.memo)),
    "h": lambda m: m.get(m.number("<B")),
    "j": lambda m: m.get(m.number("<I")),
    "c": lambda m: m.named(m.line(), m.line()),
    "\x93": _Machine.stack_global,
    "Q": _Machine.persistent,
    "R": _Machine.reduce,
    "b": _Machine.build,
}
_ACTIONS = {ord(code): action for code, action in _BY_CODE.items()}
"""What the machine does, by instruction."""
