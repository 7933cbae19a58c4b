"""What the compression demo shows, as the tables that ``assets/demo/README.md`` quotes.

Run: ``python -m tests.benchmarks.compression_findings [bundle]``. Without one: the shipped demo.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backend.bundle import Bundle, read_bundle
from backend.core.statistics import adjust_p
from backend.demo import demo_path
from backend.populations import (
    class_change,
    deviation_pca,
    disagreement,
    pie_accuracy,
    pie_representation,
    sampling_sd,
    select_pies,
    stress_report,
    taxicab,
)
from backend.populations.stress.report import rank_correlation

LEVEL = 0.05
SPLITS = 50


def others(bundle: Bundle) -> list[str]:
    return [name for name in bundle.populations if name != "baseline"]


def pies(bundle: Bundle) -> pd.DataFrame:
    """PIEs per population, and the accuracy of both sides on them and elsewhere."""
    baseline, labels = bundle.populations["baseline"], bundle.labels
    rows = []
    for name in others(bundle):
        compressed = bundle.populations[name]
        found = select_pies(baseline, compressed, labels)
        table = pie_accuracy(baseline, compressed, labels, found.mask)
        accuracy = table.set_index(["population", "subset"])["accuracy"]
        own = (compressed == labels).mean(1)
        rows.append(
            {
                "population": name,
                "models": len(compressed),
                "top-1": own.mean(),
                "low": own.min(),
                "high": own.max(),
                "PIEs": found.n_pies,
                "tied": found.n_tied,
                "baseline on PIE": accuracy["baseline", "pie"],
                "compressed on PIE": accuracy["compressed", "pie"],
                "baseline elsewhere": accuracy["baseline", "non-pie"],
                "compressed elsewhere": accuracy["compressed", "non-pie"],
                "mean taxicab": taxicab(baseline, compressed).mean(),
            }
        )
    return pd.DataFrame(rows)


def chance(bundle: Bundle) -> pd.DataFrame:
    """PIEs between half the baseline and half of a population, and between halves of the baseline.

    The last is what seeds alone make of it; means over random halves.
    """
    baseline = bundle.populations["baseline"]
    half = len(baseline) // 2
    random = np.random.default_rng(0)
    counts: dict[str, list[int]] = {"baseline": [], **{name: [] for name in others(bundle)}}
    for _ in range(SPLITS):
        order = random.permutation(len(baseline))
        own, rest = baseline[order[:half]], baseline[order[half : 2 * half]]
        counts["baseline"].append(select_pies(own, rest).n_pies)
        for name in others(bundle):
            drawn = random.permutation(len(bundle.populations[name]))[:half]
            counts[name].append(select_pies(own, bundle.populations[name][drawn]).n_pies)
    return pd.DataFrame(
        {"against half the baseline": name, "PIEs": np.mean(found), "sd": np.std(found, ddof=1)}
        for name, found in counts.items()
    )


def classes(bundle: Bundle) -> pd.DataFrame:
    """Classes whose recall changed otherwise than the average."""
    names = np.array(bundle.class_names)
    tables = []
    for name in others(bundle):
        table = class_change(
            bundle.populations["baseline"], bundle.populations[name], bundle.labels
        )
        table["label"] = names[table["label"].to_numpy(dtype=int)]
        tables.append(table.assign(population=name))
    whole = pd.concat(tables)
    kept = ["population", "label", "baseline_recall", "compressed_recall", "normalized_change", "p",
            "p_adjusted"]  # fmt: skip
    return whole.loc[whole["p_adjusted"] < LEVEL, kept]


def represented(bundle: Bundle) -> pd.DataFrame:
    """Attribute levels and classes that PIEs hold more, or fewer, of."""
    names = np.array(bundle.class_names)
    columns = {name: bundle.examples[name] for name in bundle.attributes if "_level" in name}
    columns["label"] = names[bundle.labels]
    tables = []
    for name in others(bundle):
        mask = select_pies(bundle.populations["baseline"], bundle.populations[name]).mask
        tables.append(pie_representation(mask, columns).assign(population=name))
    whole = pd.concat(tables)
    kept = ["population", "attribute", "value", "n", "n_pie", "ratio", "p_adjusted"]
    return whole.loc[whole["p_adjusted"] < LEVEL, kept].sort_values(
        ["population", "ratio"], ascending=[True, False]
    )


def within(bundle: Bundle) -> pd.DataFrame:
    """Attribute levels that PIEs hold more, or fewer, of inside one class; p adjusted over all."""
    names = np.array(bundle.class_names)[bundle.labels]
    columns = {name: bundle.examples[name] for name in bundle.attributes if "_level" in name}
    tables = []
    for name in others(bundle):
        mask = select_pies(bundle.populations["baseline"], bundle.populations[name]).mask
        for label in bundle.class_names or ():
            own = names == label
            held = {column: values[own] for column, values in columns.items()}
            table = pie_representation(mask[own], held)
            tables.append(table.assign(population=name, label=label))
    whole = pd.concat(tables)
    tested = whole[whole["p"].notna()]
    tested = tested.assign(p_adjusted=adjust_p(tested["p"]))
    kept = ["population", "label", "attribute", "value", "n", "n_pie", "ratio", "p_adjusted"]
    return tested.loc[tested["p_adjusted"] < LEVEL, kept]


def metrics(bundle: Bundle, population: str) -> pd.DataFrame:
    """Accuracy of each network of a population on each test; networks in order."""
    table = pd.DataFrame(bundle.stress)
    own = table[table["population"] == population]
    return own.pivot(index="model", columns="test", values="accuracy")[own["test"].unique()]


def stress(bundle: Bundle) -> pd.DataFrame:
    """Spread over seeds on every test, and whether held-out accuracy tells."""
    tables = []
    for name in bundle.populations:
        wide = metrics(bundle, name)
        report = stress_report(wide["iid"], wide.drop(columns="iid"))
        spread = report.spread.merge(report.predictability, on="metric", how="left")
        spread["sampling_sd"] = sampling_sd(spread["mean"], bundle.n)
        tables.append(spread.assign(population=name))
    kept = ["population", "metric", "mean", "low", "high", "sd", "sampling_sd", "ratio", "regret",
            "spearman", "spearman_low", "spearman_high"]  # fmt: skip
    return pd.concat(tables)[kept]


def components(bundle: Bundle) -> pd.DataFrame:
    """What the first ways are in which baseline networks differ under lower contrast."""
    found = deviation_pca(bundle.extras["stress_scores"])
    columns: dict[str, NDArray[Any]] = {
        name: bundle.examples[name].to_numpy() for name in ("width", "brightness", "texture")
    }
    accuracy = metrics(bundle, "baseline")["contrast"].to_numpy()
    return pd.DataFrame(
        {
            "component": place + 1,
            "explained": found.explained[place],
            "rank correlation of model score and contrast accuracy": rank_correlation(
                found.model_scores[:, place], accuracy
            ),
            **{name: rank_correlation(found.loadings[place], x) for name, x in columns.items()},
        }
        for place in range(3)
    )


def main(path: str | None) -> None:
    bundle = read_bundle(path or demo_path("compression"))
    baseline = bundle.populations["baseline"]
    top = (baseline == bundle.labels).mean(1)
    sys.stdout.write(
        f"{bundle.n:,} images; {len(baseline)} baseline networks: top-1 {top.mean():.4f} "
        f"({top.min():.4f} to {top.max():.4f}), they disagree on {disagreement(baseline):.3f} "
        "of the images, pair by pair\n"
    )
    for table in (pies, chance, classes, represented, within, stress, components):
        told = (table.__doc__ or "").partition("\n")[0]
        with pd.option_context("display.width", 200, "display.max_columns", 30):
            shown = table(bundle).to_string(index=False, float_format=lambda x: f"{x:.4g}")
        sys.stdout.write(f"\n{told}\n{shown}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
