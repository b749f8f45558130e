"""Codec entries for pandas: a frame is its columns and indexes, an index is an array and a name.

A packer gets a value and a function that packs its parts; an unpacker gets the data after the tag.
"""

import importlib
from collections.abc import Callable
from typing import Any

Inner = Callable[[Any], Any]
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
