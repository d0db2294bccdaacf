"""Tables and arrays out of the inert nodes of a pickle: what pandas and numpy write, decoded by our own code.

Read are data frames of pandas 1.3 and later in every pickle protocol, with columns of numbers, booleans and text, and
numpy arrays and scalars of the same.  A column that numpy or pandas would need code of its own for (dates, categories,
Arrow) is refused by name.  A missing value (NaN) becomes None.

What is decoded is in proportion to the nodes counted out, which `_pickle.load` has held to the size of the file.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadTable
from waypost.outcomes.readers._pickle import Made, Name

_KIND = re.compile(r"b1|f[248]|[iu][1248]|O8?|U[1-9]\d{0,6}")
_MOST_EMPTY = 1 << 16  # rows or columns of an array that holds nothing
_FRAMES = ("pandas.DataFrame", "pandas.core.frame.DataFrame")
_ARRAYS = ("multiarray._reconstruct", "numeric._frombuffer")
_ORDERS = ("<", ">", "|", "=")

Columns = dict[str, list[Any]]


def is_frame(node: Any) -> bool:
    """Whether the pickle holds a data frame."""
    return isinstance(node, Made) and (node.name in _FRAMES or _first_name(node) in _FRAMES)


def columns(node: Any) -> Columns:
    """The columns of a data frame by name, as plain values.

    Raises:
        BadTable: a frame of another make than the module says.
    """
    state = node.state if is_frame(node) else None
    manager = state.get("_mgr") if isinstance(state, dict) else None
    if not isinstance(manager, Made) or len(manager.args) != 2:
        raise BadTable("the pickle holds no data frame of pandas 1.3 or later; save it again, or as CSV")
    blocks, axes = manager.args
    if not isinstance(blocks, tuple) or not isinstance(axes, list) or len(axes) != 2:
        raise BadTable("the data frame has no blocks and axes as pandas writes them")
    names = _names(axes[0])
    found: dict[int, list[Any]] = {}
    for block in blocks:
        _add(found, block, len(names))
    lengths = {len(values) for values in found.values()}
    if len(found) != len(names) or len(lengths) > 1:
        raise BadTable(
            f"the data frame names {len(names)} columns and holds {len(found)}, of lengths {sorted(lengths)}"
        )
    return {name: found[place] for place, name in enumerate(names)}


def plain(node: Any) -> Any:
    """An array or a scalar of numpy decoded; anything else as it is.

    Raises:
        BadTable: an array whose data do not fit its shape, or of another kind than numbers and text.
    """
    if not isinstance(node, Made):
        return node
    if node.name.endswith(_ARRAYS):
        return array(node)
    if node.name.endswith("multiarray.scalar"):
        kind, data = _several(node.args, 2)
        return _filled(data, _kind(kind), (1,), "C").tolist()[0]
    raise BadTable(f"the pickle has a {node.name!r} where a number, a text or an array should stand")


def array(node: Any) -> NDArray[Any]:
    """A numpy array, from either of the two ways in which numpy writes it.

    Raises:
        BadTable: as `plain`.
    """
    if isinstance(node, Made) and node.name.endswith("multiarray._reconstruct"):
        _, shape, kind, by_columns, data = _several(node.state, 5)
        return _filled(data, _kind(kind), shape, "F" if by_columns else "C")
    if isinstance(node, Made) and node.name.endswith("numeric._frombuffer"):
        data, kind, shape, order = _several(node.args, 4)
        return _filled(data, _kind(kind), shape, order)
    raise BadTable("the pickle has something else where an array should stand")


def _several(values: Any, count: int) -> tuple[Any, ...]:
    if not isinstance(values, tuple) or len(values) != count:
        raise BadTable(f"the pickle describes an array or an index with other than {count} facts")
    return values


def _kind(node: Any) -> np.dtype[Any]:
    """A numpy type, of the few that are numbers, text or plain objects."""
    code = node.args[0] if isinstance(node, Made) and node.name == "numpy.dtype" and node.args else None
    if not isinstance(code, str) or not _KIND.fullmatch(code):
        raise BadTable(f"the pickle has an array of type {code!r}; read are booleans, numbers and text")
    state = node.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 and state[1] in _ORDERS else "="
    return np.dtype(code if code.startswith("O") else order + code)


def _filled(data: Any, kind: np.dtype[Any], shape: Any, order: Any) -> NDArray[Any]:
    of_kind = isinstance(data, list if kind.hasobject else bytes)
    if not of_kind:
        raise BadTable(f"the pickle has an array of type {kind} whose data do not fill it")
    most = max(len(data), _MOST_EMPTY)
    whole = isinstance(shape, tuple) and all(type(n) is int and 0 <= n <= most for n in shape)
    if not whole or len(shape) not in (1, 2) or order not in ("C", "F"):
        raise BadTable(f"the pickle has an array of shape {shape!r:.80}; read are those of one and two dimensions")
    count = math.prod(shape)
    if len(data) != count * (1 if kind.hasobject else kind.itemsize):
        raise BadTable(f"the pickle has an array of shape {shape} whose data do not fill it")
    if kind.kind == "U" and data and np.frombuffer(data, dtype=f"{kind.byteorder}u4").max() > sys.maxunicode:
        raise BadTable("the pickle has an array of text with what is no character")
    if kind.hasobject:
        flat: NDArray[Any] = np.fromiter(data, dtype=object, count=count)
    else:
        flat = np.frombuffer(data, dtype=kind) if data else np.empty(count, dtype=kind)
    return flat.reshape(shape, order=order)


def _add(found: dict[int, list[Any]], node: Any, count: int) -> None:
    """Add the columns of one block of a data frame at their places."""
    if not isinstance(node, Made) or not node.name.endswith("_unpickle_block"):
        raise BadTable("the data frame has a block that pandas did not write")
    values, where, _ = _several(node.args, 3)
    places = _places(where, count)
    if len(set(places)) < len(places) or found.keys() & places:
        raise BadTable("the data frame has two columns at one place")
    grid = np.atleast_2d(_values(values))
    if len(grid) != len(places):
        raise BadTable(f"the data frame has a block of {len(grid)} columns for {len(places)} places")
    for place, row in zip(places, grid, strict=True):
        found[place] = [_value(value) for value in row.tolist()]


def _values(node: Any) -> NDArray[Any]:
    """The array of a block or an index, with or without the class that pandas puts around text."""
    if isinstance(node, Made) and node.name.endswith("__pyx_unpickle_NDArrayBacked"):
        state = node.state if isinstance(node.state, tuple) else ()
        inner = [part for part in state if isinstance(part, Made) and part.name.endswith(_ARRAYS)]
        if len(inner) == 1:
            return array(inner[0])
    return array(node)


def _places(node: Any, count: int) -> list[int]:
    places: list[Any] = [None]
    if isinstance(node, Made) and node.name == "builtins.slice":
        bounds = _several(node.args, 3)
        if all(type(bound) is int and 0 <= bound <= 2 * count for bound in bounds) and bounds[2]:
            places = list(range(*bounds))
    elif isinstance(node, Made):
        places = array(node).tolist()
    if all(type(place) is int and 0 <= place < count for place in places):
        return places
    raise BadTable("the data frame has a block for columns that it does not name")


def _names(node: Any) -> list[str]:
    if isinstance(node, Made) and node.name.endswith("_new_Index"):
        _, facts = _several(node.args, 2)
        names = _values(facts.get("data")).tolist() if isinstance(facts, dict) else []
        if names and all(isinstance(name, str) for name in names):
            if len(set(names)) < len(names):
                raise BadTable(f"the data frame names a column twice: {Counter(names).most_common(1)[0][0]!r:.80}")
            return names
    raise BadTable("the data frame has columns without names")


def _value(value: Any) -> Any:
    """A cell as plain data; NaN, which is how pandas says that there is none, is None."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    number = plain(value)
    if number is not value and isinstance(number, str | int | float):
        return _value(number)
    raise BadTable(f"the data frame has a cell that is neither a number nor a text: {type(value).__name__}")


def _first_name(node: Made) -> str:
    """What `copyreg` is asked to make, as protocols 0 and 1 write every object."""
    first = node.args[0] if node.name == "copyreg._reconstructor" and node.args else None
    return first.text if isinstance(first, Name) else ""
