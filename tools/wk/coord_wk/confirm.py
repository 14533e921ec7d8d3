"""How strong a claim is: local, or with a remote confirmed by its arbiter, or tentative until that is asked."""

from __future__ import annotations

from coord_envelope import No, Unreachable, Usage
from coord_kernel.cli import complaints
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_wk import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event, Fault
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk.work import Work


class Confirm:
    """What the options of a claiming command ask for."""

    def __init__(self, call: Call, work: Work, require: str | None, no_sync: bool) -> None:
        if require not in (None, "local", "confirmed"):
            raise Usage(f"--require {require}: no such strength", todo="local or confirmed")
        if require == "confirmed" and no_sync:
            raise Usage("--require confirmed needs the remote", todo="leave out --no-sync")
        self._call, self._work, self._no_sync = call, work, no_sync
        self._firm = require == "confirmed"

    def settle(self, claim: Event, where: str) -> Event:
        """The claim with its `$level` and `$token`. Raises No if another was first, Unreachable if too weak."""
        remote = locate.remote(self._call.journal.store)
        if remote is None and not self._firm:
            return claim.annotated(level="local", token=claim["body"].get("gen"))
        item = claim["refs"]["work_id"]
        state = self._state(item)
        if claim.id not in state["confirmed"] and not self._no_sync:
            reason = self._sync()
            state = self._state(item)
            if reason and self._firm:
                self._work.change(
                    lambda items: [draft.given_back(item, items.known(item), claim.id)]
                )
                what = f"is not confirmed: {reason}; it was released"
                raise Unreachable(
                    what, where=where, todo="leave out --require to hold it tentatively"
                )
        holder = claims.owner(state)
        if holder is None or holder["id"] != claim.id:
            raise No(
                f"is held by {holder['agent']}" if holder else "is held by nobody any more",
                where=where,
            )
        level = "tentative" if holder["n"] is None else "confirmed"
        return claim.annotated(level=level, token=holder["n"])

    def _state(self, item: str) -> Json:
        return self._work.items().known(item)

    def _sync(self) -> Fault | None:
        """Ask the arbiter; why that was not possible, which is said, too, where it is no failure."""
        from coord_kernel.sync.ask import ask

        fault = ask(self._call.journal)
        if fault and not self._firm:
            complaints.warn(str(fault))
        return fault
