"""Codec entries for numpy, scipy.sparse, torch and tensorflow: dtype, shape and bytes.

A packer gets a value and a function that packs its parts; an unpacker gets the data after the tag.
Constructors check sizes and bounds, so forged bytes give an array or an exception.
"""

import importlib
from collections.abc import Callable
from typing import Any

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
