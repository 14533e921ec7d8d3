"""One sync: look at the remote, fetch, take in, settle claims, publish. Each step can be cut off and done again.

The store's lock is never held while the network is waited for, only the sync's own (`local/sync.lock`).
"""

from __future__ import annotations

import contextlib
import os
import time

from coord_envelope import codec, world
from coord_envelope.errors import TryAgain, Unreachable
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_kernel.sync import arbiter, publish, settings, tree
from coord_kernel.sync.git import DamagedError, jitter
from coord_kernel.sync.intake import Held, Intake
from coord_kernel.sync.quiet import count
from coord_kernel.sync.wire import Wire
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from git.db import GitDB

    from coord_envelope.codec import Json
    from coord_kernel.journal.journal import Journal
    from coord_kernel.sync.remote import Remote

    Wishes = list[
        tuple[str, Json]
    ]  # each an event for the arbiter's stream, and the id of what it confirms
    Settle = Callable[[], Wishes]

BUDGET_S = 60.0
TRIES = 12
"""Times that a sync is beaten to the arbiter before it says so."""


class Exchange:
    """A sync of a store with a remote, and what became of it."""

    def __init__(
        self,
        journal: Journal,
        remote: Remote,
        seconds: float = BUDGET_S,
        settle: Settle | None = None,
    ) -> None:
        """`settle` may wish for more than claims: it is asked when everything fetched was taken in."""
        self.journal, self.store, self.remote, self._settle = journal, journal.store, remote, settle
        self.wire = Wire(journal.store, remote, seconds)
        self._arbiter = f"{remote.namespace}/arbiter"
        self.received, self.sent = (
            dict[str, int](),
            0,
        )  # lines that came, by writer; lines that went and were not there
        self.confirmed: list[str] = []
        self.conceded: list[str] = []
        self.warnings: list[str] = []  # what was not as it should be, in sentences
        self._unsound: Unreachable | None = None  # why nothing can be confirmed
        self._refused: dict[str, str] = {}  # refs that could not be moved, and from which tip

    def run(self) -> None:
        """Exchange everything, and settle this store's claims.

        Raises Unreachable if the remote cannot be reached or refuses; what came in by then is kept. Raises TryAgain
        if another sync of this store holds its lock all the time, or others were always faster at the arbiter.
        """
        with self._locked():
            locate.repository(self.store)
            try:
                self._exchange()
            except Unreachable as fault:
                if isinstance(fault, DamagedError):
                    self.wire.anew()
                elif not self.wire.mended():
                    raise
                self.warnings.append("the store's own repository was damaged, and was mended")
                self._exchange()
        if self._unsound:
            raise self._unsound

    def _exchange(self) -> None:
        for attempt in range(TRIES):
            time.sleep(min(jitter(attempt), max(self.wire.git.left(), 0)) if attempt else 0)
            if self._once():
                return self.wire.tidy()
        raise TryAgain(
            f"others were faster {TRIES} times", where=self.remote.name, todo="try again"
        )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        os.close(self.store.open("local", "sync.lock", flags=os.O_RDWR | os.O_CREAT))
        lock = FileLock(os.path.join(self.store.path, "local", "sync.lock"), mode=0o600)
        try:
            lock.acquire(timeout=max(self.wire.git.left(), 0))
        except Timeout:
            raise TryAgain(
                "another sync of this store is at work", todo="try again, or --budget TIME"
            ) from None
        try:
            self.wire.git.sweep()
            yield
        finally:
            lock.release()

    def _once(self) -> bool:
        """All steps. False if they must be done again: another moved a ref, or the arbiter was mended."""
        refs = self._fetched()
        seen, found = self.wire.seen().get(self._arbiter, ""), refs.get(self._arbiter, "")
        if self._put_back(refs, seen, found):
            return False
        tip = self._sound(seen, found)
        wishes = (
            self._settled() + (self._settle() if self._settle else []) if tip is not None else []
        )
        end = self.journal.end(live=False)
        objects, olds = self.wire.objects(), dict[str, str]()
        commits = self._commit(objects, refs, self._own(), self._replica())
        if wishes and tip is not None and (lost := arbiter.lost(self.store, objects, tip)):
            self._pushed(
                refs, {self._arbiter: arbiter.restored(objects, tip, lost)}, {self._arbiter: tip}
            )
            return False  # confirmed beside what it lacked, two claims could be open
        if wishes and tip is not None:
            grown = self._extended(objects, tip, wishes)
            commits |= {self._arbiter: grown} if grown else {}
            olds[self._arbiter] = tip
        try:
            moved = self._pushed(refs, commits, olds)
        except Unreachable:
            if not wishes or self.wire.git.left() < 1 or self._refused:
                raise
            return False  # the reply may be lost: what became of it stands there
        if self._arbiter in moved:
            self._take(objects, {self._arbiter: commits[self._arbiter]})
            self.confirmed += [claim for claim, _ in wishes]
        if commits.keys() == moved and not self._unsound:
            self._remember(refs | commits, end)
        return commits.keys() == moved

    def _pushed(
        self, refs: dict[str, str], commits: dict[str, str], olds: dict[str, str]
    ) -> set[str]:
        """Those of the refs that were moved. Raises Unreachable if one is refused though nobody else moved it."""
        moved = self.wire.push(commits, olds)
        self.wire.note(
            {ref: commits[ref] for ref in moved if ref != self._arbiter}
        )  # that is when it was taken in
        for ref in commits.keys() - moved:
            if self._refused.get(ref) == refs.get(ref, ""):
                what, todo = (
                    f"the remote refuses {ref}",
                    "may you push there? what the remote has was taken in",
                )
                raise Unreachable(what, where=self.remote.name, todo=todo)
            self._refused[ref] = refs.get(ref, "")
        return moved

    # ---- in

    def _fetched(self) -> dict[str, str]:
        """The remote's refs, after what is new in them was taken in."""
        refs, seen = self.wire.look(), self.wire.seen()
        lost = Held(self.store).lost(
            publish.paths(self.store)
        )  # what was taken in is not there any more
        new = [ref for ref, oid in refs.items() if lost or seen.get(ref) != oid]
        got = self._got(new) if new else {}
        self._take(self.wire.objects(), got)
        known = seen | got  # of what cannot be fetched, what was seen before
        return {ref: known[ref] for ref in refs if ref in known}

    def _got(self, refs: list[str]) -> dict[str, str]:
        """These refs, fetched; one that cannot be holds up no other. Raises Unreachable if that is not its fault."""
        with contextlib.suppress(Unreachable):
            return self.wire.fetch(refs)
        found = dict[str, str]()
        for ref in refs:
            try:
                found |= self.wire.fetch([ref])
            except Unreachable as fault:
                if ref == self._own():
                    raise  # what does not go on from it would be refused
                self.warnings.append(
                    f"{self._name(ref)}: cannot be fetched ({fault.what}), not taken"
                )
        self.wire.look()
        if len(found) < len(refs) and not self.wire.sound():
            raise DamagedError("the store's own repository is damaged")
        return found

    def _take(self, objects: GitDB, refs: dict[str, str]) -> None:
        held = Held(self.store)
        intake = Intake(self.store, held)
        noted, found = (
            dict[str, str](),
            {ref: tree.manifest(objects, tip) for ref, tip in sorted(refs.items())},
        )
        for ref, manifest in found.items():
            name = self._name(ref)
            self.warnings += manifest.report(name)
            if (
                ref == self._own() and manifest.root is None
            ):  # no push can go on from it, and it is never forced
                with self.store.lock():
                    self.store.renew_replica()
            if ref != self._arbiter or (
                manifest.root and self.wire.descends(refs[ref], self.wire.seen().get(ref, ""))
            ):
                noted[ref] = refs[ref]
        todo, came = list(found), -1
        while todo and came < sum(
            intake.sources.values()
        ):  # what came early in one may follow what is in another
            came = sum(intake.sources.values())
            for ref in todo:
                intake.take(
                    found[ref].files,
                    lambda oid, most: tree.read(objects, oid, most),
                    self._name(ref),
                )
            todo = [ref for ref in todo if self._name(ref) in intake.early]
        intake.finish()
        self.warnings += intake.early.values()
        held.save()
        self.warnings += intake.warnings
        for writer, lines in intake.sources.items():
            self.received[writer] = self.received.get(writer, 0) + lines
        self.wire.note({ref: tip for ref, tip in noted.items() if ref not in todo})

    def _own(self) -> str:
        return self.remote.own or f"{self.remote.namespace}/replica/{self._replica()}"

    def _replica(self) -> str:
        with self.store.lock():
            return self.store.replica()

    # ---- claims

    def _put_back(self, refs: dict[str, str], seen: str, found: str) -> bool:
        """Was the arbiter gone, or put back to what it was before? Then it is given what we saw of it."""
        if found == seen or not self.wire.descends(seen, found):
            return False
        self._pushed(refs, {self._arbiter: seen}, {self._arbiter: found})
        self.warnings.append(
            "the arbiter was gone or put back: it was given what had been confirmed"
        )
        return True

    def _sound(self, seen: str, found: str) -> str | None:
        """The arbiter's tip, to build on ("" where there never was one); None if nothing may be confirmed now."""
        if self.wire.descends(found, seen) or (
            found and not arbiter.lost(self.store, self.wire.objects(), found)
        ):
            return found
        self._confirm_nothing(
            "the arbiter has two histories, so nothing is confirmed", "`ev sync --repair-arbiter`"
        )
        return None

    def _confirm_nothing(self, what: str, todo: str) -> None:
        self._unsound = Unreachable(what, where=self.remote.name, todo=todo)

    def _settled(self) -> Wishes:
        """Decide each tentative claim of this store: concede it here, or give the event that would confirm it."""
        view = View(self.store, claims).refresh()
        wishes: dict[str, tuple[str, Json]] = {}
        for replica in self.store.replicas():
            for value, entity in list(view.find("tentative", f"{replica} ", f"{replica}!")):
                claim, state = value.partition(" ")[2], view.get(entity) or claims.nothing()
                verdict = claims.verdict(state, claim)
                if (
                    verdict == "confirm"
                ):  # one of an entity; the next is judged when that is confirmed
                    wishes.setdefault(entity, (claim, arbiter.confirmation(entity, claim, state)))
                elif verdict == "concede":
                    by = state["claims"][claim]
                    actor = {"agent_id": by["agent"]} | (
                        {"session_id": by["session"]} if by["session"] else {}
                    )
                    self.journal.append(actor, [arbiter.concession(entity, claim, state)])
                    self.conceded.append(claim)
        return list(wishes.values())

    def _extended(self, objects: GitDB, tip: str, wishes: Wishes) -> str | None:
        try:
            return arbiter.extended(self.store, objects, tip, [draft for _, draft in wishes])
        except (ValueError, IndexError) as reason:
            what = f"the arbiter cannot be read ({reason}), so nothing is confirmed"
            self._confirm_nothing(what, f"put {self._arbiter} back to what it was")
            return None

    # ---- out

    def _commit(
        self, objects: GitDB, refs: dict[str, str], own: str, replica: str
    ) -> dict[str, str]:
        """The commit of our ref, if it must move."""
        publish.make_durable(self.store, replica)
        tip, held = refs.get(own), Held(self.store)
        others = {
            self._name(ref): tree.manifest(objects, oid) for ref, oid in refs.items() if ref != own
        }
        before = tree.manifest(objects, tip) if tip else tree.Manifest()
        files = publish.files(self.store, objects, held, replica, others, before)
        held.save()
        root = tree.write_tree(objects, files)
        if root == before.root or not (files or tip):
            return {}
        self.sent += publish.lines(objects, files, before)
        return {own: tree.write_commit(objects, root, [tip] if tip else [], f"coord: {replica}")}

    def _name(self, ref: str) -> str:
        return ref.removeprefix(f"{self.remote.namespace}/").removeprefix("replica/")

    def _remember(self, refs: dict[str, str], end: Json) -> None:
        """What the remote holds now, and how far the journal went when it was read: for `--status`, and to be quiet."""
        at = world.format_ts(world.now_ms())
        done = {
            "remote": self.remote.name,
            "ts": at,
            "end": end,
            "files": count(self.store),
            "refs": refs,
        }
        self.store.save(codec.dumps(done), "local", "synced")


def sync(
    journal: Journal,
    asked: str | None = None,
    seconds: float = BUDGET_S,
    settle: Settle | None = None,
) -> Exchange:
    """Sync with the remote that was asked for, and remember it; else with the configured one.

    Raises Unreachable if there is none, and as `Exchange.run`.
    """
    name = settings.required(journal.store, asked)
    found = Exchange(journal, settings.remote(journal.store, name), seconds, settle)
    if asked:
        settings.remember(journal.store, found.remote.name)
    found.run()
    return found
