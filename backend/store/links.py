"""Links between runs: which older bundle a bundle is compared with, said by whom, and when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backend.core.errors import InputError
from backend.store.authors import Who
from backend.store.keeper import LogKeeper, digest_of
from backend.store.log import Event, clean_name


@dataclass(frozen=True)
class RunLink:
    """What was said last of one pair of bundles.

    ``bundle`` is the newer run, ``older`` the digest of the one before it and ``name`` what that was
    called. ``unchanged`` says that nothing but the seed differs, so that the pair shows what a mere
    retrain changes. ``linked`` is False where the link was taken back. ``author`` and ``time`` are
    of whoever said so, ``seq`` is the event.
    """

    bundle: str
    older: str
    name: str
    unchanged: bool
    linked: bool
    author: str
    time: str
    seq: int


class RunLinks(LogKeeper):
    """The part of ``Store`` that keeps links, in the log of the newer run: events like all others."""

    def link_runs(
        self, bundle: Any, older: Any, *, name: str, unchanged: bool = False, author: Who = "local"
    ) -> Event:
        """Link a bundle to an older one.

        Parameters
        ----------
        bundle, older
            The newer run and the one it is compared with.
        name : str
            What the older one is called, 1 to 200 characters.
        unchanged : bool
            Whether nothing but the seed differs.

        Raises
        ------
        InputError
            If both are the same bundle.
        """
        return self._say(bundle, older, name, unchanged, author, linked=True)

    def unlink_runs(self, bundle: Any, older: Any, *, name: str, author: Who = "local") -> Event:
        """Take a link back, one that a bundle carries itself too; undo brings it back."""
        return self._say(bundle, older, name, False, author, linked=False)

    def run_links(self, bundle: Any) -> list[RunLink]:
        """What was said last of this bundle and each older one, whether or not it is linked."""
        return [
            RunLink(
                event.bundle,
                key,
                event.payload["name"],
                event.payload["unchanged"],
                event.payload["linked"],
                event.author,
                event.time,
                event.seq,
            )
            for key, event in self._cards(bundle, "link").items()
        ]

    def retrains_of(self, older: Any, among: Iterable[str]) -> list[RunLink]:
        """Those of these bundles that are linked to an older one as nothing but another seed of it."""
        digest = digest_of(older)
        return [
            link
            for one in among
            for link in self.run_links(one)
            if link.older == digest and link.linked and link.unchanged
        ]

    def _say(
        self, bundle: Any, older: Any, name: str, unchanged: bool, author: Who, *, linked: bool
    ) -> Event:
        first, second = digest_of(older), digest_of(bundle)
        if first == second:
            raise InputError("a bundle can be linked to another one only.")
        payload = {
            "key": first,
            "name": clean_name("the name of a bundle", name, longest=200),
            "unchanged": bool(unchanged),
            "linked": linked,
        }
        return self._change("link", second, author, payload=payload)
