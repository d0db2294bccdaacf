"""A pickle read as plain data: nothing in it is imported, called or run.

A pickle is a program for a small stack machine.  `load` runs the part of it that builds plain data: None, booleans,
numbers, text, bytes, lists, tuples, dicts and sets.  Where the program would import a name and call it, a name of the
closed list `NAMES` (what pandas and numpy write for tables and arrays) becomes an inert `Made`: the name and its
arguments, for our own code in ``_frames`` to understand.  Any other name, and every opcode that could reach further
(extensions, persistent ids, INST, OBJ), is refused with a sentence.

What a file can make large is bounded too: the steps of the program, nesting, and memory.  A file has a ``room`` in
proportion to its size.  What the program makes must fit into it, and so must what it leaves, with every shared part
counted as often as it occurs: a few bytes cannot stand for a tree that no memory holds, and whoever decodes the tree
part by part needs no bound of its own.
"""

from __future__ import annotations

import mmap
import pickletools
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from waypost.errors import BadTable

MOST_STEPS = 1 << 25
DEEPEST = 64
# Bytes of memory for a byte of the file: a short text with its place in the memo takes about 30, and so does a number
# out of an array that holds it in one byte.
_PER_BYTE = 40
_FREE = 1 << 26
_MEMO = _ITEM = 80  # an entry of a dict: its hash, key and value, and the slots that stay free
_MOST_BITS = 1024  # of an integer, as Python takes quadratic time to write a longer one

_NUMPY = ("numpy.core.", "numpy._core.")
NAMES = frozenset(
    {
        "_codecs.encode",
        "builtins.bytes",
        "builtins.object",
        "builtins.slice",
        "copyreg._reconstructor",
        "numpy.dtype",
        "numpy.ndarray",
        *(core + name for core in _NUMPY for name in ("multiarray._reconstruct", "multiarray.scalar")),
        *(core + "numeric._frombuffer" for core in _NUMPY),
        "pandas.DataFrame",
        "pandas.Index",
        "pandas.RangeIndex",
        "pandas.StringDtype",
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked",
        "pandas._libs.internals._unpickle_block",
        "pandas.arrays.StringArray",
        "pandas.core.arrays.string_.StringArray",
        "pandas.core.arrays.string_.StringDtype",
        "pandas.core.frame.DataFrame",
        "pandas.core.indexes.base.Index",
        "pandas.core.indexes.base._new_Index",
        "pandas.core.indexes.numeric.Float64Index",
        "pandas.core.indexes.numeric.Int64Index",
        "pandas.core.indexes.range.RangeIndex",
        "pandas.core.internals.managers.BlockManager",
    }
)
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # as protocols 0 to 2 write them


class Name:
    """A name that the pickle would import; it stays a name."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Made:
    """What the pickle would make by calling ``name`` with ``args``, and the ``state`` it would then give to it."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name, self.args = name, args
        self.state: Any = None


def load(path: Path, max_bytes: int) -> Any:
    """The plain data of a pickle file, which is mapped into memory, not copied.

    Raises:
        BadTable: a file above ``max_bytes``, one that is no whole pickle, or one that asks for more than plain data.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise BadTable(
            f"{path} has {size:,} bytes and the limit for a pickle is {max_bytes:,}; "
            f"if you trust its size, raise the limit with --max-bytes {size}"
        )
    if size == 0:
        raise BadTable(f"{path} is empty")
    room = _FREE + _PER_BYTE * size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # escapes of damaged text
                return _run(mapped, room)  # type: ignore[arg-type]  # genops wants read and readline, which a mapping has
        except BadTable as error:
            raise BadTable(f"{path}: {error}") from error


def _run(file: IO[bytes], room: int) -> Any:
    machine = _Machine(room)
    for number, (name, argument, at) in enumerate(_opcodes(file)):
        if name == "STOP":
            break
        if number >= MOST_STEPS:  # a step adds one value at most
            raise BadTable(f"the pickle takes more than {MOST_STEPS:,} steps")
        step = _STEPS.get(name)
        if step is None:
            raise BadTable(f"byte {at}: the pickle uses {name}, which plain data does not need; it is refused")
        try:
            step(machine, argument)
        except BadTable as error:
            raise BadTable(f"byte {at}: {error}") from error
    found = machine.pop()
    _measure(found, room)
    return found


def _opcodes(file: IO[bytes]) -> Iterator[tuple[str, Any, int | None]]:
    try:
        for opcode, argument, at in pickletools.genops(file):
            yield opcode.name, argument, at
    except (ValueError, OverflowError) as error:
        raise BadTable(f"this is no whole pickle: {error}") from error


class _Machine:
    """The stack, the stacks below the open marks, the memo, and how many bytes may still be made."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def make(self, value: Any) -> None:
        """Push a value that was not there before."""
        self.charge(sys.getsizeof(value))
        self.push(value)

    def charge(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise BadTable("the pickle makes far more than its size allows")

    def pop(self) -> Any:
        if not self.stack:
            raise BadTable("the pickle takes a value from an empty stack")
        return self.stack.pop()

    def pop_several(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def top(self, kind: type | tuple[type, ...]) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise BadTable("the pickle adds to a value that takes nothing")
        return self.stack[-1]

    def mark(self) -> None:
        if len(self.below) >= DEEPEST:
            raise BadTable(f"the pickle opens more than {DEEPEST} marks at a time")
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        if not self.below:
            raise BadTable("the pickle closes a mark that it never opened")
        values, self.stack = self.stack, self.below.pop()
        return values

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise BadTable(f"the pickle recalls value {index}, which it never kept")
        self.push(self.memo[index])

    def keep(self, index: int) -> None:
        if not 0 <= index < MOST_STEPS:
            raise BadTable(f"the pickle keeps a value under the number {index}")
        self.charge(_MEMO)
        self.memo[index] = self.top(object)


def _import(machine: _Machine, module: str, name: str) -> None:
    full = f"{_RENAMED.get(module, module)}.{name}"
    if full not in NAMES:
        raise BadTable(f"the pickle asks for {full!r}, which is no part of a plain table; nothing of it was run")
    machine.make(Name(full))


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    _import(machine, module, name)


def _stack_global(machine: _Machine, _: Any) -> None:
    module, name = machine.pop_several(2)
    if not isinstance(module, str) or not isinstance(name, str):
        raise BadTable("the pickle imports a name that is no text")
    _import(machine, module, name)


def _call(machine: _Machine, _: Any) -> None:
    """REDUCE and NEWOBJ: keep the call as a `Made`; only the two ways to write bytes as text are carried out."""
    name, args = machine.pop_several(2)
    if not isinstance(name, Name) or not isinstance(args, tuple):
        raise BadTable("the pickle calls what is no name")
    if name.text == "_codecs.encode":
        machine.make(_bytes(args))
    elif name.text == "builtins.bytes" and not args:
        machine.push(b"")
    else:
        machine.make(Made(name.text, args))


def _bytes(args: tuple[Any, ...]) -> bytes:
    if len(args) != 2 or not isinstance(args[0], str) or args[1] not in ("latin1", "latin-1"):
        raise BadTable("the pickle encodes something other than bytes written as text")
    try:
        return args[0].encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadTable("the pickle writes bytes as text that is none") from error


def _build(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    made: Made = machine.top(Made)
    made.state = state


def _put_items(machine: _Machine, values: list[Any]) -> None:
    target: dict[Any, Any] = machine.top(dict)
    machine.charge(_ITEM * (len(values) // 2))
    if len(values) % 2:
        raise BadTable("the pickle gives a dict a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[_key(key)] = value


def _key(value: Any) -> Any:
    """Keys are plain: to hash a tuple of tuples of tuples can take for ever, and many long integers have one hash."""
    if isinstance(value, int) and value.bit_length() > 64:
        raise BadTable("the pickle has a key of more than 64 bits")
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    raise BadTable("the pickle has a key that is neither text nor a number")


def _integer(machine: _Machine, value: int) -> None:
    if value.bit_length() > _MOST_BITS:
        raise BadTable(f"the pickle has an integer of more than {_MOST_BITS:,} bits")
    machine.make(value)


def _new_dict(machine: _Machine, _: Any) -> None:
    values = machine.pop_mark()
    machine.make({})
    _put_items(machine, values)


def _set_item(machine: _Machine, _: Any) -> None:
    _put_items(machine, machine.pop_several(2))


def _append(machine: _Machine, _: Any) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    values = machine.pop_mark()
    machine.top(list).extend(values)


def _add_items(machine: _Machine, _: Any) -> None:
    values = machine.pop_mark()
    machine.charge(_ITEM * len(values))
    machine.top(set).update(map(_key, values))


def _pop(machine: _Machine, _: Any) -> None:
    if machine.stack:
        machine.pop()
    else:
        machine.pop_mark()


def _pop_mark(machine: _Machine, _: Any) -> None:
    machine.pop_mark()


_Step = Callable[[_Machine, Any], None]
_STEPS: Mapping[str, _Step] = {
    **dict.fromkeys(
        (
            *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE"),
            *("BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        ),
        _Machine.make,
    ),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _integer),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.recall(int(index))),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, index: machine.keep(int(index))),
    "MEMOIZE": lambda machine, _: machine.keep(len(machine.memo)),
    "BYTEARRAY8": lambda machine, data: machine.make(bytes(data)),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.make([]),
    "EMPTY_TUPLE": lambda machine, _: machine.make(()),
    "EMPTY_DICT": lambda machine, _: machine.make({}),
    "EMPTY_SET": lambda machine, _: machine.make(set()),
    "MARK": lambda machine, _: machine.mark(),
    "LIST": lambda machine, _: machine.make(machine.pop_mark()),
    "TUPLE": lambda machine, _: machine.make(tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.make(tuple(machine.pop_several(1))),
    "TUPLE2": lambda machine, _: machine.make(tuple(machine.pop_several(2))),
    "TUPLE3": lambda machine, _: machine.make(tuple(machine.pop_several(3))),
    "FROZENSET": lambda machine, _: machine.make(frozenset(map(_key, machine.pop_mark()))),
    "DUP": lambda machine, _: machine.push(machine.top(object)),
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "BUILD": _build,
    "DICT": _new_dict,
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: _put_items(machine, machine.pop_mark()),
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _add_items,
}


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Made):
        return [value.args, value.state]
    return [*value, *value.values()] if isinstance(value, dict) else list(value)


def _inner(parts: list[Any]) -> list[Any]:
    """Those of the parts that have parts themselves."""
    return [part for part in parts if isinstance(part, list | tuple | dict | set | frozenset | Made)]


def _leaf(value: Any) -> int:
    """The bytes that a value without parts may take, decoded."""
    return len(value) if isinstance(value, str) else _PER_BYTE * len(value) if isinstance(value, bytes) else 8


def _measure(root: Any, room: int) -> None:
    """Refuse a value that contains itself, is nested too deeply, or is too large once shared parts are counted out."""
    sizes: dict[int, int] = {}
    path: set[int] = set()  # the values that the one at hand is a part of
    todo = _inner([root])
    while todo:
        value = todo[-1]
        if id(value) in sizes:
            todo.pop()
            continue
        parts = _parts(value)
        inner = _inner(parts)
        if id(value) in path:  # its parts are measured
            leaves = (part for part in parts if id(part) not in sizes)
            sizes[id(value)] = size = 8 * len(parts) + sum(sizes[id(part)] for part in inner) + sum(map(_leaf, leaves))
            if size > room:
                raise BadTable("once shared parts are counted out the pickle holds far more than its size allows")
            path.discard(id(value))
            continue
        path.add(id(value))
        if len(path) > DEEPEST:
            raise BadTable(f"the pickle is nested more than {DEEPEST} deep")
        if any(id(part) in path for part in inner):
            raise BadTable("the pickle has a value that contains itself")
        todo += inner
