"""The map as a picture: the right colour in the right place, what matters on top."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backend.core.errors import InputError
from backend.map.raster import HEIGHT, MARGIN, WIDTH, css_colour, draw_raster, drawing_order

GREY, RED, BLUE, AMBER = "#c2c4c6", "#ff0000", "#0000ff", "#9a5b00"


def picture(steps, codes, state, **options):
    png = draw_raster(
        np.array(steps, dtype=np.uint16),
        np.array(codes, dtype=np.uint8),
        np.array(state, dtype=np.uint8),
        [GREY, RED, BLUE],
        context=GREY,
        accent=AMBER,
        **options,
    )
    return np.asarray(Image.open(io.BytesIO(png)))


def at(image, x, y):
    """Pixel of a place given in shares of the map, y upwards."""
    px = int((MARGIN + x * (1 - 2 * MARGIN)) * (WIDTH - 1))
    py = int((1 - MARGIN - y * (1 - 2 * MARGIN)) * (HEIGHT - 1))
    return image[py, px]


def test_each_point_is_drawn_in_its_colour_with_y_upwards():
    image = picture([[0, 0], [65535, 65535]], [1, 2], [0, 0])
    assert image.shape == (HEIGHT, WIDTH, 4)
    assert at(image, 0, 0)[:3].tolist() == [255, 0, 0] and at(image, 0, 0)[3] > 150
    assert at(image, 1, 1)[:3].tolist() == [0, 0, 255]
    assert at(image, 0.5, 0.5)[3] == 0


def test_beside_a_selection_the_rest_is_context_and_the_selected_has_a_rim():
    image = picture([[0, 0], [32768, 32768]], [1, 2], [0, 1])
    assert at(image, 0, 0)[:3].tolist() == [194, 196, 198]
    assert at(image, 0.5, 0.5)[:3].tolist() == [0, 0, 255]
    assert (image[:, :, :3] == [154, 91, 0]).all(axis=2).any()


def test_the_selected_and_then_the_rare_lie_on_top():
    same = [[30000, 30000]] * 4
    assert at(picture(same, [2, 1, 1, 1], [0] * 4), 30000 / 65535, 30000 / 65535)[2] == 255
    assert at(picture(same, [2, 1, 1, 1], [0, 1, 0, 0]), 30000 / 65535, 30000 / 65535)[0] == 255


def test_what_filters_set_aside_is_fainter_or_gone():
    steps = [[0, 0], [65535, 65535]]
    shown = picture(steps, [1, 2], [2, 0])
    assert 0 < at(shown, 0, 0)[3] < at(shown, 1, 1)[3]
    assert at(picture(steps, [1, 2], [2, 0], hide_filtered=True), 0, 0)[3] == 0


def test_more_points_show_less_of_the_ground():
    one = picture([[30000, 30000]], [1], [0])
    many = picture([[30000, 30000]] * 5, [1] * 5, [0] * 5)
    assert at(many, 30000 / 65535, 30000 / 65535)[3] > at(one, 30000 / 65535, 30000 / 65535)[3]


@pytest.mark.parametrize("aside", [True, False])
def test_drawing_order_against_a_plain_loop(aside):
    rng = np.random.default_rng(0)
    codes = rng.choice(5, 300, p=[0.5, 0.2, 0.15, 0.1, 0.05]).astype(np.uint8)
    state = rng.integers(0, 4, 300).astype(np.uint8)
    counts = np.bincount(codes)
    rank = {code: at for at, code in enumerate(sorted(range(5), key=lambda c: (-counts[c], c)))}

    def key(row):
        if state[row] & 2:
            return (0, 0)
        if state[row] & 1:
            return (3, rank[codes[row]])
        return (1, 0) if aside else (2, rank[codes[row]])

    order, layer = drawing_order(codes, state, aside=aside)
    assert order.tolist() == sorted(range(300), key=key)
    assert layer.tolist() == [key(row)[0] for row in order]
    hidden, _ = drawing_order(codes, state, hide_filtered=True, aside=aside)
    assert hidden.tolist() == [row for row in order if not state[row] & 2]


def test_numbers_are_drawn_by_code_highest_last():
    codes = np.array([3, 1, 2, 1], dtype=np.uint8)
    order, _ = drawing_order(codes, np.zeros(4, dtype=np.uint8), by_code=True)
    assert codes[order].tolist() == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("#C2c4C6", "#c2c4c6"),
        ("rgb(0, 32, 81)", "#002051"),
        ("rgb(253.2,231.6,37)", "#fde825"),
    ],
)
def test_colours_are_read(given, read):
    assert css_colour(given) == read


@pytest.mark.parametrize(
    "given",
    [
        "red",
        "#fff",
        "rgb(256, 0, 0)",
        "rgb(0,0,0",
        "rgb(..,0,0)",
        "#12345g",
        "url(x)",
        "",
        "#1234567",
    ],
)
def test_nothing_else_is_a_colour(given):
    with pytest.raises(InputError, match="#rrggbb or rgb"):
        css_colour(given)
