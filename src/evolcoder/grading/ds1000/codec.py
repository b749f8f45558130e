"""Encodes values of data science libraries as plain data, for exchange with untrusted processes.

Guarantees: `unpack` of a packed value returns exact library types, never subclasses, so a
candidate's overridden methods are never called; `unpack` of anything else raises. Uses no pickle:
an array is encoded as dtype, shape and bytes, a pandas frame as its columns and indexes, an index
as an array and a name. The constructors that rebuild values validate their arguments, sizes and
bounds. Values of unknown types are replaced by references if `refer` is given, else rejected.

In a packed value, scalars and lists stand for themselves, and a tuple is a tag followed by its
data; `safe_codec` encodes it as bytes. A packer gets a value and a function that packs its parts;
an unpacker gets the data after the tag. A library is only imported for its own values.

>>> loads(dumps({(1, 2): {3.5}}))
{(1, 2): {3.5}}
"""

import datetime as dt
import decimal
import fractions
import importlib
from collections.abc import Callable
from typing import Any

from evolcoder.safe_codec import DEPTH, NotPlainError, decode, encode
from evolcoder.safe_repr import error_text

Inner = Callable[[Any], Any]
_SPARSE = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
_NOT_IN_NUMPY = ("bfloat16",)
"""Types of torch and tensorflow that numpy lacks; encoded as float32, without loss."""


def _library(name: str) -> Any:  # noqa: ANN401 - a module
    return importlib.import_module(name)


def _pack_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    numpy = _library("numpy")
    plain = numpy.asarray(value).view(numpy.ndarray)
    shape = list(plain.shape)
    if plain.dtype == object:
        return ("objects", shape, [inner(item) for item in plain.ravel().tolist()])
    if plain.dtype.hasobject:
        raise TypeError("an array with object fields is not plain data")
    return ("array", _pack_dtype(plain.dtype), shape, plain.tobytes())


def _unpack_array(rest: list[Any], _: Inner) -> Any:  # noqa: ANN401
    numpy = _library("numpy")
    dtype, shape, data = rest
    kind = _dtype(dtype)
    if kind.hasobject:
        raise TypeError("an array of objects cannot be built from bytes")
    if kind.itemsize == 0:
        return numpy.zeros(tuple(shape), kind)
    return numpy.frombuffer(data, kind).reshape(tuple(shape)).copy()


def _unpack_objects(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    shape, items = rest
    return objects(tuple(shape), [inner(item) for item in items])


def objects(shape: tuple[int, ...], items: list[Any]) -> Any:  # noqa: ANN401
    """Build an array of objects, with numpy's own dtype instance.

    An unpickled array has its own dtype instance, for which old versions of pandas change the array
    in place in `astype(str)`.
    """
    array = _library("numpy").empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape)


def _pack_dtype(dtype: Any) -> Any:  # noqa: ANN401
    if dtype.fields is None:
        return dtype.str
    return [[name, dtype[name].base.str, list(dtype[name].shape)] for name in dtype.names]


def _dtype(packed: Any) -> Any:  # noqa: ANN401
    numpy = _library("numpy")
    if type(packed) is str:
        return numpy.dtype(packed)
    return numpy.dtype([(name, kind, tuple(shape)) for name, kind, shape in packed])


def _pack_masked(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    numpy = _library("numpy")
    return ("masked", _pack_array(value.data, inner), inner(numpy.ma.getmaskarray(value)))


def _unpack_masked(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    data, mask = map(inner, rest)
    return _library("numpy").ma.MaskedArray(data, mask)


def _pack_sparse(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    names = [kind.__name__ for kind in type(value).__mro__]
    name = next(name for name in names if name in _SPARSE_NAMES)
    entries = value.tocoo()
    parts = (entries.data, entries.row, entries.col)
    return ("sparse", name, list(entries.shape), *map(inner, parts))


def _unpack_sparse(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    name, shape, *parts = rest
    if name not in _SPARSE_NAMES:
        raise ValueError("not a sparse matrix")
    data, row, column = map(inner, parts)
    sparse = _library("scipy.sparse")
    entries = sparse.coo_matrix((data, (row, column)), shape=tuple(shape))
    return getattr(sparse, name)(entries)


_SPARSE_NAMES = {f"{form}_{kind}" for form in _SPARSE for kind in ("matrix", "array")}


def _pack_tensor(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    """Pack a torch tensor; a sparse one stays sparse."""
    flat = value.detach()
    if value.is_sparse:
        flat = flat.coalesce()
        return ("sparse_tensor", inner(flat.indices()), inner(flat.values()), list(value.shape))
    dtype = str(value.dtype).removeprefix("torch.")
    plain = (flat.float() if dtype in _NOT_IN_NUMPY else flat).cpu().resolve_conj().resolve_neg()
    return ("tensor", inner(plain.numpy()), dtype, bool(value.requires_grad))


def _unpack_tensor(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    torch = _library("torch")
    array, dtype, requires_grad = rest
    kind = getattr(torch, dtype)
    if not isinstance(kind, torch.dtype):
        raise TypeError("not a dtype")
    tensor = torch.from_numpy(_library("numpy").ascontiguousarray(inner(array)))
    return tensor.reshape(tuple(array[2])).to(kind).requires_grad_(requires_grad)


def _unpack_sparse_tensor(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    indices, values, shape = inner(rest[0]), inner(rest[1]), tuple(rest[2])
    torch = _library("torch")
    return torch.sparse_coo_tensor(indices, values, shape, check_invariants=True).coalesce()


def _pack_tensorflow(tag: str) -> Callable[[Any, Inner], Any]:
    def packer(value: Any, inner: Inner) -> Any:  # noqa: ANN401
        dtype = value.dtype.name
        plain = value.numpy()
        return (tag, inner(plain.astype("float32") if dtype in _NOT_IN_NUMPY else plain), dtype)

    return packer


def _unpack_tensorflow(make: str) -> Callable[[list[Any], Inner], Any]:
    def unpacker(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
        flow = _library("tensorflow")
        return getattr(flow, make)(inner(rest[0]), dtype=flow.dtypes.as_dtype(rest[1]))

    return unpacker


def _pack_ragged(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("ragged", inner(value.to_list()), value.dtype.name)


def _unpack_ragged(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    flow = _library("tensorflow")
    return flow.ragged.constant(inner(rest[0]), dtype=flow.dtypes.as_dtype(rest[1]))


ARRAY_PACKERS: dict[tuple[str, str], Callable[[Any, Inner], Any]] = {
    ("numpy", "generic"): lambda value, inner: ("scalar", _pack_array(value, inner)),
    ("numpy", "ndarray"): _pack_array,
    ("numpy", "matrix"): lambda value, inner: ("matrix", _pack_array(value, inner)),
    ("numpy", "MaskedArray"): _pack_masked,
    ("numpy", "dtype"): lambda value, _: ("dtype", _pack_dtype(value)),
    ("scipy", "spmatrix"): _pack_sparse,
    ("scipy", "sparray"): _pack_sparse,
    ("torch", "Tensor"): _pack_tensor,
    ("tensorflow", "_EagerTensorBase"): _pack_tensorflow("tensorflow"),
    ("tensorflow", "BaseResourceVariable"): _pack_tensorflow("variable"),
    ("tensorflow", "RaggedTensor"): _pack_ragged,
}
ARRAY_UNPACKERS: dict[str, Callable[[list[Any], Inner], Any]] = {
    "scalar": lambda rest, inner: inner(rest[0])[()],
    "array": _unpack_array,
    "objects": _unpack_objects,
    "matrix": lambda rest, inner: _library("numpy").asmatrix(inner(rest[0])),
    "masked": _unpack_masked,
    "dtype": lambda rest, _: _dtype(rest[0]),
    "sparse": _unpack_sparse,
    "tensor": _unpack_tensor,
    "sparse_tensor": _unpack_sparse_tensor,
    "tensorflow": _unpack_tensorflow("constant"),
    "variable": _unpack_tensorflow("Variable"),
    "ragged": _unpack_ragged,
}


_MISSING = ("NaT", "NA")


def _pandas() -> Any:  # noqa: ANN401 - a module
    return importlib.import_module("pandas")


def _pack_frame(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    pandas = _pandas()
    frame = pandas.DataFrame(value)
    columns = [inner(frame.iloc[:, place].array) for place in range(frame.shape[1])]
    return ("frame", columns, inner(frame.columns), inner(frame.index))


def _unpack_frame(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    pandas = _pandas()
    columns, names, index = map(inner, rest)
    frame = pandas.DataFrame(dict(enumerate(columns)), index=pandas.RangeIndex(len(index)))
    frame.columns = names
    frame.index = index
    return frame


def _pack_series(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    series = _pandas().Series(value)
    return ("series", inner(series.array), inner(series.index), inner(series.name))


def _unpack_series(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    values, index, name = map(inner, rest)
    return _pandas().Series(values, index=index, name=name, dtype=values.dtype)


def _pack_index(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    freq = getattr(value, "freqstr", None) if type(value).__name__ in _WITH_FREQ else None
    return ("index", inner(value.array), inner(value.name), freq)


def _unpack_index(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    pandas = _pandas()
    values, name, freq = inner(rest[0]), inner(rest[1]), rest[2]
    index = pandas.Index(values, dtype=values.dtype, name=name, tupleize_cols=False)
    if freq is not None:
        index.freq = freq
    return index


def _pack_range_index(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("range_index", value.start, value.stop, value.step, inner(value.name))


def _unpack_range_index(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    return _pandas().RangeIndex(*rest[:3], name=inner(rest[3]))


def _pack_multi_index(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    codes = [importlib.import_module("numpy").asarray(codes) for codes in value.codes]
    return ("multi_index", inner(list(value.levels)), inner(codes), inner(list(value.names)))


def _unpack_multi_index(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    levels, codes, names = map(inner, rest)
    return _pandas().MultiIndex(levels, codes, names=names)


def _pack_categorical(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("categorical", inner(value.codes), inner(value.categories), bool(value.ordered))


def _unpack_categorical(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    codes, categories = map(inner, rest[:2])
    return _pandas().Categorical.from_codes(codes, categories, ordered=rest[2])


def _pack_datetime_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    unit = getattr(value, "unit", "ns")
    return ("datetime_array", inner(value.asi8.view(f"M8[{unit}]")), _pack_zone(value.tz))


def _unpack_datetime_array(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    return _in_zone(_pandas().DatetimeIndex(inner(rest[0])), rest[1]).array


def _pack_timestamp(value: Any, _: Inner) -> Any:  # noqa: ANN401
    return ("timestamp", value.value, _pack_zone(value.tz))


def _unpack_timestamp(rest: list[Any], _: Inner) -> Any:  # noqa: ANN401
    return _in_zone(_pandas().Timestamp(rest[0]), rest[1])


def _pack_zone(zone: Any) -> Any:  # noqa: ANN401
    if zone is None:
        return None
    offset = zone.utcoffset(None)
    return str(zone) if offset is None or str(zone) == "UTC" else offset.total_seconds()


def _in_zone(moments: Any, zone: Any) -> Any:  # noqa: ANN401
    if zone is None:
        return moments
    if type(zone) is not str:
        datetime = importlib.import_module("datetime")
        zone = datetime.timezone(datetime.timedelta(seconds=zone))
    return moments.tz_localize("UTC").tz_convert(zone)


def _pack_timedelta_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    unit = getattr(value, "unit", "ns")
    return ("timedelta_array", inner(value.asi8.view(f"m8[{unit}]")))


def _unpack_timedelta_array(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    return _pandas().TimedeltaIndex(inner(rest[0])).array


def _pack_period_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("period_array", inner(value.asi8), value.freqstr)


def _unpack_period_array(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    pandas = _pandas()
    return pandas.arrays.PeriodArray(inner(rest[0]), dtype=pandas.PeriodDtype(rest[1]))


def _pack_interval_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("interval_array", inner(value.left), inner(value.right), value.closed)


def _unpack_interval_array(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    left, right = map(inner, rest[:2])
    return _pandas().arrays.IntervalArray.from_arrays(left, right, closed=rest[2])


def _pack_nullable(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("nullable", inner(list(value)), value.dtype.name)


def _unpack_nullable(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    return _pandas().array(inner(rest[0]), dtype=rest[1])


def _pack_sparse_array(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("sparse_array", inner(value.to_dense()), inner(value.fill_value))


def _unpack_sparse_array(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    dense, fill = map(inner, rest)
    return _pandas().arrays.SparseArray(dense, fill_value=fill)


def _pack_interval(value: Any, inner: Inner) -> Any:  # noqa: ANN401
    return ("interval", inner(value.left), inner(value.right), value.closed)


def _unpack_interval(rest: list[Any], inner: Inner) -> Any:  # noqa: ANN401
    return _pandas().Interval(inner(rest[0]), inner(rest[1]), closed=rest[2])


def _unpack_missing(rest: list[Any], _: Inner) -> Any:  # noqa: ANN401
    if rest[0] not in _MISSING:
        raise ValueError("not a missing value")
    return getattr(_pandas(), rest[0])


_WITH_FREQ = ("DatetimeIndex", "TimedeltaIndex")

FRAME_PACKERS: dict[tuple[str, str], Callable[[Any, Inner], Any]] = {
    ("pandas", "DataFrame"): _pack_frame,
    ("pandas", "Series"): _pack_series,
    ("pandas", "Index"): _pack_index,
    ("pandas", "RangeIndex"): _pack_range_index,
    ("pandas", "MultiIndex"): _pack_multi_index,
    ("pandas", "PandasArray"): lambda value, inner: inner(value.to_numpy()),
    ("pandas", "NumpyExtensionArray"): lambda value, inner: inner(value.to_numpy()),
    ("pandas", "Categorical"): _pack_categorical,
    ("pandas", "DatetimeArray"): _pack_datetime_array,
    ("pandas", "TimedeltaArray"): _pack_timedelta_array,
    ("pandas", "PeriodArray"): _pack_period_array,
    ("pandas", "IntervalArray"): _pack_interval_array,
    ("pandas", "SparseArray"): _pack_sparse_array,
    ("pandas", "BaseMaskedArray"): _pack_nullable,
    ("pandas", "BaseStringArray"): _pack_nullable,
    ("pandas", "ArrowExtensionArray"): _pack_nullable,
    ("pandas", "Timestamp"): _pack_timestamp,
    ("pandas", "Timedelta"): lambda value, _: ("pandas_timedelta", value.value),
    ("pandas", "Period"): lambda value, _: ("period", value.ordinal, value.freqstr),
    ("pandas", "Interval"): _pack_interval,
    ("pandas", "NaTType"): lambda _value, _inner: ("missing", "NaT"),
    ("pandas", "NAType"): lambda _value, _inner: ("missing", "NA"),
}
FRAME_UNPACKERS: dict[str, Callable[[list[Any], Inner], Any]] = {
    "frame": _unpack_frame,
    "series": _unpack_series,
    "index": _unpack_index,
    "range_index": _unpack_range_index,
    "multi_index": _unpack_multi_index,
    "categorical": _unpack_categorical,
    "datetime_array": _unpack_datetime_array,
    "timedelta_array": _unpack_timedelta_array,
    "period_array": _unpack_period_array,
    "interval_array": _unpack_interval_array,
    "sparse_array": _unpack_sparse_array,
    "nullable": _unpack_nullable,
    "timestamp": _unpack_timestamp,
    "pandas_timedelta": lambda rest, _: _pandas().Timedelta(rest[0]),
    "period": lambda rest, _: _pandas().Period(ordinal=rest[0], freq=rest[1]),
    "interval": _unpack_interval,
    "missing": _unpack_missing,
}


Refer = Callable[[Any], tuple[Any, ...]]
Resolve = Callable[[tuple[Any, ...]], Any]
_SCALARS = (type(None), bool, int, float, complex, str, bytes)


def dumps(value: Any, refer: Refer | None = None) -> bytes:  # noqa: ANN401 - a candidate's
    """Encode a value, or raise NotPlainError."""
    return encode(pack(value, refer))


def loads(data: bytes, resolve: Resolve | None = None) -> Any:  # noqa: ANN401 - a library's own
    """Decode the output of `dumps`; anything else raises NotPlainError."""
    try:
        return unpack(decode(data), resolve)
    except (NotPlainError, MemoryError):
        raise
    except Exception as error:
        raise NotPlainError(f"not a value: {error_text(error)}") from error


def pack(value: Any, refer: Refer | None = None, depth: int = 0) -> Any:  # noqa: ANN401
    """Convert a value to plain data; `refer` creates references to values of unknown types."""
    if type(value) in _SCALARS:
        return value
    if depth > DEPTH // 3:
        raise NotPlainError("nested too deeply")

    def inner(part: Any) -> Any:  # noqa: ANN401
        return pack(part, refer, depth + 1)

    for kind in type(value).__mro__:
        packer = _PACKERS.get((kind.__module__.partition(".")[0], kind.__name__))
        if packer is not None:
            return packer(value, inner)
    if refer is not None:
        return refer(value)
    raise NotPlainError(f"a {type(value).__name__} is not plain data")


def unpack(packed: Any, resolve: Resolve | None = None) -> Any:  # noqa: ANN401
    """Invert `pack`; `resolve` looks references up."""

    def inner(part: Any) -> Any:  # noqa: ANN401
        return unpack(part, resolve)

    if type(packed) is list:
        return [inner(item) for item in packed]
    if type(packed) is not tuple:
        return packed
    tag, *rest = packed
    if tag == "ref" and resolve is not None:
        return resolve(tuple(rest))
    return _UNPACKERS[tag](rest, inner)


def _pack_list(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    items = list(list.__iter__(value))
    return items if set(map(type, items)) <= set(_SCALARS) else list(map(inner, items))


def _pack_dict(value: Any, inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    pairs = list(dict.items(value))
    return ("dict", [inner(key) for key, _ in pairs], [inner(item) for _, item in pairs])


def _unpack_dict(rest: list[Any], inner: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    keys, values = map(inner, rest)
    return dict(zip(keys, values, strict=True))


def _items(tag: str, kind: Any) -> Callable[[Any, Callable[[Any], Any]], Any]:  # noqa: ANN401
    """Return a packer for a builtin container that ignores a subclass's own iterator."""
    return lambda value, inner: (tag, [inner(item) for item in kind.__iter__(value)])


def _text(tag: str, write: Callable[[Any], Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, _: (tag, write(value))


def _slice(rest: list[Any], inner: Callable[[Any], Any]) -> slice:
    return slice(*map(inner, rest))


_PACKERS: dict[tuple[str, str], Callable[[Any, Callable[[Any], Any]], Any]] = {
    ("builtins", "bool"): lambda value, _: value,
    ("builtins", "int"): lambda value, _: int.__int__(value),
    ("builtins", "float"): lambda value, _: float.__float__(value),
    ("builtins", "complex"): lambda value, _: complex.__complex__(value),
    ("builtins", "str"): lambda value, _: str.__str__(value),
    ("builtins", "bytes"): lambda value, _: bytes(memoryview(value)),
    ("builtins", "list"): _pack_list,
    ("builtins", "tuple"): _items("tuple", tuple),
    ("builtins", "set"): _items("set", set),
    ("builtins", "frozenset"): _items("frozenset", frozenset),
    ("builtins", "dict"): _pack_dict,
    ("builtins", "range"): lambda value, _: ("range", value.start, value.stop, value.step),
    ("builtins", "slice"): lambda value, inner: (
        "slice",
        *map(inner, (value.start, value.stop, value.step)),
    ),
    ("decimal", "Decimal"): _text("decimal", str),
    ("fractions", "Fraction"): _text("fraction", str),
    ("datetime", "datetime"): _text("datetime", dt.datetime.isoformat),
    ("datetime", "date"): _text("date", dt.date.isoformat),
    ("datetime", "time"): _text("time", dt.time.isoformat),
    ("datetime", "timedelta"): lambda value, _: (
        "timedelta",
        value.days,
        value.seconds,
        value.microseconds,
    ),
    **ARRAY_PACKERS,
    **FRAME_PACKERS,
}
"""(library, class name) -> packer; the first class of an object's MRO with an entry is used."""

_UNPACKERS: dict[str, Callable[[list[Any], Callable[[Any], Any]], Any]] = {
    "tuple": lambda rest, inner: tuple(inner(rest[0])),
    "set": lambda rest, inner: set(inner(rest[0])),
    "frozenset": lambda rest, inner: frozenset(inner(rest[0])),
    "dict": _unpack_dict,
    "range": lambda rest, _: range(*rest),
    "slice": _slice,
    "decimal": lambda rest, _: decimal.Decimal(rest[0]),
    "fraction": lambda rest, _: fractions.Fraction(rest[0]),
    "datetime": lambda rest, _: dt.datetime.fromisoformat(rest[0]),
    "date": lambda rest, _: dt.date.fromisoformat(rest[0]),
    "time": lambda rest, _: dt.time.fromisoformat(rest[0]),
    "timedelta": lambda rest, _: dt.timedelta(*rest),
    **ARRAY_UNPACKERS,
    **FRAME_UNPACKERS,
}
