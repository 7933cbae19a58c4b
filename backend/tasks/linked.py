"""Which older run a bundle is compared with: what people linked, and what a bundle says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from backend.bundle import UNCHANGED, made_from
from backend.store import Reader, RunLink, Store
from backend.tasks.repair import MADE, origin_of
from backend.tasks.task import Options

if TYPE_CHECKING:
    from backend.bundle import Bundle

ITSELF = "the bundle itself"
"""Author of a link that a bundle carries in ``made_from``."""


def linked_runs(bundle: Bundle, store: Store | Reader) -> list[RunLink]:
    """The older runs that a bundle is linked to, the one said last first.

    A bundle that carries ``made_from`` is linked by itself, until somebody takes that back.
    """
    said = {one.older: one for one in store.run_links(bundle.digest)}
    origin = origin_of(bundle)
    if origin is not None and origin[1].startswith(MADE):
        origin = None  # other examples: there is nothing to compare
    if origin is not None and origin[0] not in said and origin[0] != bundle.digest:
        told = bundle.extras["made_from"]
        unchanged = len(told) > 2 and str(told[2]) == UNCHANGED
        said[origin[0]] = RunLink(
            bundle.digest, origin[0], origin[1], unchanged, True, ITSELF, "", 0
        )
    return sorted((one for one in said.values() if one.linked), key=lambda one: -one.seq)


def controls_of(
    before: str,
    others: Iterable[str],
    store: Store | Reader,
    home: str | None = None,
    *,
    beside: Bundle | None = None,
) -> list[RunLink]:
    """Those of these bundles that are the run ``before`` made anew with nothing changed.

    First those of which people said so, the last first; then the control that was kept with the
    bundle ``beside``, as the plain refit is with a repair; then others that say so themselves.
    """
    others = list(others)
    found = sorted(store.retrains_of(before, others), key=lambda one: -one.seq)
    for one in others:
        origin = made_from(one, home)
        says = origin[:1] == (before,) and origin[2:3] == (UNCHANGED,)
        if says and all(link.older != before for link in store.run_links(one)):
            found.append(RunLink(one, before, origin[1], True, True, ITSELF, "", 0))
    told = None if beside is None else beside.extras.get("made_from")
    own = "" if told is None or len(told) < 3 else str(told[2])
    return sorted(found, key=lambda one: (one.author == ITSELF, one.bundle != own))


def before_after_options(
    bundle: Bundle,
    before: str,
    store: Store | Reader,
    known: Iterable[str],
    control: str | None = None,
    home: str | None = None,
) -> Options:
    """Options of the task ``before_after`` for this bundle and an older one.

    Parameters
    ----------
    bundle : Bundle
        The newer run.
    before : str
        Digest of the older one.
    store : Store or Reader
    known : iterable of str
        Digests of the imported bundles, among which a control is looked for.
    control : str, optional
        Digest of the control; by default the first of ``controls_of``, and "" for none.
    home : str, optional
        As for ``open_bundle``.

    Returns
    -------
    dict
        With the number of the latest event of both runs, so that what is tagged later is compared
        anew.
    """
    if control is None:
        others = [one for one in known if one not in (bundle.digest, before)]
        found = controls_of(before, others, store, home, beside=bundle)
        control = found[0].bundle if found else ""
    log = max(store.last_seq(bundle.digest), store.last_seq(before))
    return {"before": before, "control": control, "log": log}
