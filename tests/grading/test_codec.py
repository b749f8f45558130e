"""Library values are encoded as plain data and decoded with exact types."""

import contextlib
import datetime as dt
import decimal
import fractions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.grading.ds1000.codec import dumps, loads
from evolcoder.safe_codec import NotPlainError, encode

PLAIN = [
    None, True, -0.0, 2 + 3j, "x", b"\xff", [1, [2.5, (3,)]], (), {1, 2}, frozenset({"a"}),
    {("k", 1): [None]}, range(1, 9, 2), slice(1, None, 2), decimal.Decimal("1.10"),
    fractions.Fraction(1, 3), dt.datetime(2024, 2, 29, 1, tzinfo=dt.UTC), dt.date(1, 1, 1),
    dt.time(23, 59), dt.timedelta(-1, 5, 7),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back(value):
    """With the same type and the same members."""
    back = loads(dumps(value))
    assert (type(back), repr(back)) == (type(value), repr(value))


def test_subclasses_are_decoded_as_their_base():
    """No overridden method of a subclass is called."""

    class Liar(list):
        __eq__ = __iter__ = __len__ = lambda *_: 1 / 0
        __hash__ = None

    class Sly(int):
        __eq__ = lambda *_: True  # noqa: E731
        __hash__ = int.__hash__

    back = loads(dumps(Liar([Sly(3)])))
    assert (type(back), type(back[0]), back) == (list, int, [3])


def arrays():
    np = pytest.importorskip("numpy")
    yield from (np.arange(6).reshape(2, 3), np.array(1.5), np.zeros((0, 2)), np.array(["é", "bc"]))
    yield from (np.array([1, "a", None], dtype=object), np.array([np.nan, -np.inf]))
    yield from (np.array(["2024-01-01", "NaT"], dtype="M8[D]"), np.float32(0.1), np.bool_(True))
    yield np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")])
    yield np.asfortranarray(np.arange(6).reshape(2, 3))


def test_arrays_come_back():
    """With dtype, shape and every bit."""
    for value in arrays():
        back = loads(dumps(value))
        assert type(back) is type(value)
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.tobytes() == value.tobytes() or back.tolist() == value.tolist()


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_and_masks_come_back():
    """Including the values under the mask."""
    np = pytest.importorskip("numpy")
    masked = np.ma.MaskedArray([1, 2], mask=[False, True])
    back = loads(dumps(masked))
    assert (back.data.tolist(), back.mask.tolist()) == ([1, 2], [False, True])
    assert type(loads(dumps(np.asmatrix([[1]])))) is np.matrix


def frames():
    pd = pytest.importorskip("pandas")
    moments = pd.date_range("2024-01-01", periods=3, freq="D", tz="Europe/Paris")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": moments}, index=moments)
    yield frame
    yield pd.DataFrame([[1, 2.5]], columns=["same", "same"])
    yield from (pd.DataFrame(), pd.DataFrame(index=[1, 2]), frame.set_index(["a", "b"]))
    yield frame.assign(d=pd.Categorical(["u", "v", "u"], ordered=True))
    yield frame.assign(e=pd.array([1, None, 3], dtype="Int64"), f=pd.interval_range(0, 3))
    yield pd.DataFrame(
        {"p": pd.period_range("2024-01", periods=2, freq="M"), "s": pd.arrays.SparseArray([0, 1])}
    )


def test_frames_come_back():
    """Columns, index, names and dtypes are equal by pandas's strict comparison."""
    pd = pytest.importorskip("pandas")
    for frame in frames():
        back = loads(dumps(frame))
        pd.testing.assert_frame_equal(
            back, frame, check_index_type="exact", check_column_type="exact"
        )
        for name in range(frame.shape[1]):
            pd.testing.assert_series_equal(back.iloc[:, name], frame.iloc[:, name])


def test_single_values_of_pandas_come_back():
    """Timestamps, timedeltas, periods, intervals and missing values."""
    pd = pytest.importorskip("pandas")
    values = [
        pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1D"), pd.Period("2024-01", "M"),
        pd.Interval(0, 1, closed="both"), pd.NaT, pd.NA, pd.RangeIndex(3, name="n"),
        pd.MultiIndex.from_tuples([(1, "a"), (2, None)], names=["x", None]),
    ]  # fmt: skip
    for value in values:
        back = loads(dumps(value))
        assert (type(back), repr(back)) == (type(value), repr(value))


def test_sparse_matrices_come_back():
    """In their own format."""
    sparse = pytest.importorskip("scipy.sparse")
    for form in ("csr_matrix", "csc_array", "coo_matrix", "lil_matrix", "dok_array"):
        value = getattr(sparse, form)([[0, 1], [2, 0]])
        back = loads(dumps(value))
        assert type(back) is type(value)
        assert (back.toarray() == value.toarray()).all()


@pytest.mark.parametrize(
    "made_up",
    [
        ("array", "<f8", [3], b"short"),
        ("array", "|O", [1], bytes(8)),
        ("array", [["a", "|O", []]], [1], bytes(8)),
        ("no such tag",),
        (),
        ("objects", [5], [1]),
        ("sparse", "__class__", [1, 1], 1, 1, 1),
        ("categorical", [7], ["a"], False),
        ("sparse", "csr_matrix", [1, 1], [1.0], [9], [9]),
        ("missing", "read_pickle"),
        ("ref", 1),
        ("multi_index", [["a"]], [[5]], [None]),
        ("tensor", 1, "load", False),
        ("dict", [1], []),
    ],
    ids=repr,
)
def test_forged_values_are_refused(made_up):
    """Tags, sizes and bounds are validated, and unknown names are never looked up."""
    pytest.importorskip("pandas")
    with pytest.raises(NotPlainError):
        loads(encode(made_up))


@given(st.binary())
def test_any_bytes_are_data_or_refused(data):
    """Any bytes are either decoded or refused with NotPlainError."""
    with contextlib.suppress(NotPlainError):
        loads(data)
