"""How strong a claim is: local, or with a remote confirmed by its arbiter, or tentative."""

from __future__ import annotations

from coord_envelope import No, Unreachable, Usage
from coord_envelope.errors import Refused
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_wk import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event, Fault
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk import groups as g
    from coord_wk.registers import State
    from coord_wk.work import Work


class Confirm:
    """The strength that the options of a claiming command demand."""

    weaker: tuple[str, str] | None = None
    """What to say of a claim that is weaker than required: what that means, and what to do."""

    def __init__(
        self, call: Call, work: Work, strength: g.Strength, actor: Json | None = None
    ) -> None:
        """`actor`: whose the claims are, if not the caller's."""
        if strength.require not in (None, "local", "confirmed"):
            raise Usage(
                f"--require {strength.require}: not a level", todo="valid levels: local, confirmed"
            )
        self._required = strength.require == "confirmed"
        if self._required and strength.no_sync:
            raise Usage("--require confirmed needs the remote", todo="leave out --no-sync")
        self._call, self._work, self._no_sync = call, work, strength.no_sync
        self._actor = actor

    def settle(self, claim: Event, where: str) -> Event:
        """The claim with its `$level` and `$token`.

        Raises No if another claim holds the item, and Unreachable if the claim is weaker than
        required: a new one is released then.
        """
        if locate.remote(self._call.journal.store) is None and not self._required:
            return claim.annotated(level="local", token=claim["body"].get("gen"))
        why = None
        # What was claimed just now is asked for without a look: the view is read once, behind it.
        state = self._state(claim) if self._no_sync or "$dup" in claim else None
        if state is None or not (self._no_sync or claim.id in state["confirmed"]):
            state, why = self._ask(claim, where)
        holder = claims.owner(state)
        if holder is None or holder["id"] != claim.id:
            named = self._work.named(holder, self._actor) if holder else "nobody any more"
            raise No(f"is held by {named}", where=where, code="held")
        level = "tentative" if holder["n"] is None else "confirmed"
        if why and level == "tentative":  # an exchange cut short may have decided it all the same
            cause = why if isinstance(why, Refused) else f"the remote is not reachable: {why}"
            self._call.warn(f"{where}: claimed, tentatively: {cause}")
        return claim.annotated(level=level, token=holder["n"])

    def _ask(self, claim: Event, where: str) -> tuple[State, Fault | None]:
        """Ask the arbiter. Why it did not answer, if it did not and need not."""
        from coord_kernel.sync import ask

        outcome = ask.settled(self._call.journal)
        for warning in outcome.warnings:
            self._call.warn(warning)
        state = self._state(claim)
        verdict = ask.verdict(state, claim, outcome)
        if verdict.level != "tentative" or not self._required:
            return state, verdict.why if verdict.level == "tentative" else None
        if "$dup" in claim:  # it was held before: it still is
            means, todo = self.weaker or ("", "")
            raise Unreachable(f"is not confirmed: {verdict.why}{means}", where=where, todo=todo)
        with self._call.journal.transaction(self._actor or self._call.actor()) as t:
            t.add(draft.given_back(claim["refs"]["work_id"], self._state(claim), claim.id))
        released = "; it was released", "leave out --require to hold it tentatively"
        means, todo = self.weaker or released
        raise Unreachable(f"is not confirmed: {verdict.why}{means}", where=where, todo=todo)

    def _state(self, claim: Event) -> State:
        return self._work.items().known(claim["refs"]["work_id"])
