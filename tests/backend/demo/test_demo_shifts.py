"""The stress tests spoil images in the way their names say, the same way each time."""

import numpy as np
import pytest
import torch

from backend.demo.shifts import IID, SHIFTS, SQUARE, occlusion, rotation

IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def shifted(name, images=IMAGES):
    return SHIFTS[name](images)


def dot(row, column):
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, row, column] = 1
    return image


@pytest.mark.parametrize("name", SHIFTS)
def test_images_stay_images_and_the_input_is_left_alone(name):
    before = IMAGES.clone()
    once, twice = shifted(name), shifted(name)
    assert torch.equal(once, twice) and torch.equal(IMAGES, before)
    assert once.shape == IMAGES.shape and once.dtype == torch.float32
    assert once.min() >= 0 and once.max() <= 1 + 1e-6
    assert torch.equal(once, IMAGES) == (name == IID)


def test_blur_spreads_a_dot_like_a_gaussian():
    out = shifted("blur", dot(14, 14))[0, 0].double().numpy()
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert out[14, 15] / out[14, 14] == pytest.approx(np.exp(-0.5), rel=1e-5)
    assert out[13, 15] / out[14, 14] == pytest.approx(np.exp(-1), rel=1e-5)
    assert out[14, 18] == 0


def test_contrast_halves_the_distance_to_the_mean():
    out = shifted("contrast")
    assert torch.allclose(out.mean((1, 2, 3)), IMAGES.mean((1, 2, 3)), atol=1e-6)
    assert torch.allclose(out.std((1, 2, 3)), IMAGES.std((1, 2, 3)) / 2, atol=1e-6)


def test_rotation_turns_by_fifteen_degrees_about_the_middle():
    # A blob to the right of the middle: its center of mass turns by the angle, its distance stays.
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 13:15, 21:23] = 1
    out = rotation(image)[0, 0].double().numpy()
    place = np.arange(28) - 13.5
    y, x = (out.sum(1) @ place / out.sum(), out.sum(0) @ place / out.sum())
    assert np.hypot(x, y) == pytest.approx(8, abs=0.15)
    assert abs(np.degrees(np.arctan2(y, x))) == pytest.approx(15, abs=1)


def test_occlusion_hides_one_square_in_the_middle_half():
    out = occlusion(torch.ones(40, 1, 28, 28)).numpy()[:, 0]
    corners = set()
    for image in out:
        rows, columns = np.where(image == 0)
        assert len(rows) == SQUARE**2
        assert np.ptp(rows) == np.ptp(columns) == SQUARE - 1
        for place in (rows, columns):
            assert place.min() >= 5
            assert place.max() < 23
        corners.add((rows.min(), columns.min()))
    assert len(corners) > 20


def test_noise_has_its_deviation():
    out = shifted("noise", torch.full((40, 1, 28, 28), 0.5))
    assert float(out.std()) == pytest.approx(0.15, rel=0.03)
    assert float(out.mean()) == pytest.approx(0.5, abs=0.005)
