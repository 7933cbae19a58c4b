"""What the map says of itself below it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

SAID = (
    "UMAP of the first 50 principal components (95% of the variance): neighbours are kept, "
    "distances between clusters mean little. 10,000 of 1,000,000 examples, drawn in proportion to "
    "their losses, were laid out; each of the others was placed by its nearest among them."
)


def test_the_note_of_a_sampled_map_is_not_cut() -> None:
    def page(note: str) -> None:
        from pages.components.map import mapview

        mapview._notes({"note": note}, None)

    at = AppTest.from_function(page, args=(SAID,)).run(timeout=30)
    assert not at.exception
    (caption,) = at.caption
    assert caption.value.replace("\\", "") == SAID


def test_the_note_says_how_many_lie_outside_and_how_to_see_them() -> None:
    def page() -> None:
        from pages.components.map import mapview

        mapview._notes({"note": "PCA."}, None, outside=2, cut=True, n=5000)

    at = AppTest.from_function(page).run(timeout=30)
    assert not at.exception
    assert "2 of 5,000 examples lie far outside, drawn at the edge" in at.caption[0].value
    assert [one.label for one in at.toggle] == ["Whole range", "Hide filtered"]
