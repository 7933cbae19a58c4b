"""Which scores of difficulty a bundle can give, what each is called, and what the others need."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.bundle import Bundle
from backend.difficulty import stage_windows

VOG, VOG_RAW = "vog", "vog raw"
CONFIDENCE = "confidence over training, "
DISAGREEMENT, TAXICAB, PIE = "disagreement of ", "taxicab of ", "pie of "
"""What the names of scores begin with; a variant or a population follows."""

VOG_SOURCE = "Agarwal, D'souza, Hooker 2022, arXiv:2008.11600"
TAILS_SOURCE = "D'souza, Nussbaum, Agarwal, Hooker 2021, arXiv:2107.13098"
MODELS_SOURCE = "D'Amour et al. 2020, arXiv:2011.03395"
PIE_SOURCE = "Hooker et al. 2020, arXiv:2010.03058"

_VOG_MEANS = (
    "Variance of gradients: how much the gradient of the label's logit with respect to the input "
    "varies over checkpoints, in standard deviations from the mean of its class"
)


@dataclass(frozen=True)
class Score:
    """One number per example of a bundle.

    Attributes
    ----------
    name : str
        What rules, tables and the map call it.
    title : str
        What a list of scores says.
    means : str
        One sentence: what it is, and where it comes from.
    hard : {"high", "low"}
        Which end is hard.
    by_label : bool
        Whether it compares an answer of the model with the label: what is wrong is then hard by
        construction, and errors that grow with it show nothing.
    key : str
        What it is worked out by, where an attribute of the bundle has taken the name; else "".
    """

    name: str
    title: str
    means: str
    hard: str = "high"
    by_label: bool = False
    key: str = ""

    @property
    def sign(self) -> int:
        """1 where high is hard, -1 where low is: times the value, higher is harder."""
        return 1 if self.hard == "high" else -1


LOSS = Score(
    "loss",
    "Loss",
    "The loss of each example. The hardest by loss are what regions are compared with (d'Eon et al. "
    "2021, section 3).",
    by_label=True,
)


def known_scores(bundle: Bundle) -> dict[str, Score]:
    """The scores that a bundle can give, by name, the loss first.

    An attribute of the same name keeps it: the score is then called ``vog (score)``.
    """
    scores = [LOSS, *_vog(bundle), *_confidence(bundle), *_populations(bundle)]
    named = (_renamed(one, bundle) for one in scores)
    return {one.name: one for one in named}


def missing_scores(bundle: Bundle) -> list[tuple[str, str]]:
    """The scores that a bundle cannot give, each with the field it needs."""
    found = []
    if "gradients" not in bundle.extras:
        if "vog" not in bundle.extras:
            found.append(("VoG", "vog (n,), or gradients (checkpoints, n, …)"))
        found.append(("VoG, early, middle and late", "gradients (checkpoints, n, …)"))
    elif not stage_windows(len(bundle.extras["gradients"])):
        found.append(("VoG, early, middle and late", "gradients of 4 checkpoints or more"))
    if not bundle.msp:
        found.append(
            (
                "Confidence over training",
                "msp/<variant> (n, epochs), where these examples were trained on",
            )
        )
    if not any(len(models) > 1 for models in bundle.populations.values()):
        found.append(("Disagreement of a population", "populations/<name> (models, n)"))
    if not compared(bundle):
        found.append(("PIE and taxicab", "populations/baseline and another one, (models, n)"))
    return found


def behind_score(name: str) -> str | None:
    """The column that a score goes by, as the rules for circular claims see it.

    ``loss`` for confidence in the label, ``prediction`` for what compares answers of models; None
    for a score that looks at neither, and for what is no score.
    """
    if name == LOSS.name or name.startswith(CONFIDENCE):
        return "loss"
    if name.startswith((DISAGREEMENT, TAXICAB, PIE)):
        return "prediction"
    return None


def baseline_of(bundle: Bundle) -> str:
    """The population that others are compared with: the one called baseline, else the first."""
    held = {name.lower(): name for name in reversed(list(bundle.populations))}
    return held.get("baseline", next(iter(bundle.populations)))


def compared(bundle: Bundle) -> list[str]:
    """The populations that are compared with the baseline."""
    if not bundle.populations:
        return []
    return [name for name in bundle.populations if name != baseline_of(bundle)]


def _vog(bundle: Bundle) -> list[Score]:
    found = []
    if "vog" in bundle.extras or "gradients" in bundle.extras:
        found.append(Score(VOG, "VoG", f"{_VOG_MEANS} ({VOG_SOURCE})."))
        found.append(
            Score(
                VOG_RAW,
                "VoG, not normalized",
                f"Variance of gradients as it is, not within classes ({VOG_SOURCE}).",
            )
        )
    if "gradients" in bundle.extras:
        checkpoints = len(bundle.extras["gradients"])
        for stage, window in stage_windows(checkpoints).items():
            span = f"checkpoints {window.start + 1} to {window.stop} of {checkpoints}"
            found.append(
                Score(
                    f"{VOG} {stage}", f"VoG, {stage}", f"{_VOG_MEANS}; {span} alone ({VOG_SOURCE})."
                )
            )
    return found


def _confidence(bundle: Bundle) -> list[Score]:
    return [
        Score(
            CONFIDENCE + variant,
            f"Confidence over training, {variant}",
            "Probability that training gave to the label, mean over epochs: only meant where these "
            f"very examples were trained on ({TAILS_SOURCE}).",
            hard="low",
            by_label=True,
        )
        for variant in bundle.msp
    ]


def _populations(bundle: Bundle) -> list[Score]:
    found = [
        Score(
            DISAGREEMENT + name,
            f"Disagreement of {name}",
            f"Share of the pairs of models of {name} that answer the example differently "
            f"({MODELS_SOURCE}). The label plays no part.",
        )
        for name, models in bundle.populations.items()
        if len(models) > 1
    ]
    for name in compared(bundle):
        found.append(
            Score(
                TAXICAB + name,
                f"PIE: taxicab, {name}",
                f"How differently {baseline_of(bundle)} and {name} answer, from 0 to 2: the summed "
                "differences of the shares of models per class. A PIE is an example on which their "
                f"most frequent answers differ ({PIE_SOURCE}). The label plays no part.",
            )
        )
    return found


def _renamed(score: Score, bundle: Bundle) -> Score:
    if score is LOSS or score.name not in bundle.attributes:
        return score
    return replace(score, name=f"{score.name} (score)", key=score.name)
