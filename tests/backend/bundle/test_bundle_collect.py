"""Collecting a bundle from a live model gives what the model computes, and leaves it as it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from backend.bundle import collect, import_bundle, read_bundle, write_bundle
from backend.core.errors import BundleError, InputError, JobCancelled


class Net(nn.Module):
    """Two hidden layers; the auxiliary head is defined last but runs first."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, outputs)
        self.aux = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.aux(x)
        return self.head(self.drop(torch.relu(self.first(x))))


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def batches(labels: torch.Tensor, x: torch.Tensor, size: int = 4) -> list[tuple[Any, Any]]:
    return list(zip(x.split(size), labels.split(size), strict=True))


def test_values_are_those_of_the_model() -> None:
    model, x, y = Net().train(), torch.randn(10, 4), torch.arange(10) % 3
    told: list[float] = []
    bundle = collect(
        model,
        batches(y, x),
        classes=["a", "b", "c"],
        examples={"age": range(10)},
        progress=lambda fraction, message: told.append(fraction),
    )
    assert model.training and not model.head._forward_hooks
    assert told[:3] == [1 / 3, 2 / 3, 1.0] and set(told[3:]) == {1.0}  # files are written
    model.eval()
    hidden = torch.relu(model.first(x))
    assert np.allclose(bundle.embeddings, hidden.detach().numpy(), atol=1e-6)
    assert bundle.embeddings.dtype == np.float32
    p = model(x).double().softmax(1).detach().numpy()
    assert bundle.probabilities == pytest.approx(p, abs=1e-6)
    assert bundle.losses == pytest.approx(-np.log(p[np.arange(10), y.numpy()]), abs=1e-5)
    assert bundle.labels.tolist() == y.tolist()
    assert bundle.predictions.tolist() == p.argmax(1).tolist()
    assert bundle.classes == ("a", "b", "c") and bundle.attributes == ["age"]
    assert "losses: cross-entropy of the model's logits, in nats." in bundle.notes


def test_named_layer_and_averaged_maps() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 2))
    x, y = torch.randn(4, 3, 6, 6), torch.tensor([0, 1, 1, 0])
    bundle = collect(model, [{"image": x, "label": y}], layer="1")
    expected = torch.relu(model[0](x)).mean((2, 3)).detach().numpy()
    assert np.allclose(bundle.embeddings, expected, atol=1e-6)
    assert collect(model, [(x, y)]).embeddings.shape == (4, 80)


@pytest.mark.parametrize("form", ["object", "dictionary", "tuple"])
def test_outputs_around_the_logits(form: str) -> None:
    inner = Net()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> Any:
            logits = self.inner(x)
            return {
                "object": SimpleNamespace(logits=logits),
                "dictionary": {"logits": logits},
                "tuple": (logits, mask),
            }[form]

    x = torch.randn(5, 4)
    batch = {"x": x, "mask": torch.ones(5), "labels": torch.zeros(5, dtype=torch.long)}
    bundle = collect(Wrapped(), [batch])
    assert np.array_equal(bundle.losses, collect(inner, [(x, batch["labels"])]).losses)


def test_two_classes_from_one_logit_and_regression() -> None:
    model, x = Net(1), torch.randn(6, 4)
    z = model.eval()(x)[:, 0].double()
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    bundle = collect(model, [(x, y)])
    p = torch.sigmoid(z).detach().numpy()
    assert bundle.probabilities[:, 1] == pytest.approx(p, abs=1e-6)
    assert bundle.losses == pytest.approx(-np.log(np.where(y.numpy() == 1, p, 1 - p)))
    asked = collect(model, [(x, y.float())])  # as binary cross-entropy wants its labels
    assert asked.losses == pytest.approx(bundle.losses)
    assert asked.labels.tolist() == y.tolist() and "two classes" in " ".join(asked.notes)
    chances = collect(nn.Sequential(model, nn.Sigmoid()).eval(), [(x, y.float())], layer="0.drop")
    assert chances.losses == pytest.approx(bundle.losses, abs=1e-5)
    bundle = collect(model, [(x, y + 0.5)])
    assert bundle.targets is not None and bundle.labels is None
    assert bundle.losses == pytest.approx(((z - y - 0.5) ** 2).detach().numpy())


def test_variance_of_gradients_of_linear_models(tmp_path: Path) -> None:
    # The gradient of a linear model's logit is its weight row: VoG is a mean of their deviations.
    model = nn.Linear(3, 2)
    states = [{"weight": torch.full((2, 3), float(t)), "bias": torch.zeros(2)} for t in (0, 2, 4)]
    torch.save(states[2], tmp_path / "last.pt")
    x, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 0])
    bundle = collect(model, batches(y, x, 2), checkpoints=[*states[:2], tmp_path / "last.pt"])
    assert bundle.extras["vog"] == pytest.approx(np.full(5, np.std([0, 2, 4])))
    weights = model.weight.detach().clone()
    collect(model, batches(y, x), checkpoints=[states[0], states[0]])
    assert torch.equal(model.weight, weights)


def test_collected_bundle_can_be_kept(tmp_path: Path) -> None:
    model, x, y = Net(), torch.randn(8, 4), torch.arange(8) % 3
    pixels = np.random.default_rng(0).integers(0, 255, (8, 5, 5), dtype=np.uint8)
    bundle = collect(model, batches(y, x), images=pixels, name="net")
    path = write_bundle(tmp_path / "net.npz", **bundle.fields())
    read = read_bundle(path)
    assert np.array_equal(read.embeddings, bundle.embeddings)
    assert np.array_equal(read.losses, bundle.losses)
    kept = import_bundle(path, tmp_path / "home")
    assert kept.digest == read.digest and kept.thumbnail(3) == bundle.thumbnail(3)


def test_what_cannot_be_collected_is_said() -> None:
    x, y = torch.randn(4, 4), torch.zeros(4, dtype=torch.long)
    with pytest.raises(InputError, match=r"no nn\.Linear with 4 outputs"):
        collect(nn.Sequential(nn.ReLU()), [(x, y)])
    with pytest.raises(InputError, match="layer must be a module"):
        collect(Net(), [(x, y)], layer="heads")
    with pytest.raises(InputError, match="did not run"):
        collect(Net(), [(x, y)], layer=nn.Linear(1, 1))
    with pytest.raises(InputError, match="one batch or more"):
        collect(Net(), [])
    with pytest.raises(InputError, match=r"\(inputs, labels\)"):
        collect(Net(), [x])
    with pytest.raises(InputError, match="class codes below 3: got 0 to 7"):
        collect(Net(), [(x, torch.tensor([0, 1, 2, 7]))])
    with pytest.raises(InputError, match="two or more: got 1"):
        collect(Net(), [(x, y)], checkpoints=[{}])
    with pytest.raises(InputError, match="does not fit the model"):
        collect(Net(), [(x, y)], checkpoints=[{}, {}])
    with pytest.raises(BundleError, match="embeddings, row 2"):
        collect(Net(), [(torch.where(torch.arange(4)[:, None] == 2, torch.nan, x), y)])


def test_hooks_go_when_collecting_is_stopped() -> None:
    model = Net().train()

    def stop(fraction: float, message: str) -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        collect(model, [(torch.randn(2, 4), torch.tensor([0, 1]))], progress=stop)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        (["it was\nnoticed", "x" * 3000], ["it wasnoticed", "x" * 1000]),
        (["one"] * 101, []),
        ([["two", "rows"]], []),
        ([1.0, 2.0], []),
    ],
)
def test_notes_of_whoever_collected_are_shown_as_plain_text(
    notes: Any, told: list[str], tmp_path: Path
) -> None:
    given = {"embeddings": np.eye(3), "losses": np.arange(3.0), "collected/notes": np.array(notes)}
    np.savez(tmp_path / "run.npz", **given)
    read = read_bundle(tmp_path / "run.npz")
    assert list(read.notes[: len(told)]) == told
    left_out = [note for note in read.notes if "'collected/notes' of run.npz" in note]
    assert len(left_out) == (0 if told else 1) and not read.attributes
    np.savez(tmp_path / "plain.npz", embeddings=np.eye(3), losses=np.arange(3.0))
    assert read.digest == read_bundle(tmp_path / "plain.npz").digest  # they are no content


def test_fields_of_attribution_may_have_its_name_before_theirs(tmp_path: Path) -> None:
    features = np.arange(24.0).reshape(2, 3, 4)
    given = {"embeddings": np.eye(3), "losses": np.arange(3.0), "attribution": np.ones((5, 3))}
    np.savez(tmp_path / "run.npz", **given, **{"attribution/target_features": features})
    read = read_bundle(tmp_path / "run.npz")
    assert (read.extras["target_features"] == features).all()
    assert read.extras["attribution"].shape == (5, 3)
