"""Names of regions whose truth is known: what made them is what they are called after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from backend.describe import name_groups

N = 1500
RANDOM = np.random.default_rng(0)
LABELS = np.array(["Bag", "Coat", "Shirt"])[RANDOM.integers(0, 3, N)]
SEASON = np.array(["winter", "summer", "spring", "autumn"])[RANDOM.integers(0, 4, N)]
WIDTH = RANDOM.uniform(0, 20, N)
IDS = np.array([f"img-{row:05d}" for row in range(N)])
COLUMNS = pd.DataFrame(
    {
        "row": np.arange(N),
        "photo_id": RANDOM.permutation(N),
        "file": [f"scan_{row}.png" for row in range(N)],
        "season": SEASON,
        "width": WIDTH,
        "noise": RANDOM.normal(size=N),
    }
)
SHIRT, COAT, BAG = (name == LABELS for name in ("Shirt", "Coat", "Bag"))


def named(*masks: np.ndarray, **given: Any) -> list[str]:
    facts = {"labels": LABELS, "columns": COLUMNS, "ids": IDS} | given
    return name_groups([np.flatnonzero(mask) for mask in masks], **facts)


def answers(*mistakes: tuple[np.ndarray, str]) -> np.ndarray:
    """The labels, some of them given wrongly."""
    predictions = LABELS.astype(object)
    for mask, answer in mistakes:
        predictions[mask] = answer
    return predictions


# --- columns, inside a label ----------------------------------------------------------------------


def test_a_level_inside_a_label_is_the_name():
    assert named(SHIRT & (SEASON == "winter")) == ["Shirt, season winter"]


def test_a_range_inside_a_label_is_the_name():
    low, middle, high = SHIRT & (WIDTH < 5), SHIRT & (WIDTH > 8) & (WIDTH < 12), COAT & (WIDTH > 15)
    said = named(low, middle, high)
    assert said[0].startswith("Shirt, width ≤ ") and said[2].startswith("Coat, width ≥ ")
    first, last = said[1].removeprefix("Shirt, width ").split(" to ")
    assert float(said[0].split()[-1]) == pytest.approx(5, abs=0.7)
    assert float(said[2].split()[-1]) == pytest.approx(15, abs=0.7)
    assert (float(first), float(last)) == pytest.approx((8, 12), abs=0.7)


def test_two_columns_are_said_where_both_made_it():
    (name,) = named(SHIRT & (SEASON == "winter") & (WIDTH > 15))
    assert name.startswith("Shirt, ") and "season winter" in name and "width ≥ " in name


def test_a_level_of_most_members_says_so_and_one_of_few_is_not_said():
    winter, rest = SHIRT & (SEASON == "winter"), SHIRT & (SEASON != "winter")
    rows = np.flatnonzero(winter)[:60]
    others = np.flatnonzero(rest)
    made = [np.r_[rows, others[:30]], np.r_[rows[:30], others[30:80]]]
    said = name_groups(made, labels=LABELS, columns=COLUMNS, ids=IDS)
    assert said[0] == "Shirt, mostly season winter"
    assert said[1] == f"Shirt like example {IDS[rows[0]]}"


def test_a_level_that_is_as_frequent_in_the_rest_of_the_label_is_not_said():
    # 80 % of the members and 74 % of all: the season is the label's, not the region's.
    season = np.where(SHIRT | (RANDOM.random(N) < 0.1), "winter", "summer").astype(object)
    season[SHIRT & (RANDOM.random(N) < 0.2)] = "summer"
    members = np.flatnonzero(SHIRT & (season == "winter"))[:40]
    members = np.r_[members, np.flatnonzero(SHIRT & (season == "summer"))[:10]]
    (name,) = name_groups(
        [members], labels=LABELS, columns=pd.DataFrame({"season": season}), ids=IDS
    )
    assert name == f"Shirt like example {IDS[members[0]]}"


def test_a_level_that_most_of_all_have_is_not_said_though_few_of_the_label_do():
    long = ~SHIRT | (RANDOM.random(N) < 0.5)
    sleeves = np.where(long, "long", "short")
    members = np.r_[
        np.flatnonzero(SHIRT & long)[:85],
        np.flatnonzero(SHIRT & ~long)[:15],  # 85 % long: half of the shirts, 83 % of all
    ]
    (name,) = name_groups([members], labels=LABELS, columns=pd.DataFrame({"sleeves": sleeves}))
    assert name == "Shirt"


@pytest.mark.parametrize("level", ["other", "Unknown", "nan", "N/A", "", "not available", None])
def test_levels_that_mean_nothing_are_not_said(level):
    source = pd.Series(np.where(SEASON == "winter", "", "shop").astype(object))
    source[SEASON == "winter"] = level
    (name,) = named(SHIRT & (SEASON == "winter"), columns=pd.DataFrame({"source": source}))
    assert name.startswith("Shirt like example img-")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id2", [f"u{row % 400:03d}" for row in range(N)]),
        ("user", np.arange(N) // 4),
        ("customerId", np.arange(N) // 150),
        ("patient_id", [f"Anna {row // 150}" for row in range(N)]),
        ("index", np.arange(N) // 2),
        ("path", [f"/data/{row // 100}/picture.jpg" for row in range(N)]),
        ("picture", [f"picture {row // 50}.png" for row in range(N)]),
        ("text", np.arange(N) // 150),
        ("near_unique", [f"one of a kind {row // 2 * (row % 3)}" for row in range(N)]),
        ("timestamp", 1_600_000_000 + np.arange(N)),
    ],
)
def test_what_only_tells_rows_apart_is_never_said(name, values):
    members = np.zeros(N, dtype=bool)
    members[:150] = True
    (said,) = named(SHIRT & members, columns=pd.DataFrame({name: values}))
    assert said == f"Shirt like example {IDS[np.flatnonzero(SHIRT)[0]]}"


def test_columns_that_repeat_the_answers_or_the_loss_are_not_said():
    wrong = SHIRT & (WIDTH > 15)
    predictions = answers((wrong, "Coat"))
    losses = np.where(wrong, 3.0, 0.1) + 0.01 * WIDTH
    columns = pd.DataFrame(
        {
            "correct": predictions == LABELS,
            "pred_name": predictions,
            "cell": LABELS.astype(object) + "→" + predictions,
            "cost": losses * 2,
        }
    )
    given = {"predictions": predictions, "losses": losses}
    assert named(wrong, columns=columns, **given) == ["Shirt taken for Coat"]
    (name,) = named(wrong, columns=columns.assign(width=WIDTH), **given)
    assert name.startswith("Shirt taken for Coat, width ≥ 1")


def test_names_listed_in_one_value_are_parted():
    lists = np.array(["Drama|Romance", "Comedy", "Comedy|Romance", "Drama", "Action|Comedy|Drama"])
    genres = lists[RANDOM.integers(0, 5, N)]
    drama = np.char.find(genres, "Drama") >= 0
    columns = pd.DataFrame({"genres": genres})
    assert named(SHIRT & drama, columns=columns) == ["Shirt, genres Drama"]


def test_several_columns_of_noughts_and_ones_are_flags_and_one_alone_is_a_code():
    marks = {name: RANDOM.integers(0, 2, N) for name in ("striped", "dotted", "plain")}
    dotted = SHIRT & (marks["dotted"] == 1)
    assert named(dotted, columns=pd.DataFrame(marks)) == ["Shirt, dotted yes"]
    assert named(dotted, columns=pd.DataFrame({"sex": marks["dotted"]})) == ["Shirt, sex 1"]
    flag = pd.DataFrame({"dotted": marks["dotted"] == 1})
    assert named(SHIRT & ~dotted, columns=flag) == ["Shirt, dotted no"]


# --- labels and wrong answers ---------------------------------------------------------------------


def test_wrong_answers_are_named_where_they_are_few():
    narrow, wide, middle = WIDTH < 5, WIDTH > 15, (WIDTH > 8) & (WIDTH < 12)
    predictions = answers(
        (SHIRT & narrow, "Coat"),
        (COAT & wide, "Shirt"),
        (COAT & wide & (SEASON == "winter"), "Bag"),
        (BAG & middle, "Coat"),
        (BAG & middle & (WIDTH < 9.5), "Shirt"),
    )
    said = named(
        SHIRT & narrow,
        COAT & wide,
        BAG & middle,
        predictions=predictions,
        columns=None,
    )
    assert said == [
        "Shirt taken for Coat",
        "Coat taken for Shirt or Bag",
        "Bag taken for Coat or Shirt",
    ]


def test_answers_that_are_many_are_only_wrong():
    names = np.array([f"kind {code}" for code in range(10)])
    labels = names[RANDOM.integers(0, 10, N)]
    predictions = labels.copy()
    wrong = (labels == "kind 3") & (WIDTH > 10)
    predictions[wrong] = names[RANDOM.integers(4, 10, wrong.sum())]
    (name,) = named(wrong, labels=labels, predictions=predictions, columns=None)
    assert name == "kind 3, wrong"


def test_with_two_classes_an_answer_is_only_wrong():
    labels = np.where(SHIRT, "neg", "pos")
    predictions = np.where(WIDTH > 15, np.where(SHIRT, "pos", "neg"), labels)
    given = {"labels": labels, "predictions": predictions, "columns": None}
    assert named(SHIRT & (WIDTH > 15), **given) == ["neg, wrong"]
    # Both classes together are no name, and neither is "taken for pos or neg".
    (name,) = named(WIDTH > 15, **given)
    assert name.startswith("like example")
    # Three classes, of which two occur: the other one could have been the answer.
    (name,) = named(SHIRT & (WIDTH > 15), classes=["pos", "neg", "neutral"], **given)
    assert name == "neg taken for pos"


def test_a_region_that_is_as_wrong_as_its_label_is_not_named_after_that():
    predictions = answers((SHIRT & (RANDOM.random(N) < 0.7), "Coat"))
    (name,) = named(SHIRT & (SEASON == "winter"), predictions=predictions)
    assert name == "Shirt, season winter"


def test_a_region_that_is_sometimes_wrong_is_often_wrong():
    some = SHIRT & (WIDTH > 15)
    predictions = answers((some & (RANDOM.random(N) < 0.4), "Coat"))
    assert named(some, predictions=predictions, columns=None) == ["Shirt often taken for Coat"]


def test_two_labels_that_are_confused_are_taken_for_each_other():
    both = (SHIRT | COAT) & (WIDTH > 15)
    predictions = answers((SHIRT & both, "Coat"), (COAT & both, "Shirt"))
    classes = ["Bag", "Coat", "Dress", "Shirt"]
    (name,) = named(both, predictions=predictions, columns=None, classes=classes)
    assert sorted(name.split(" taken for each other")[0].split(" and ")) == ["Coat", "Shirt"]


def test_a_whole_label_is_all_of_it():
    said = named(BAG, COAT, kinds=["label", "label"], scope_labels=[("Bag",), ()])
    assert said == ["all of Bag", "all of Coat"]


def test_labels_that_are_numbers_are_called_labels():
    digits = RANDOM.integers(0, 10, N)
    predictions = np.where((digits == 8) & (WIDTH > 10), 3, digits)
    wrong = (digits == 8) & (WIDTH > 10)
    assert named(wrong, labels=digits, predictions=predictions, columns=None) == [
        "label 8 taken for 3"
    ]
    (yes,) = named(SHIRT & (WIDTH > 15), labels=SHIRT, scope_labels=[(True,)])
    assert yes.startswith("label True, width ≥ 1")


def test_predictions_alone_are_said_as_a_column():
    predictions = np.where(WIDTH > 15, "Coat", "Bag")
    (name,) = named(WIDTH > 15, labels=None, predictions=predictions, columns=None)
    assert name == "predicted Coat"


# --- numbers --------------------------------------------------------------------------------------


def rated() -> dict[str, Any]:
    """Ratings of films: dramas that are predicted in the middle are rated far lower."""
    random = np.random.default_rng(1)
    genre = np.array(["Drama", "Comedy", "Action", "Horror", "unknown"])[random.integers(0, 5, N)]
    predictions = random.uniform(1.5, 4.5, N)
    targets = np.clip(predictions + random.normal(0, 0.4, N), 1, 5)
    low = (genre == "Drama") & (predictions > 3.1) & (predictions < 3.6)
    high = genre == "unknown"
    targets[low] -= 1.9
    targets[high] += 1.2
    users, items = random.integers(0, 90, N), random.integers(0, 200, N)
    columns = {"user": users, "item": items, "title": [f"Film {at}" for at in items]}
    return {
        "targets": targets,
        "predictions": predictions,
        "losses": (targets - predictions) ** 2,
        "columns": pd.DataFrame(columns | {"genre": genre}),
        "ids": IDS,
        "low": low,
        "high": high,
    }


def test_recommendations_are_named_by_genre_prediction_and_error():
    given = rated()
    low, high = np.flatnonzero(given.pop("low")), np.flatnonzero(given.pop("high"))
    said = name_groups([low, high], **given)
    assert said[0] == "genre Drama, predicted 3.1 to 3.6, too high by 1.9"
    assert said[1].endswith("too low by 1.2")
    assert not {"unknown", "user", "item", "title", "genre"} & set(said[1].split())


@pytest.mark.parametrize(
    ("error", "said"), [(12.0, "too low by 12"), (-12.0, "too high by 12"), (0.0, "")]
)
def test_the_sign_of_an_error_is_target_minus_prediction(error, said):
    random = np.random.default_rng(2)
    predictions = random.uniform(0, 100, N)
    targets = predictions + random.normal(0, 2, N)
    targets[:150] += error
    (name,) = name_groups([np.arange(150)], targets=targets, predictions=predictions, ids=IDS)
    assert name == (said or "like example img-00000")


def test_errors_to_both_sides_are_off():
    random = np.random.default_rng(3)
    predictions = random.uniform(0, 100, N)
    targets = predictions + random.normal(0, 2, N)
    targets[:150] += np.where(np.arange(150) % 2, 30, -30)
    (name,) = name_groups([np.arange(150)], targets=targets, predictions=predictions, ids=IDS)
    assert name == "off by 30"


def test_ranges_are_in_the_units_of_the_data():
    random = np.random.default_rng(4)
    predictions = random.uniform(0, 90, N)
    targets = predictions + random.normal(0, 2, N)
    members = (predictions > 30) & (predictions < 45)
    targets[members] += 12
    given = {"targets": targets, "predictions": predictions}
    (name,) = name_groups([np.flatnonzero(members)], **given)
    range_said, error = name.split(", ")
    first, last = range_said.removeprefix("predicted ").split(" to ")
    assert (float(first), float(last)) == pytest.approx(
        (30, 45), abs=4
    ) and error == "too low by 12"


def test_targets_alone_are_said():
    targets = np.random.default_rng(5).integers(1, 6, N)
    (name,) = name_groups([np.flatnonzero(targets == 1)], targets=targets)
    assert name == "target 1"


# --- texts ----------------------------------------------------------------------------------------

FILLER = [
    "i",
    "was",
    "there",
    "and",
    "it",
    "had",
    "the",
    "same",
    "old",
    "things",
    "that",
    "we",
    "saw",
    "before",
    "in",
    "our",
    "town",
]
TOPICS = [
    "voucher",
    "parcel",
    "sleeve",
    "colour",
    "window",
    "engine",
    "garden",
    "kitchen",
    "ticket",
    "market",
]


def written() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Texts of as many words each, their labels, and those about a refund."""
    random = np.random.default_rng(6)
    labels = np.where(random.random(N) < 0.5, "neg", "pos")
    refund = (labels == "neg") & (random.random(N) < 0.2)
    texts = [
        " ".join(
            [
                *random.choice(FILLER, 8),
                *random.choice(TOPICS, 3, replace=False),
                *(["Refund!"] if held else ["indeed"]),
            ]
        )
        for held in refund
    ]
    return np.array(texts, dtype=object), labels, refund


def test_a_word_is_the_name_where_a_word_made_it():
    texts, labels, refund = written()
    (name,) = name_groups([np.flatnonzero(refund)], texts=texts, labels=labels, ids=IDS)
    assert name == "neg, “refund”"
    (bare,) = name_groups([np.flatnonzero(refund)], texts=texts)
    assert bare == "“refund”"


def test_words_that_make_it_together_are_said_together():
    texts, labels, refund = written()
    rows = np.flatnonzero(refund)
    for at, row in enumerate(rows.tolist()):
        texts[row] = texts[row].replace("Refund!", ["voyage", "hotel", "airport"][at % 3])
    (name,) = name_groups([rows], texts=texts, labels=labels, ids=IDS)
    assert name.startswith("neg, “") and name.endswith("”") and name.count("“") == 3
    assert {"voyage", "hotel", "airport"} == {part.split("”")[0] for part in name.split("“")[1:]}


def test_words_of_a_script_without_blanks_are_found():
    texts, labels, refund = written()
    texts[refund] = ["私は東京に行きました" for _ in texts[refund]]
    texts[~refund] = ["私は京都に行きました" for _ in texts[~refund]]
    (name,) = name_groups([np.flatnonzero(refund)], texts=texts, labels=labels)
    assert name == "neg, “東京”"


def test_short_texts_are_called_so():
    texts, labels, _ = written()
    short = (labels == "pos") & (RANDOM.random(N) < 0.3)
    for row in np.flatnonzero(short):
        texts[row] = " ".join(texts[row].split()[:3])
    (name,) = name_groups([np.flatnonzero(short)], texts=texts, labels=labels)
    assert name.startswith("pos, text ≤ ") and name.endswith(" characters")


def test_a_group_that_nothing_describes_is_like_its_first_member():
    random = np.random.default_rng(7)
    texts, labels, _ = written()
    rows = random.choice(np.flatnonzero(labels == "pos"), 60, replace=False)
    (name,) = name_groups([rows], texts=texts, labels=labels, ids=IDS)
    assert name.startswith("pos like “") and name.endswith("…”") and len(name) < 60
    assert texts[rows[0]].startswith(name.removeprefix("pos like “").removesuffix("…”"))
    texts[rows[0]] = "  \n "
    (name,) = name_groups([rows], texts=texts, labels=labels, ids=IDS)
    assert name == f"pos like example {IDS[rows[0]]}"
    assert name_groups([rows]) == ["60 examples"]


# --- what says nothing is not said ----------------------------------------------------------------

HALF_WRONG = SHIRT & (RANDOM.random(N) < 0.5)
CONFUSED = answers((HALF_WRONG, "Coat"))
OLD = np.where(RANDOM.random(N) < 0.9, RANDOM.integers(19, 37, N), RANDOM.integers(37, 80, N))


@pytest.mark.parametrize(
    ("shares", "columns", "said"),
    [
        # share of the wrong and of the right shirts that are "winter"
        ((0.9, 0.2), None, "Shirt taken for Coat, season winter"),
        ((0.7, 0.2), None, "Shirt taken for Coat, mostly season winter"),
        ((0.4, 0.2), None, "Shirt taken for Coat, often season winter"),  # three in ten suffice
        ((0.25, 0.2), None, "Shirt taken for Coat, nothing else in common"),
        ((0.8, 0.74), None, "Shirt taken for Coat, nothing else in common"),
        ((0.9, 0.68), None, "Shirt taken for Coat, nothing else in common"),  # no half more
        (None, {"age": OLD}, "Shirt taken for Coat, nothing else in common"),  # nearly everybody's
        (None, {}, "Shirt taken for Coat"),  # nowhere to look
    ],
)
def test_a_cell_of_the_confusion_matrix_says_what_sets_it_apart_or_that_nothing_does(
    shares, columns, said
):
    if shares is not None:
        random = np.random.default_rng(8)
        season = np.where(random.random(N) < 0.3, "winter", "summer")
        for group, share in zip((HALF_WRONG, SHIRT & ~HALF_WRONG), shares, strict=True):
            rows = np.flatnonzero(group)
            season[rows] = np.where(np.arange(len(rows)) < share * len(rows), "winter", "summer")
        columns = {"season": season}
    (name,) = named(HALF_WRONG, predictions=CONFUSED, columns=pd.DataFrame(columns, range(N)))
    assert name == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (19, 27, "age ≤ 26"),
        (19, 33, "mostly age ≤ 2"),
        (19, 37, "like example"),
        (60, 80, "age ≥ 6"),
    ],
)
def test_a_range_of_most_examples_is_no_property(low, high, said):
    members = np.flatnonzero((low <= OLD) & (high > OLD))[:120]
    columns = pd.DataFrame({"age": OLD})
    (name,) = name_groups([members], columns=columns, ids=IDS)
    assert name.startswith(said)
