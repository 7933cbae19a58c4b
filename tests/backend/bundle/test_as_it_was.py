"""What comes in comes out as it was: every type, dialect and spelling, in and out, cell by cell."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import uuid
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from backend.bundle import Bundle, import_bundle, open_bundle, read_bundle
from backend.core.errors import BundleError
from backend.export import export_flagged
from backend.export.table import restore
from backend.store import Store
from tests.bundles import npz, picture

N = 6
X = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
LOSSES = np.linspace(0.1, 2.0, N)
HUGE = 1234567890123456789
DIGIT = np.array([0, 1, 2, 0, 1, 2])


def zipped(path: Path, **files: Any) -> Path:
    """An archive of embeddings, losses and these files; ``examples`` is the text of a CSV."""
    members = {"embeddings": X, "losses": LOSSES, **files}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if isinstance(content, np.ndarray):
                sink = io.BytesIO()
                np.save(sink, content)
                archive.writestr(f"{name}.npy", sink.getvalue())
            else:
                archive.writestr("examples.csv" if name == "examples" else name, content)
    return path


def arrow(path: Path, **columns: Any) -> Path:
    """A Parquet or Feather file of embeddings, losses and these columns."""
    given = {"embedding": pa.array(X.tolist(), pa.list_(pa.float32())), "loss": LOSSES, **columns}
    table = pa.table({name: column for name, column in given.items() if column is not None})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    return path


def exported(bundle: Bundle) -> dict[str, list[str]]:
    """Columns of the CSV of all examples, tagged; the file itself and not what reads it back."""
    assert bundle.path is not None
    store = Store(home=bundle.path.parents[1])
    store.tag(bundle.digest, list(bundle.ids), "all")
    text = export_flagged(bundle, store).csv.decode("utf-8-sig")
    store.close()
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


CELLS: dict[str, tuple[pa.Array, list[str]]] = {}
"""Name of a column -> its values, and the text of each cell in the CSV that leaves."""


def column(name: str, kind: pa.DataType, values: list[Any], told: list[str]) -> None:
    """Two columns of the generated table: these values, and the same with one missing."""
    values = [values[k % len(values)] for k in range(N)]
    told = [told[k % len(told)] for k in range(N)]
    CELLS[name] = pa.array(values, kind), told
    CELLS[f"{name} with a hole"] = (
        pa.array([*values[:2], None, *values[3:]], kind),
        [
            *told[:2],
            "",
            *told[3:],
        ],
    )


for width in ("int8", "int16", "int32", "int64"):
    column(width, getattr(pa, width)(), [0, -5, 120], ["0", "-5", "120"])
    column(f"u{width}", getattr(pa, f"u{width}")(), [0, 5, 200], ["0", "5", "200"])
column("tweet", pa.int64(), [HUGE, HUGE + 1, -HUGE], [str(HUGE), str(HUGE + 1), str(-HUGE)])
column("above", pa.uint64(), [2**64 - 1, 2**63, 7], [str(2**64 - 1), str(2**63), "7"])
column("double", pa.float64(), [0.1, 1e300, -2.5], ["0.1", "1e+300", "-2.5"])
column("single", pa.float32(), [0.5, -2.0, 3.25], ["0.5", "-2.0", "3.25"])
column("half", pa.float16(), list(map(np.float16, (0.5, -2, 3.25))), ["0.5", "-2.0", "3.25"])
column("truth", pa.bool_(), [True, False], ["True", "False"])
column("price", pa.decimal128(9, 2), [Decimal("1.10"), Decimal("-2.00")], ["1.10", "-2.00"])
column("key", pa.decimal128(38, 0), [Decimal(HUGE), Decimal(10**30)], [str(HUGE), str(10**30)])
column("day", pa.date32(), [dt.date(2020, 2, 29)], ["2020-02-29"])
column("when", pa.timestamp("us"), [dt.datetime(2020, 1, 2, 3, 4, 5)], ["2020-01-02T03:04:05"])
column(
    "zoned",
    pa.timestamp("s", "Europe/Berlin"),
    [dt.datetime(2020, 1, 2, tzinfo=dt.UTC)],
    ["2020-01-02T01:00:00+01:00"],
)
column("far", pa.timestamp("s"), [253402300800 + 86400], ["10000-01-02T00:00:00"])
column("clock", pa.time64("ns"), [3_723_000_000_001], ["01:02:03.000000001"])
column("text", pa.string(), ["é, ü", '"q"', " a\nb"], ["é, ü", '"q"', " a\nb"])
column("view", pa.string_view(), ["007", "NA"], ["007", "NA"])
column("choice", pa.dictionary(pa.int8(), pa.string()), ["cat", "dög"], ["cat", "dög"])
column("uuid", pa.uuid(), [uuid.UUID(int=k).bytes for k in range(3)],
       [str(uuid.UUID(int=k)) for k in range(3)])  # fmt: skip
column("names", pa.list_(pa.string()), [["ö", "b"], []], ['["ö", "b"]', "[]"])
column("pair", pa.struct([("a", pa.int64())]), [{"a": HUGE}], [json.dumps({"a": HUGE})])
column("bytes", pa.binary(), [b"plain"], ["plain"])
CELLS["train/loss"] = pa.array(np.arange(N) / 4), ["0.0", "0.25", "0.5", "0.75", "1.0", "1.25"]
CELLS["prob"] = pa.array([0.5] * N), ["0.5"] * N
CELLS["class_name"] = pa.array(["cat"] * N), ["cat"] * N

LEFT_OUT = {
    "blob": pa.array([b"\xff\xfe\x00"] * N, pa.binary()),
    "pictures": pa.array([[{"bytes": b"\x89PNG", "path": "a"}]] * N),
    "mask": pa.array([picture()] * N, pa.binary()),
}


@pytest.mark.parametrize("form", ["run.parquet", "run.feather"])
def test_every_type_comes_out_cell_by_cell(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *a, **k: opened.append(a) or real(*a, **k))
    given = {"image": pa.array([picture(k) for k in range(N)], pa.binary())}
    given |= {name: values for name, (values, _) in CELLS.items()}
    path = arrow(tmp_path / form, **given, **LEFT_OUT)
    bundle = import_bundle(path, tmp_path / "home")
    assert len(opened) < 5  # opening takes time for every column: once for all, not for each
    told = exported(bundle)
    for name, (_, cells) in CELLS.items():
        assert list(map(restore, told[name])) == cells, name
    notes = " ".join(bundle.notes)
    for name in LEFT_OUT:
        assert name not in bundle.examples and f"column '{name}' of {form} was left out" in notes
    assert bundle.examples["int64 with a hole"].dtype == np.float64  # a number to compute with
    again = open_bundle(bundle.digest, tmp_path / "home")
    assert again.cells("price", [0, 1]) == ["1.10", "-2.00"]
    assert read_bundle(path).digest == bundle.digest


WRITTEN = {
    "id": [str(HUGE + k) for k in range(N)],
    "phone": ["+4915112345678"] * N,
    "version": ["1.10", "1.9", "2.0", "1.1", "-1.50", "0"],
    "commit": ["3e5", "12", "007e1", "4", "5", "6"],
    "hole": ["0", "", "3", "4", "5", "6"],
    "long hole": [str(HUGE), "", str(HUGE + 1), "4", "5", "6"],
    "beyond": [str(10**25), *"12345"],
    "truth": ["true", "FALSE", "true", "true", "true", "true"],
    "nan": ["NaN", "0.5", "-inf", "1.", ".5", "1"],
    "label": ["01", "2", "01", "2", "01", "2"],
    "train/loss": [".5"] * N,
    "examples/x": ["00"] * N,
    "a,b": ["x;y", 'q"q', "l\nl", "t\tt", "|", "'"],
}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("spelling", ["plain", "bom", "sep", "empty columns", "crlf"])
def test_every_dialect_comes_out_as_it_was_written(
    mark: str, spelling: str, tmp_path: Path
) -> None:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=mark, lineterminator="\r\n" if spelling == "crlf" else "\n")
    extra = ["", ""] if spelling == "empty columns" else []
    writer.writerow([*WRITTEN, *extra])
    writer.writerows([*row, *extra] for row in zip(*WRITTEN.values(), strict=True))
    start = {"bom": "\ufeff", "sep": f"sep={mark}\n"}.get(spelling, "")
    path = zipped(tmp_path / "run.zip", examples=start + sink.getvalue())
    told = exported(import_bundle(path, tmp_path / "home"))
    for name, cells in WRITTEN.items():
        assert [*map(restore, told[name])] == cells, name
    assert told["version"] == WRITTEN["version"] and told["phone"] == WRITTEN["phone"]


def test_labels_come_out_as_they_came(tmp_path: Path) -> None:
    truth = np.array([True, False] * 3)
    bundle = import_bundle(
        arrow(tmp_path / "a.parquet", label=truth, prediction=~truth), tmp_path / "home"
    )
    told = exported(bundle)
    assert told["label"][:2] == ["True", "False"] and told["prediction"][:2] == ["False", "True"]
    assert bundle.labels is not None and bundle.labels[:2].tolist() == [1, 0]
    spelled = pa.array(["TRUE", "TRUE"] * 3)  # one side as text
    bundle = import_bundle(
        arrow(tmp_path / "b.parquet", label=truth, prediction=spelled), tmp_path / "home"
    )
    told = exported(bundle)
    assert told["label"][:2] == ["TRUE", "False"] and told["prediction"][:2] == ["TRUE", "TRUE"]
    assert bundle.correct is not None and bundle.correct.tolist() == truth.tolist()


def softmax(seed: int, classes: int, n: int = 120) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(size=(n, classes)) * 3
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("names", "positions", "why"),
    [
        (["0", "1", "10", "11", "2"], True, "positions among the classes"),
        (["0", "1", "10", "11", "2"], False, ""),
        (["3", "0", "2", "1"], True, "read as positions (mean loss"),
        (["3", "0", "2", "1"], False, "read as names (mean loss"),
        (["2019", "2020", "2021"], True, "positions among the classes"),
        ([f"{k:05d}" for k in range(43)], True, ""),
        (["7", "8", "9"], False, ""),
        (["007", "008", "021"], False, ""),
    ],
)
def test_codes_are_read_the_way_that_fits(
    names: list[str], positions: bool, why: str, tmp_path: Path
) -> None:
    chances = softmax(1, len(names))
    place = chances.argmax(axis=1)
    place[::7] = (place[::7] + 1) % len(names)
    labels = place if positions else np.array([int(names[k]) for k in place])
    (tmp_path / "run.npz").write_bytes(
        npz(
            embeddings=np.ones((120, 2)) * place[:, None],
            labels=labels,
            classes=np.array(names),
            probabilities=chances,
        )
    )
    bundle = read_bundle(tmp_path / "run.npz")
    assert bundle.losses == pytest.approx(-np.log(chances[np.arange(120), place]))
    assert bundle.label_codes is not None and bundle.label_codes.tolist() == place.tolist()
    assert bundle.prediction_codes is not None and why in " ".join(bundle.notes)
    assert bundle.prediction_codes.tolist() == chances.argmax(axis=1).tolist()


def asked(path: Path, columns: dict[str, str] | None = None) -> list[dict[str, str]]:
    """The ways to read an upload between which somebody has to choose."""
    with pytest.raises(BundleError) as refused:
        read_bundle(path, columns=columns)
    (fault,) = refused.value.faults
    assert all(
        f"{one.field}={one.column}" in str(fault) or one.field == "labels" for one in fault.readings
    )
    return [{one.field: one.column} for one in fault.readings]


@pytest.mark.parametrize("field", ["labels", "predictions", "populations/int8"])
def test_codes_that_nothing_explains_are_asked_about(field: str, tmp_path: Path) -> None:
    codes = np.array([0, 1, 2, 3, 1, 1])
    shape = codes[None] if field.startswith("populations") else codes
    names = np.array(["3", "0", "2", "1"])
    path = tmp_path / "run.npz"
    path.write_bytes(npz(embeddings=X, losses=LOSSES, classes=names, **{field: shape}))
    by_name, by_place = asked(path)
    for columns, expected in ((by_name, codes.astype(str)), (by_place, names[codes])):
        bundle = read_bundle(path, columns=columns)
        came = {"labels": bundle.labels, "predictions": bundle.predictions}.get(field)
        came = bundle.populations["int8"][0] if came is None else came
        assert came.astype(str).tolist() == expected.tolist()
        assert "as was said" in " ".join(bundle.notes)
    with pytest.raises(BundleError, match="names or positions"):
        read_bundle(path, columns={"codes": "both"})
    path.write_bytes(npz(embeddings=X, losses=LOSSES, classes=names, **{field: shape * 0 + 2}))
    assert "say the same" in " ".join(read_bundle(path).notes)


def test_whole_targets_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(npz(embeddings=X, target=DIGIT, preds=DIGIT[::-1]))
    classes, amounts = asked(path)
    assert read_bundle(path, columns=classes).losses.tolist() == (DIGIT[::-1] != DIGIT).tolist()
    assert read_bundle(path, columns=amounts).losses.max() > 1


@pytest.mark.parametrize(
    ("field", "name", "values"),
    [
        ("probabilities", "prob", P1 := np.linspace(0, 9, N)),
        ("losses", "loss", P1),
        ("labels", "label", np.array(["a", "b"] * (N // 2))),
        ("predictions", "preds", P1.round()),
        ("targets", "target", P1),
        ("id", "id", np.array(["same"] * N)),
        ("image", "image", np.array(["nowhere.png"] * N)),
        ("text", "text", np.array(["x"] * N)),
        ("split", "split", P1),
    ],
)
def test_nothing_is_a_field_that_was_denied(
    field: str, name: str, values: Any, tmp_path: Path
) -> None:
    loss = {"loss": LOSSES} if name != "loss" else {"loss": P1, "ce": LOSSES}
    said = {field: "ce" if name == "loss" else "", "losses": "ce" if name == "loss" else "loss"}
    path = arrow(tmp_path / "run.parquet", **loss, **({} if name == "loss" else {name: values}))
    bundle = read_bundle(path, columns=said)
    assert bundle.losses.tolist() == LOSSES.tolist() and not bundle.has_images
    name = f"{name} (column)" if field in ("id", "image", "text", "split") else name
    assert bundle.examples[name].tolist() == values.tolist() and not bundle.has_text
    assert bundle.ids.tolist() == [str(row) for row in range(N)]
    with pytest.raises(BundleError, match="not a field"):
        read_bundle(path, columns={"weather": ""})


P = softmax(2, 3, N)
HOT = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 1, 1]])
MASKED = np.where(np.eye(3, dtype=bool)[(DIGIT + 1) % 3], -np.inf, np.log(P))
EYE3 = np.eye(3)[DIGIT]
SCORES: dict[str, tuple[dict[str, Any], str, bool]] = {
    # fields, words of the note or fault, whether it is read without losses
    "bfloat16": ({"probabilities": torch.tensor(P).bfloat16().float().numpy()}, "rounded", True),
    "two decimals": ({"probabilities": P.round(2)}, "", True),
    "percentages": ({"probabilities": (100 * P).round(1)}, "percentages", True),
    "log-probabilities": ({"probabilities": np.log(P)}, "log-probabilities", True),
    "masked logits": ({"logits": MASKED}, "logits", True),
    "sigmoid": ({"probabilities": 1 / (1 + np.exp(-3 * X[:, :3] - 2))}, "sigmoid", False),
    "one score": ({"probabilities": P[:, 0]}, "one score a row", False),
    "one logit": ({"logits": X[:, :1]}, "one score a row", False),
    "raw scores": ({"probabilities": 9 * X[:, :3]}, "name the array 'logits'", False),
}


@pytest.mark.parametrize("case", SCORES)
def test_scores_are_told_apart_and_never_stop_losses(case: str, tmp_path: Path) -> None:
    fields, words, read = SCORES[case]
    path = tmp_path / "run.npz"
    path.write_bytes(npz(embeddings=X, labels=DIGIT, **fields))
    if read:
        bundle = read_bundle(path)
        own = P[np.arange(N), DIGIT]
        if case == "masked logits":
            own = own / (1 - P[np.arange(N), (DIGIT + 1) % 3])
        assert bundle.losses == pytest.approx(-np.log(own), rel=0.2, abs=0.02)
        assert words in " ".join(bundle.notes)
    else:
        with pytest.raises(BundleError, match=words):
            read_bundle(path)
    path.write_bytes(npz(embeddings=X, losses=LOSSES, labels=DIGIT, **fields))
    bundle = read_bundle(path)
    assert bundle.losses.tolist() == LOSSES.tolist()
    assert read or "was left out, as losses are given" in " ".join(bundle.notes)


REFUSED: dict[str, tuple[Any, str]] = {
    "multi-hot": ({"labels": HOT, "losses": LOSSES}, "multi-label"),
    "whole targets": ({"targets": DIGIT, "preds": DIGIT[::-1]}, "class codes"),
    "label is masked": ({"logits": np.where(EYE3, -np.inf, 0), "labels": DIGIT}, "infinite"),
    "all masked": ({"logits": np.full((N, 3), -np.inf), "labels": DIGIT}, "all logits of a row"),
    "lists of labels": ({"label": pa.array([["a", "b"]] * N)}, "multi-label"),
    "lists of codes": ({"label": pa.array([[0, 1], [1]] * 3)}, "multi-label"),
    "text of lists": ({"label": pa.array(["['a', 'b']"] * N)}, "multi-label"),
    "empty first": ({"embedding": pa.array([[], *X[1:].tolist()])}, "row 0: the list has 0"),
    "two lists": ({"embedding": pa.array([[[0.5], [1.5]]] * N)}, "holds 2 lists"),
    "a name too long": ({"n" * 2**20: LOSSES}, "has 1048576 characters"),
    "an id too long": (
        f"id,a\n{'x' * 1001},x\n1,y\n2,y\n3,y\n4,y\n5,y\n",
        "the id has 1001 characters",
    ),
    "a class too long": (
        {"losses": LOSSES, "labels": DIGIT, "classes": np.array(["a" * 1001, "b", "c"])},
        "the class name has 1001",
    ),
    "a label too long": ({"label": pa.array(["a" * 1001, *"bcdef"])}, "one of the labels has 1001"),
    "truths beside names": (
        {"label": pa.array([True, False] * 3), "prediction": pa.array(["yes", "no"] * 3)},
        "labels are true or false and predictions are names",
    ),
    "unclosed": ('id,a\n0,"x\n1,y\n2,z\n', "opens a cell in line 2"),
    "ragged": ("id;a\n0;x\n1;y;z\n2;z\n", "taken to be a semicolon"),
    "one score and labels": (
        {"loss": None, "prob": LOSSES, "label": pa.array(DIGIT)},
        "'prob' has one score a row",
    ),
    "stem unknown": ({"embedding": None, "q1": LOSSES, "q2": LOSSES}, "embedding_0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named(case: str, tmp_path: Path) -> None:
    fields, words = REFUSED[case]
    path = tmp_path / "run.parquet"
    if isinstance(fields, str):
        path = zipped(tmp_path / "run.zip", examples=fields)
        words = f"run.zip/examples.csv.*{words}"
    elif fields.keys() & {"labels", "targets", "logits"}:
        path = tmp_path / "run.npz"
        path.write_bytes(npz(embeddings=X, **fields))
    else:
        arrow(path, **fields)
    with pytest.raises(BundleError, match=words):
        read_bundle(path)
    if case == "whole targets":
        bundle = read_bundle(path, columns={"targets": "targets"})
        assert bundle.losses.tolist() == ((DIGIT - DIGIT[::-1]) ** 2).tolist()


LISTS = pa.array(X.tolist(), pa.list_(pa.float32()))
TENSOR = pa.fixed_shape_tensor(pa.float32(), [2, 2])
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "fixed-shape tensor": {
        "embedding": pa.ExtensionArray.from_storage(TENSOR, LISTS.cast(pa.list_(pa.float32(), 4)))
    },
    "list view": {"embedding": pa.array(X.tolist(), pa.list_view(pa.float32()))},
    "large list": {"embedding": LISTS.cast(pa.large_list(pa.float32()))},
    "list in a list": {"embedding": pa.array([[row] for row in X.tolist()])},
    "JSON": {"embedding": pa.array([json.dumps(row) for row in X.tolist()])},
    "columns": {"embedding": None, **{f"emb_{k}": X[:, k] for k in range(4)}},
    "columns from 1": {"embedding": None, **{f"dim{k + 1}": X[:, k] for k in range(4)}},
}


@pytest.mark.parametrize("case", EMBEDDINGS)
def test_embeddings_in_every_shape_of_a_column(case: str, tmp_path: Path) -> None:
    suffix = "feather" if case == "list view" else "parquet"  # which has no such type
    bundle = read_bundle(arrow(tmp_path / f"run.{suffix}", **EMBEDDINGS[case]))
    assert bundle.embeddings == pytest.approx(X, rel=1e-6)


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e30, 1e-30])
def test_embeddings_whose_squares_overflow_are_rescaled(scale: float, tmp_path: Path) -> None:
    kind = np.float32 if 1e-38 < scale < 1e38 else np.float64
    scaled = (X.astype(float) * scale).astype(kind)
    fields = {"embeddings": scaled, "losses": LOSSES, "layers/early": scaled}
    (tmp_path / "run.npz").write_bytes(npz(**fields, **{"train/embeddings": scaled[:5]}))
    bundle = read_bundle(tmp_path / "run.npz")
    for array, name in (
        (bundle.embeddings, "embeddings"),
        (bundle.layers["early"], "layer 'early'"),
        (bundle.train["embeddings"], "train embeddings"),
    ):
        peak, rows = np.abs(array).max(), X[: len(array)]
        assert 0.5 <= peak < 1 and array.dtype == kind
        assert array / peak == pytest.approx(rows / np.abs(rows).max(), rel=1e-6)
        assert any(note.startswith(f"{name}: divided by 2^") for note in bundle.notes), name


def red(value: int) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 0, 0)).save(sink, "PNG")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("files", "ids", "expected", "words"),
    [
        ([f"img{k}" for k in range(12)], None, list(range(12)), "numbers by value"),
        ([f"{k + 1}" for k in range(12)], None, list(range(12)), "numbers by value"),
        (["b", "a"], ["a", "b", "c", "d"], [1, 0, None, None], "2 of 4 examples have none"),
        (["e\u0301", "x", "y"], ["é", "z"], [0, None], "2 files are like no id"),
        (["q", "r"], ["a", "b", "c"], None, "2 files for 3 examples"),
    ],
)
def test_every_row_has_its_own_picture(
    files: list[str], ids: list[str] | None, expected: list[Any] | None, words: str, tmp_path: Path
) -> None:
    n = len(ids or files)
    members = {f"images/{name}.png": red(k) for k, name in enumerate(files)}
    if ids:
        members["examples"] = "id\n" + "\n".join(ids) + "\n"  # type: ignore[assignment]
    path = zipped(
        tmp_path / "run.zip", embeddings=np.ones((n, 2)), losses=np.arange(n) / 2, **members
    )
    bundle = read_bundle(path)
    assert words in " ".join(bundle.notes)
    assert bundle.has_images == (expected is not None)
    for row, which in enumerate(expected or []):
        assert bundle.image(row) == (None if which is None else red(which)), row


@pytest.mark.parametrize("kind", ["MPO", "TIFF", "JPEG"])
def test_turned_photos_are_upright_at_every_size(kind: str, tmp_path: Path) -> None:
    photo = Image.new("RGB", (40, 20), (250, 250, 250))
    photo.paste((0, 0, 0), (0, 0, 20, 20))  # black at the left, on top once it is turned
    exif = Image.Exif()
    exif[0x0112] = 6
    sink = io.BytesIO()
    more = {"save_all": True, "append_images": [photo]} if kind == "MPO" else {}
    photo.save(sink, kind, exif=exif, **more)
    cells = pa.array([sink.getvalue()] * N, pa.binary())
    bundle = import_bundle(arrow(tmp_path / "run.parquet", img=cells), tmp_path / "home")
    for data in (bundle.image(0), bundle.thumbnail(0)):
        assert data is not None
        shown = Image.open(io.BytesIO(data))
        turned = {6: Image.Transpose.ROTATE_270}.get(shown.getexif().get(0x0112, 1))
        shown = (shown if turned is None else shown.transpose(turned)).convert("L")
        assert shown.height == 2 * shown.width
        assert shown.getpixel((shown.width // 2, 4)) < 90 < shown.getpixel((2, shown.height - 4))


def test_absent_fields_and_shared_bytes(tmp_path: Path) -> None:
    torch.save(
        {"embeddings": torch.tensor(X), "losses": torch.tensor(LOSSES), "labels": None},
        tmp_path / "run.pt",
    )
    assert read_bundle(tmp_path / "run.pt").labels is None
    path = tmp_path / "run.safetensors"
    arrays = {"embeddings": X, "losses": LOSSES.astype(np.float32)}
    for classes, words in [("[" * 10**5, ""), ('["a", "a"]', "in the metadata of run.safetensors")]:
        save_file(arrays, path, metadata={"classes": classes})
        bundle = read_bundle(path)
        assert bundle.class_names is None and words in " ".join(bundle.notes)
    save_file(arrays, path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["losses"]["data_offsets"] = [72, 96]
    text = json.dumps(header).encode().ljust(size)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size : 8 + size + 96])
    with pytest.raises(BundleError):
        read_bundle(path)


def forms(folder: Path) -> list[Path]:
    """One small upload of every form."""
    (folder / "run.npz").write_bytes(npz(embeddings=X, losses=LOSSES, labels=DIGIT))
    torch.save({"embeddings": torch.tensor(X), "losses": torch.tensor(LOSSES)}, folder / "run.pt")
    save_file({"embeddings": X, "losses": LOSSES}, folder / "run.safetensors")
    some = {name: CELLS[name][0] for name in ("names", "choice", "price", "when", "text")}
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows([list(WRITTEN), *zip(*WRITTEN.values(), strict=True)])
    return [
        folder / "run.npz",
        folder / "run.pt",
        folder / "run.safetensors",
        arrow(folder / "run.parquet", **some),
        arrow(folder / "run.feather", **some, view=CELLS["view"][0]),
        zipped(folder / "run.zip", examples=sink.getvalue(), **{"images/0.png": picture()}),
    ]


def test_mutated_files_of_every_form_end_in_faults_or_bundles(tmp_path: Path, caplog: Any) -> None:
    """Bytes changed, cut, doubled and taken out, seeded; nothing but a fault may come of it."""
    dice = random.Random(7)
    refused = 0
    for path in forms(tmp_path):
        read_bundle(path)
        data = path.read_bytes()
        for k in range(200):
            changed = bytearray(data)
            for _ in range(1 + k % 4):
                at = dice.randrange(len(changed))
                match dice.randrange(4):
                    case 0:
                        changed[at] = dice.randrange(256)
                    case 1:
                        del changed[at : at + dice.randrange(1, 40)]
                    case 2:
                        changed[at:at] = changed[at : at + dice.randrange(1, 40)]
                    case 3:
                        changed[at : at + 4] = dice.choice([b"\xff" * 4, b"\0" * 4, b'"\n,;'])
            target = tmp_path / f"changed{path.suffix}"
            target.write_bytes(bytes(changed))
            try:
                read_bundle(target)
            except BundleError as error:
                refused += 1
                assert all(fault.problem and fault.file for fault in error.faults)
    assert refused > 500
    unforeseen = [one.exc_info for one in caplog.records if "no check foresaw" in one.getMessage()]
    assert not unforeseen
