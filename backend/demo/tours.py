"""Four steps through each demo: where to look, and what is to be seen there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TourStep:
    """One step of a tour.

    Attributes
    ----------
    page : str
        The page it is about, by the name of its file: ``"spotlights"``.
    text : str
        What to look at there.
    shows : dict of {parameter: value}
        What its address says beside the bundle, such as the open tab.
    """

    page: str
    text: str
    shows: Mapping[str, str] = field(default_factory=dict)


FASHION = (
    TourStep(
        "spotlights",
        "Every point is a photograph of clothes that was held out. The list names what fails together; each "
        "number beside a name is about photographs that had no part in finding it.",
    ),
    TourStep(
        "spotlights",
        "Is it real? Each candidate with the interval of its loss on photographs kept aside, and how often "
        "chance looks as good. Shirts fail as a whole.",
        {"view": "Is it real?"},
    ),
    TourStep(
        "hardest",
        "The photographs of highest loss. Open one: is the label wrong, or is the shirt a coat?",
    ),
    TourStep(
        "training_data",
        "What the network was trained on, by number and label, since the bundle has no pictures of it: which "
        "training examples harm the worst group most, and does the ranking repeat?",
    ),
)
COMPRESSION = (
    TourStep(
        "compression",
        "Forty networks on the same clothes: dense, pruned and rounded. How many answers change, and how "
        "many change between two halves of the dense ones already?",
    ),
    TourStep(
        "compression",
        "Who pays for it, class by class, with intervals. Choose another way of compression above: pruned by 90\u00a0%, "
        "shirts lose most.",
        {"part": "Classes", "intervention": "pruned-90"},
    ),
    TourStep(
        "stress",
        "Ten dense networks that differ by their seed alone, on six tests: does the one that is best on "
        "held-out clothes stay the best?",
    ),
    TourStep("hardest", "The images of highest loss. Is it the label, or the picture?"),
)
ADULT = (
    TourStep(
        "subgroups",
        "People who were held out, by gender and race: error with intervals, small groups marked. Choose "
        "another rate: which group is served worst depends on it.",
    ),
    TourStep(
        "subgroups",
        "The worst group, chosen on one half and measured on the other, beside the balanced accuracy.",
        {"audit_part": "Worst group"},
    ),
    TourStep(
        "compression", "The same answers of pruned and rounded networks: who pays for compression?"
    ),
    TourStep(
        "spotlights",
        "Regions found without knowing gender or race. What do their people share?",
        {"view": "Columns"},
    ),
)
MARKED = (
    TourStep(
        "spotlights",
        "In training nearly all coats carried a mark in the corner; here half of everything does. Regions "
        "that fail together: does a name speak of the mark?",
    ),
    TourStep(
        "subgroups",
        "Accuracy of each class within mark and width, lowest first: coats without the mark are missed, shirts "
        "and pullovers with it become coats.",
        {"audit_part": "Worst group"},
    ),
    TourStep(
        "training_data",
        "The training images that taught it, by class and mark, the most harmful first: coats with the mark, then "
        "pullovers without. Examples shows them one by one, Removal what leaving them out takes.",
        {"about": "groups", "training_part": "Subpopulations", "split": "mark"},
    ),
    TourStep(
        "repair",
        "What would a refitted last layer buy for a group that fails, and who would pay? Coats without the "
        "mark are a rule: label = Coat and mark = without.",
    ),
)
REVIEWS = (
    TourStep(
        "spotlights",
        "Every point is a review that was held out. The list names groups on which the network fails "
        "together; the numbers beside a name come from reviews that had no part in finding it.",
    ),
    TourStep(
        "spotlights",
        "The words of all groups side by side, ten of each, as the paper prints them: what do these "
        "reviews say more often than others? Grey words may be chance.",
        {"view": "Words", "words": "All groups"},
    ),
    TourStep(
        "hardest",
        "The reviews of highest loss, under Members. Read a few: some contradict their own verdict, and stars of 3 "
        "go both ways. Such labels no network can get right.",
        {"view": "Members"},
    ),
    TourStep(
        "subgroups",
        "Error by department and kind of garment, with intervals. Choose stars and age as attributes: the "
        "network never saw the stars, and reviews of three and four are where it pays for that; ages hardly "
        "differ.",
    ),
)
FILMS = (
    TourStep(
        "spotlights",
        "Ratings that were held out, placed by the last hidden layer of the recommender. Squared error "
        "is the loss; whether a group is real, or as a search of shuffled losses finds it, is said below its name.",
    ),
    TourStep(
        "spotlights",
        "The members as the paper's table: prediction, rating, loss, film and genre, the average of the "
        "film and of the user with the number of ratings behind each, never counting the row itself.",
        {"view": "Table"},
    ),
    TourStep(
        "spotlights",
        "Which columns set a group apart: genre, year, gender, age and occupation of who rated.",
        {"view": "Columns"},
    ),
    TourStep(
        "hardest",
        "The worst predictions, under Table: mostly a loved film rated 1. The averages show why it was expected "
        "otherwise.",
        {"view": "Table"},
    ),
)
HOUSES = (
    TourStep(
        "spotlights",
        "Blocks of houses that were held out. The loss is a squared error, in units of 100,000 dollars "
        "squared; regions are named by what their blocks share.",
    ),
    TourStep(
        "spotlights",
        "Members with target and prediction as numbers. A target of 5 is cut off: the census counted no "
        "house above 500,000 dollars.",
        {"view": "Table"},
    ),
    TourStep(
        "spotlights",
        "Does a region survive on blocks that nobody searched? Intervals and p-values of each candidate.",
        {"view": "Is it real?"},
    ),
    TourStep(
        "hardest",
        "The largest errors, under Columns: how many of them are blocks whose value is cut off? Accuracy there is not "
        "for the network to gain.",
        {"view": "Columns"},
    ),
)
EMOJI = (
    TourStep(
        "subgroups",
        "Trained on yellow drawings, asked the same emoji in five skin tones: error by tone and style, "
        "with intervals and small groups marked.",
    ),
    TourStep(
        "subgroups",
        "Counterfactual pairs: two tones of one emoji differ in colour and nothing else. How often does "
        "the answer change with the tone?",
        {"audit_part": "Pairs"},
    ),
    TourStep(
        "spotlights",
        "Regions found without knowing the tones. Does a name speak of a tone all the same?",
    ),
    TourStep(
        "training_data",
        "The yellow drawings it was trained on, and which of them pull most towards a wrong answer.",
    ),
)
FLIPPED = (
    TourStep(
        "hardest",
        "A fifth of these labels are wrong, and the network was trained on them. Highest loss first: how "
        "many of the first tiles are called what they are?",
    ),
    TourStep(
        "hardest",
        "Confidence over training of labels that are flipped and of the others. Below it, how well low "
        "confidence finds the flipped ones, epoch by epoch, beside their prevalence.",
        {"part_of_hardest": "Two long tails", "tails_truth": "given label"},
    ),
    TourStep(
        "hardest",
        "Errors by tenth of the score. Take VoG as the score: the gradient of a wrong label's logit "
        "varies less, so high VoG does not find wrong labels here.",
        {"part_of_hardest": "Errors by score", "score": "vog"},
    ),
    TourStep(
        "spotlights",
        "Regions of this bundle gather wrong labels of one class. What is wrong with the data looks like "
        "a failure of the model: the column given label tells them apart.",
        {"view": "Columns"},
    ),
)
