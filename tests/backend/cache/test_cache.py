import io
import json
import logging
import multiprocessing
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

from backend.bundle import npy
from backend.cache import Cache, canonical, key_of
from backend.core.errors import CacheError, InputError

OPTIONS = {"size": 0.02, "names": ["a", "b"], "deep": {"on": True, "none": None}}
KEY = key_of("spotlights", "d" * 64, OPTIONS, 1)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path)


def filled(cache, size, letter):
    """An entry of about ``size`` bytes."""
    key = key_of("fill", letter, {}, 1)
    cache.write(key, {"bytes": np.zeros(size, dtype=np.uint8)}, {})
    return key


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "same",
    [
        {"size": np.float64(0.02), "deep": {"none": None, "on": np.True_}, "names": ("a", "b")},
        dict(reversed(OPTIONS.items())),
    ],
)
def test_spelling_and_order_do_not_change_a_key(same):
    assert key_of("spotlights", "d" * 64, same, 1) == KEY


@pytest.mark.parametrize("one", [1, 1.0, np.int16(1), np.float32(1), np.uint64(1)])
def test_one_is_one(one):
    assert key_of("t", "d", {"n": one}, 1) == key_of("t", "d", {"n": 1}, 1)


@pytest.mark.parametrize(
    "other",
    [
        ("projection", "d" * 64, OPTIONS, 1),
        ("spotlights", "e" * 64, OPTIONS, 1),
        ("spotlights", "d" * 64, OPTIONS, 2),
        ("spotlights", "d" * 64, {**OPTIONS, "size": 0.02000001}, 1),
        ("spotlights", "d" * 64, {**OPTIONS, "more": None}, 1),
        ("spotlights", "d" * 64, {**OPTIONS, "names": ["b", "a"]}, 1),
        ("spotlights", "d" * 64, {**OPTIONS, "deep": {"on": 1, "none": None}}, 1),
    ],
)
def test_everything_that_matters_changes_a_key(other):
    assert key_of(*other) != KEY


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), r"options\['x'\] must be None, a boolean.*got object"),
        (np.zeros(2), "got ndarray"),
        ({1, 2}, "got set"),
        (b"x", "got bytes"),
        (float("nan"), "must be finite: got nan"),
        ([1, {"y": 1j}], r"options\['x'\]\[1\]\['y'\].*got complex"),
        ({1: 2}, "must have text as names: got 1"),
    ],
)
def test_unknown_types_are_refused(value, text):
    with pytest.raises(InputError, match=text):
        key_of("t", "d", {"x": value}, 1)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), plain))
def test_canonical_options_survive_json_and_keep_their_key(options):
    once = canonical(options)
    again = json.loads(json.dumps(once))
    assert canonical(again) == once
    assert key_of("t", "d", again, 1) == key_of("t", "d", options, 1)


# --- entries --------------------------------------------------------------------------------------


def test_what_was_written_is_read(cache, tmp_path):
    arrays = {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "empty": np.empty((0, 4)),
        "number": np.float64(3.5),
        "mask": np.array([True, False]),
        "names": np.array(["é", "long name"]),
    }
    meta = {"seconds": np.float64(1.5), "rows": np.arange(2), "loss": float("nan"), "t": (1, "a")}
    written = cache.write(KEY, arrays, meta)
    for entry in (written, cache.read(KEY), Cache(tmp_path).read(KEY)):
        assert entry.key == KEY and set(entry.names) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(entry[name], array)
            assert entry[name].dtype == np.asarray(array).dtype
        assert entry.meta == {"seconds": 1.5, "rows": [0, 1], "loss": None, "t": [1, "a"]}
        assert "weights" in entry and "absent" not in entry


def test_arrays_are_mapped_and_read_only(cache):
    entry = cache.write(KEY, {"a": np.zeros(3)}, {})
    assert isinstance(entry["a"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        entry["a"][0] = 1


def test_a_header_that_another_thread_disturbed_is_read_again(cache, tmp_path, monkeypatch):
    """numpy parses headers with ``ast``, which threads share: the file is sound."""

    def disturbed_once(read):
        errors = [SystemError("AST constructor recursion depth mismatch")]

        def reads(*given, **more):
            found = read(*given, **more)  # the stream is further on by now
            if errors:
                raise errors.pop()
            return found

        return reads

    cache.write(KEY, {"numbers": np.arange(6)}, {})
    monkeypatch.setattr(np, "load", disturbed_once(np.load))
    assert cache.read(KEY)["numbers"].tolist() == list(range(6))
    held = io.BytesIO()
    np.save(held, np.arange(6))
    held.seek(0)
    read = npy_format.read_array_header_1_0
    monkeypatch.setattr(npy_format, "read_array_header_1_0", disturbed_once(read))
    assert npy.read_header(held, len(held.getvalue()), "a.npy").shape == (6,)


def test_nothing_there_is_a_miss(cache):
    assert cache.read(KEY) is None


def test_the_last_writer_wins_and_readers_keep_what_they_opened(cache):
    first = cache.write(KEY, {"a": np.zeros(3)}, {"turn": 1})
    second = cache.write(KEY, {"b": np.ones(2)}, {"turn": 2})
    assert second.names == ("b",) and cache.read(KEY).meta == {"turn": 2}
    np.testing.assert_array_equal(first["a"], np.zeros(3))


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "x" * 200])
def test_names_that_are_not_file_names_are_refused(cache, name):
    with pytest.raises(InputError, match="name must be letters, digits"):
        cache.write(KEY, {name: np.zeros(1)}, {})


def test_objects_are_refused_and_leave_nothing_behind(cache):
    with pytest.raises(InputError, match="array 'o' holds objects"):
        cache.write(KEY, {"o": np.array([object()])}, {})
    with pytest.raises(InputError, match="plain values: got object"):
        cache.write(KEY, {}, {"o": object()})
    assert cache.read(KEY) is None and not list((cache.folder / ".temporary").iterdir())


@pytest.mark.parametrize("key", ["", "../" + "a" * 61, "A" * 64, "a" * 63])
def test_only_keys_are_keys(cache, key):
    with pytest.raises(InputError, match="a cache key is 64 hex digits"):
        cache.read(key)


def test_a_disk_that_refuses_is_told(cache):
    shelf = cache.path(KEY).parent
    shelf.write_text("in the way")
    with pytest.raises(CacheError, match=r"could not be kept: .*File exists"):
        cache.write(KEY, {}, {})


# --- damage ---------------------------------------------------------------------------------------


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "bit of an array": lambda folder: flip(folder / "a.npy", -5),
    "bit of a header": lambda folder: flip(folder / "a.npy", 20),
    "truncated array": lambda folder: os.truncate(folder / "a.npy", 200),
    "missing array": lambda folder: (folder / "a.npy").unlink(),
    "missing meta": lambda folder: (folder / "meta.json").unlink(),
    "truncated meta": lambda folder: os.truncate(folder / "meta.json", 30),
    "number in meta": lambda folder: (folder / "meta.json").write_text(
        (folder / "meta.json").read_text().replace('"seed":7', '"seed":8')
    ),
    "other json": lambda folder: (folder / "meta.json").write_text("[]"),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("same_process", [True, False])
def test_damage_is_a_logged_miss_and_is_removed(cache, tmp_path, caplog, how, same_process):
    cache.write(KEY, {"a": np.arange(100.0)}, {"seed": 7})
    reader = cache if same_process else Cache(tmp_path)
    DAMAGE[how](cache.path(KEY))
    with caplog.at_level(logging.WARNING):
        assert reader.read(KEY) is None
    assert KEY in caplog.text and "damaged" in caplog.text
    assert not cache.path(KEY).exists()
    cache.write(KEY, {"a": np.arange(100.0)}, {"seed": 7})
    assert reader.read(KEY).meta == {"seed": 7}


# --- size -----------------------------------------------------------------------------------------


def test_the_longest_unread_go_first(tmp_path):
    cache = Cache(tmp_path, max_bytes=35_000)
    first, second, third = (filled(cache, 10_000, letter) for letter in "abc")
    assert cache.read(first) is not None
    fourth = filled(cache, 10_000, "d")
    assert cache.read(second) is None
    assert all(cache.read(key) is not None for key in (first, third, fourth))
    assert cache.size_bytes() <= 35_000


def test_what_was_just_written_stays_however_large(tmp_path):
    cache = Cache(tmp_path, max_bytes=1000)
    small = filled(cache, 10, "a")
    large = filled(cache, 10_000, "b")
    assert cache.read(large) is not None and cache.read(small) is None


def test_the_budget_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ERRORSCOPE_CACHE_BYTES", "1234")
    assert Cache(tmp_path).max_bytes == 1234
    assert Cache(tmp_path, max_bytes=5).max_bytes == 5
    monkeypatch.setenv("ERRORSCOPE_CACHE_BYTES", "4GB")
    with pytest.raises(InputError, match="whole number of bytes: got '4GB'"):
        Cache(tmp_path)


def test_results_of_a_deleted_bundle_are_dropped(cache):
    gone = [key_of(task, "a" * 64, {}, 1) for task in ("spotlights", "projection")]
    kept = key_of("projection", "a" * 63 + "b", {}, 1)
    for key in (*gone, kept):
        cache.write(key, {}, {})
    assert cache.drop("a" * 64) == 2
    assert [cache.read(key) is None for key in (*gone, kept)] == [True, True, False]


def test_old_temporaries_are_swept_and_fresh_ones_left(cache, tmp_path):
    old, fresh = (cache.folder / ".temporary" / name for name in ("old", "fresh"))
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "a.npy").write_bytes(b"half")
    long_ago = time.time() - 10_000
    os.utime(old, (long_ago, long_ago))
    Cache(tmp_path)
    assert not old.exists() and fresh.exists()


# --- several processes ----------------------------------------------------------------------------


def hammer(home, seed):
    """Write and read one key over and over; how many reads found something whole."""
    cache = Cache(home)
    hits = 0
    for turn in range(40):
        value = 1000 * seed + turn
        cache.write(KEY, {"a": np.full(500, value), "b": np.full(500, value)}, {"value": value})
        entry = cache.read(KEY)
        if entry is not None:
            hits += 1
            whole = np.concatenate([entry["a"], entry["b"]])
            if not (whole == entry.meta["value"]).all():
                return -1
    return hits


def test_processes_that_write_one_key_never_mix(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        hits = pool.starmap(hammer, [(tmp_path, seed) for seed in range(3)])
    assert min(hits) > 0
    assert Cache(tmp_path).read(KEY) is not None
    assert not list((tmp_path / "cache" / ".temporary").iterdir())
