"""Commands and their options; errors become one sentence and exit status 2."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from backend.cli.collecting import add_options as collect_options
from backend.cli.demo import add_options as demo_options
from backend.cli.report import Report, printable, whoami
from backend.cli.retraining import add_options as retrain_options
from backend.core.errors import BackendError, BundleError

BUNDLE_HELP = (
    "a file or folder, or an imported bundle by its name or the first digits of its digest"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 when it worked; 2 when the input was refused (the reason is on the error stream, and with
        ``--json`` on the output as well); 130 when it was interrupted.
    """
    options = _parse(arguments)
    try:
        report = _command(options.run)(options)
    except (BackendError, OSError) as error:
        # Of processes that work together, only the first prints what programs read.
        return _refuse(error, as_json=options.json and os.environ.get("RANK", "0") == "0")
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 130
    if report is None:  # one of several processes, of which another reports
        return 0
    said = json.dumps(report.data, ensure_ascii=False) if options.json else printable(report.text)
    return _say(said)


def _command(place: str) -> Callable[[argparse.Namespace], Report | None]:
    """A command by ``module:function``, imported when it is the one that runs."""
    module, _, function = place.partition(":")
    found: Callable[[argparse.Namespace], Report | None] = getattr(import_module(module), function)
    return found


def _say(text: str) -> int:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: python -m backend list | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(error: Exception, *, as_json: bool) -> int:
    data: dict[str, object] = {"ok": False, "error": str(error), "faults": []}
    text = f"error: {error}"
    if isinstance(error, BundleError):
        data["faults"] = [fault.to_dict() for fault in error.faults]
        told = [str(fault).removeprefix(": ") for fault in error.faults]
        text = f"error: {told[0]}" if len(told) == 1 else f"error: {len(told)} faults"
        text += "".join(f"\n  {one}" for one in told if len(told) > 1)
    if as_json:
        _say(json.dumps(data, ensure_ascii=False))
    sys.stderr.write(f"{printable(text)}\n")
    return 2


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m backend",
        description="Errorscope without a browser: where does a model fail together?",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: str, told: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=told, description=told)
        command.set_defaults(run=f"backend.cli.{run}")
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        if name != "demo":
            command.add_argument(
                "--home", help="folder of imported bundles and tags (default: ERRORSCOPE_HOME)"
            )
        return command

    def add_map(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--map",
            action="append",
            nargs="+",
            metavar="FIELD=COLUMN",
            help="a field under another name, for instance --map losses=ce embeddings=features; "
            "'--map probabilities=' where nothing in the file is that field, and '--map codes=names' or "
            "'codes=positions' where class codes can be read both ways",
        )

    _check(add, add_map)
    _fit(add, add_map)
    _export(add)
    _findings(add)
    options = parser.parse_args(arguments)
    if getattr(options, "map", None):
        options.map = [pair for group in options.map for pair in group]
    _check_combination(parser, options)
    return options


Adder = Callable[[str, str, str], argparse.ArgumentParser]
Mapper = Callable[[argparse.ArgumentParser], None]


def _chapters(report: argparse.ArgumentParser) -> None:
    """What a report tells beyond regions, as the pages Training data, Repair and Before and after."""
    told = report.add_argument_group("chapters", "what the report tells beyond regions")
    told.add_argument("--cause", metavar="RULE", help="training examples behind what a rule means")
    told.add_argument(
        "--words", action="store_true", help="words and columns that failures have more often"
    )
    told.add_argument(
        "--contexts",
        nargs="+",
        metavar="LIST",
        help="contexts of failures by an image-text model, from lists of the page: backgrounds, colours ...",
    )
    told.add_argument("--repair", metavar="RULE", help="what a repair of these examples would buy")
    told.add_argument(
        "--strength",
        type=float,
        default=0.5,
        help="how much of their mean loss is added (default: 0.5)",
    )
    told.add_argument("--before", metavar="BUNDLE", help="what changed since this older run")


def _layer(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--layer",
        default="",
        metavar="NAME",
        help="whose embeddings: a layer of the bundle (default: the ones called embeddings)",
    )


def _check(add: Adder, add_map: Mapper) -> None:
    collect_options(
        add(
            "collect",
            "collecting:collect",
            "Collect a bundle from a model and a loader of yours, batch by batch.",
        )
    )
    check = add("check", "bundles:check", "Say what a bundle holds, or list every fault in it.")
    check.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    add_map(check)

    keep = add("import", "bundles:import_one", "Check a bundle and keep it in the home folder.")
    keep.add_argument("bundle", metavar="BUNDLE", help="a file or folder")
    keep.add_argument("--name", help="what to call it (default: the file's name)")
    keep.add_argument(
        "--tags-from",
        metavar="BUNDLE",
        help="carry the tags of this imported bundle, by name or digest, over to the same ids",
    )
    keep.add_argument(
        "--author", default=whoami(), help="who carries them (default: your user name)"
    )
    add_map(keep)

    call = add("rename", "bundles:rename", "Call an imported bundle by another name.")
    call.add_argument(
        "bundle", metavar="BUNDLE", help="its name, or the first digits of its digest"
    )
    call.add_argument("name", metavar="NAME", help="what to call it")

    add("list", "bundles:list_all", "List the imported bundles, newest first.")

    link = add("link", "runs:link", "Link a bundle to an older run on the same examples.")
    link.add_argument("bundle", metavar="BUNDLE", help="the newer run, by name or digest")
    link.add_argument(
        "older", metavar="OLDER", nargs="?", help="the older one (default: list the links)"
    )
    link.add_argument("--unchanged", action="store_true", help="nothing but the seed differs")
    link.add_argument("--undo", action="store_true", help="take the link back")
    link.add_argument("--author", default=whoami(), help="who says so (default: your user name)")

    people = add("sign-ins", "people:sign_ins", "List who signed in, or end somebody's sign-ins.")
    people.add_argument(
        "--end", metavar="PERSON", help="end all sign-ins of this person, by name or key"
    )

    log = add("log", "people:log", "Say who did what, the latest first, or write it all as CSV.")
    log.add_argument(
        "bundle",
        metavar="BUNDLE",
        nargs="?",
        help="of one bundle, by name or digest (default: all)",
    )
    log.add_argument("--person", metavar="PERSON", help="of one person, by name or key")
    log.add_argument("--kind", help="of one kind, for instance tag, sharing, exported or sign_in")
    log.add_argument("--search", default="", metavar="WORDS", help="lines that have these words")
    log.add_argument(
        "--out", metavar="FILE.csv", help="write all of them there (default: print 50)"
    )

    erase = add(
        "erase", "people:erase", "Replace a person's name and key by a pseudonym; events stay."
    )
    erase.add_argument("person", metavar="PERSON", help="by key, or by name as it was typed")
    erase.add_argument("--mail", default="", help="the address that bundles were shared with")
    erase.add_argument(
        "--also-text",
        action="store_true",
        help="replace the name in tags, notes, names and sentences, too; else it is said where it stands",
    )
    erase.add_argument(
        "--spelling",
        action="append",
        default=[],
        metavar="WORDS",
        help="another way to write the name in texts; may be given several times",
    )

    move = add(
        "move-database",
        "people:move",
        "Move tags, sharing and sign-ins to an empty database, such as PostgreSQL.",
    )
    move.add_argument("--to", required=True, metavar="URL", help="where to; it must be empty")
    move.add_argument(
        "--from",
        dest="origin",
        metavar="URL",
        help="where they are (default: ERRORSCOPE_DATABASE, else the file in the home folder)",
    )

    demo_options(add("demo", "demo:demo", "Say where a demo bundle is, copy it, or train it anew."))


def _fit(add: Adder, add_map: Mapper) -> None:
    fit = add("fit", "regions:fit", "Find regions where the losses are high together.")
    fit.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    fit.add_argument("--out", required=True, metavar="FILE.npz", help="where to write them")
    fit.add_argument(
        "--size",
        type=float,
        help="share of the examples below 1, else their number (default: 0.02 with pictures, else 0.05)",
    )
    fit.add_argument("--spotlights", type=int, default=5, help="how many regions (default: 5)")
    fit.add_argument("--solver", choices=("fast", "adam"), default="fast")
    fit.add_argument("--kernel", choices=("gaussian", "squared_distance"), default="gaussian")
    fit.add_argument("--precision", choices=("spherical", "diagonal", "full"), default="spherical")
    fit.add_argument("--flip", action="store_true", help="where the model does best instead")
    fit.add_argument(
        "--barrier-scale",
        type=float,
        metavar="A",
        help="with --solver adam: penalty at the smallest size, in loss units (default: 1)",
    )
    fit.add_argument(
        "--counts", metavar="COLUMN", help="how often each example counts: a column of numbers"
    )
    fit.add_argument(
        "--mode",
        choices=("successive", "distinct"),
        default="successive",
        help="take each region's losses away before the next, or keep the optima of one search",
    )
    fit.add_argument(
        "--prepare",
        choices=("none", "standardise", "pca", "projection"),
        default="none",
        help="what to do with the embeddings before the search (default: none)",
    )
    fit.add_argument("--components", type=int, help="dimensions that pca and projection leave")
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    fit.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="under torchrun: how long to wait for another process (default: 300)",
    )
    _layer(fit)
    add_map(fit)

    regions = add(
        "regions",
        "failures:regions",
        "List the regions that the page lists, each measured on examples that did not find it.",
    )
    regions.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    regions.add_argument("--out", metavar="FILE.npz", help="where to write them (default: nowhere)")
    regions.add_argument(
        "--regions",
        type=int,
        default=5,
        help="the first so many, after labels that fail as a whole (default: 5)",
    )
    regions.add_argument(
        "--size",
        type=float,
        metavar="SHARE",
        help="regions of this share of all examples only, as in 0.02 (default: .5, 1, 2 and 5\u00a0%%)",
    )
    regions.add_argument(
        "--views",
        choices=("all", "embedding", "beside_answer"),
        default="all",
        help="look at the embeddings in every way, as they are, or without the directions of the "
        "model's outputs (default: all)",
    )
    regions.add_argument(
        "--groups", metavar="COLUMN", help="examples of one value stay in one part of the data"
    )
    regions.add_argument(
        "--known",
        metavar="FILE",
        help="search on after setting regions aside: 'store' for those set aside on the page, a file "
        "that 'fit --out' or 'regions --out' wrote, or a .json with a list of lists of ids",
    )
    regions.add_argument("--seed", type=int, default=0)
    regions.add_argument(
        "--device",
        default="auto",
        help="where to search, if it was not done yet: auto, cpu, cuda ... (default: auto)",
    )
    _layer(regions)
    add_map(regions)

    sharpen = add(
        "sharpen",
        "sharpening:sharpen",
        "Rank all examples by answers whether they belong to a group, and say whom to ask next.",
    )
    sharpen.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    start = sharpen.add_mutually_exclusive_group(required=True)
    start.add_argument("--region", type=int, metavar="K", help="start from this region of the list")
    start.add_argument("--tag", help="start from the examples that carry this tag")
    sharpen.add_argument(
        "--answers",
        metavar="FILE.csv",
        help="columns id and answer (yes, no, skip), perhaps author and chance; lines without an "
        "answer count for nothing, so the file that --out wrote can be filled in",
    )
    sharpen.add_argument("--out", required=True, metavar="FILE.csv", help="all examples, ranked")
    _layer(sharpen)

    attribute = add(
        "attribute",
        "training:attribute",
        "Say which training examples help and harm a group, and list what to remove.",
    )
    attribute.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    about = attribute.add_mutually_exclusive_group()
    about.add_argument("--rule", help="the examples that this rule means, such as 'label = Coat'")
    about.add_argument("--tag", help="the examples that carry this tag")
    about.add_argument(
        "--columns",
        nargs="*",
        metavar="COLUMN",
        help="all groups of label and these columns, those with a high loss counting most (D3M)",
    )
    about.add_argument(
        "--pseudo",
        action="store_true",
        help="two groups in each class, made of the scores (Auto-D3M)",
    )
    attribute.add_argument(
        "--method",
        choices=("auto", "scores", "influence", "trak"),
        default="auto",
        help="how scores are made",
    )
    attribute.add_argument(
        "--remove",
        metavar="K",
        help="with --out: leave out the K most harmful, or 'harmful' for all with a score below 0 "
        "(default)",
    )
    attribute.add_argument(
        "--out", metavar="FOLDER", help="write remove.csv, keep.csv and manifest.json there"
    )
    attribute.add_argument(
        "--replay", metavar="MANIFEST", help="with --out: write the lists of this manifest again"
    )

    retrain_options(
        add(
            "retrain",
            "retraining:retrain",
            "Train a small network anew by a dozen recipes, and say what each buys the worst group.",
        )
    )

    describe = add(
        "describe",
        "regions:describe",
        "Say what a group shares: the largest losses, the examples with a tag, or a region.",
    )
    describe.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    group = describe.add_mutually_exclusive_group()
    group.add_argument("--tag", help="the examples that carry this tag")
    group.add_argument(
        "--regions", metavar="FILE.npz", help="a file that 'fit --out' or 'regions --out' wrote"
    )
    describe.add_argument("--region", type=int, help="which of them, from 1 (default: 1)")
    describe.add_argument(
        "--quantile",
        type=float,
        default=0.98,
        help="without a tag or region: losses above this quantile (default: 0.98)",
    )
    describe.add_argument("--top", type=int, default=10, help="rows per table (default: 10)")
    add_map(describe)


def _export(add: Adder) -> None:
    export = add("export", "exporting:export", "Write the tagged examples as CSV.")
    export.add_argument("bundle", metavar="BUNDLE", nargs="?", help=BUNDLE_HELP)
    export.add_argument("--tag", action="append", help="a tag to export, repeatable (default: all)")
    export.add_argument("--out", required=True, metavar="FILE.csv")
    export.add_argument("--manifest", metavar="FILE.json", help="also write what rebuilds the CSV")
    export.add_argument(
        "--training", action="store_true", help="the tagged training examples instead"
    )
    export.add_argument(
        "--replay", metavar="MANIFEST", help="write the CSV of this manifest again instead"
    )
    export.add_argument(
        "--refit", action="store_true", help="with --replay: also fit the regions again and compare"
    )


def _findings(add: Adder) -> None:
    report = add("report", "findings:report", "Write a report as one HTML file.")
    report.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    report.add_argument("--out", required=True, metavar="FILE.html")
    report.add_argument("--markdown", metavar="FILE.md", help="also write a model card section")
    report.add_argument(
        "--regions",
        metavar="FILE.npz",
        help="a file that 'fit --out' or 'regions --out' wrote (default: the regions of the page)",
    )
    report.add_argument("--spotlights", type=int, metavar="N", help="so many spotlights instead")
    report.add_argument(
        "--size",
        type=float,
        help="with --spotlights: of one of them, as in fit. Regions of one size come "
        "from 'regions --size', with --out and then --regions here",
    )
    report.add_argument("--seed", type=int, default=0)
    _chapters(report)
    _layer(report)

    compare = add(
        "compare",
        "findings:compare",
        "Find groups by several methods, each measured on examples that had no part in finding it; with "
        "--before, say what changed in every group since an older run.",
    )
    compare.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    compare.add_argument(
        "--methods", nargs="+", metavar="METHOD", help="which (default: all that the data allow)"
    )
    compare.add_argument("--groups", type=int, default=5, help="per method (default: 5)")
    compare.add_argument("--size", type=float, help="of a group, as in fit")
    compare.add_argument(
        "--reduction",
        choices=("pca", "umap", "none", "hardness"),
        default="pca",
        help="clusters within each class: how embeddings are reduced (default: pca)",
    )
    compare.add_argument(
        "--max-k", type=int, default=10, help="clusters within each class: at most (default: 10)"
    )
    compare.add_argument(
        "--overcluster",
        action="store_true",
        help="clusters within each class: split each further and keep the pieces that stand apart",
    )
    compare.add_argument("--seed", type=int, default=0)
    _layer(compare)
    compare.add_argument("--out", metavar="FILE.csv", help="also write the table")
    compare.add_argument(
        "--before",
        nargs="?",
        const="",
        metavar="OLDER",
        help="an older run on the same examples, by name or digest (default: the one it is linked to)",
    )
    compare.add_argument(
        "--control",
        metavar="BUNDLE",
        help="with --before: an unchanged retrain of the older run, '' for none (default: the one linked "
        "to it as another seed)",
    )

    card = add(
        "hypothesis",
        "findings:hypothesis",
        "Test a hypothesis on examples not used to find it and keep the verdict; without --rule, "
        "list what was tested.",
    )
    card.add_argument("bundle", metavar="BUNDLE", help=BUNDLE_HELP)
    card.add_argument("--rule", help="which examples, for instance 'label = Shirt and width > 0.5'")
    card.add_argument("--sentence", help="the same in your words (default: the rule)")
    card.add_argument(
        "--used",
        metavar="RULE",
        help="the examples it was found on, for instance 'tagged \"region 1\"' (default: what found "
        "the tags that the rule names, else a seeded half)",
    )
    card.add_argument("--groups", metavar="COLUMN", help="near-duplicates, which are kept together")
    card.add_argument(
        "--alternative",
        choices=("higher loss", "lower loss", "different loss"),
        default="higher loss",
    )
    card.add_argument(
        "--null",
        choices=("rest of data", "same label"),
        default="rest of data",
        help="with whom the matching examples are compared",
    )
    card.add_argument("--seed", type=int, default=0)
    _layer(card)
    card.add_argument("--author", default=whoami(), help="who says so (default: your user name)")
    card.add_argument("--delete", metavar="KEY", help="take a card away; its test stays counted")
    card.add_argument("--out", metavar="FILE", help="write all cards, as .json or else as .csv")


def _check_combination(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.run.endswith(":describe"):
        if options.region is not None and options.regions is None:
            parser.error("--region goes with --regions FILE.npz")
        options.region = 1 if options.region is None else options.region
    if options.run.endswith(":report") and options.size is not None and options.spotlights is None:
        parser.error(
            "--size is that of a spotlight and goes with --spotlights N. For regions of one size: "
            "regions BUNDLE --size SHARE --out FILE.npz, then report BUNDLE --regions FILE.npz"
        )
    if options.run.endswith(":compare"):
        if options.before is None and options.control is not None:
            parser.error("--control goes with --before OLDER")
        if options.before is not None and options.methods:
            parser.error("--methods does not go with --before, which compares two runs")
    if options.run.endswith(":hypothesis"):
        from backend.cli.findings import check_combination

        if wrong := check_combination(options):
            parser.error(wrong)
    if not options.run.endswith(":export"):
        return
    if (options.bundle is None) == (options.replay is None):
        parser.error("export needs either a BUNDLE or --replay MANIFEST")
    if options.training and options.replay is not None:
        parser.error("--training does not go with --replay: a manifest says what it is about")
    if options.refit and options.replay is None:
        parser.error("--refit goes with --replay")
    if options.tag and options.replay is not None:
        parser.error("--tag does not go with --replay: a manifest names its tags")
