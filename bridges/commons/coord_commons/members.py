"""The commands about belonging to a commons: join, ls, leave, admit, trust, sync."""

from __future__ import annotations

import os
import shutil

from coord_commons import draft, place, towns
from coord_commons.exchange import Commons
from coord_envelope.errors import BadData, No, Refused, Unreachable, Usage
from coord_kernel.cli.escape import visible
from coord_kernel.sync.settings import public

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_commons import options as o
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


def join(
    call: Call,
    remote: o.Remote,
    name: o.Name = None,
    town: o.Town = None,
    signers: o.Signers = None,
) -> None:
    """Join a commons at a remote.

    It gets a store of its own, which signs with your key. Whoever is the first founds it. Others
    need two things: somebody of the commons who admits their key, and to agree to who may write as
    whom: by --signers, or later by `trust`. Prints what the others need. Joining again at the same
    remote goes on where it was cut short.
    """
    if not remote.strip():
        raise Usage("empty value: REMOTE", todo="is a variable unset?")
    project = place.name_of(remote)
    local = name or project
    if not towns.is_town(local):
        raise Usage(f"not a valid name: {local!r}", where="--name", todo="use a-z 0-9 . _ -")
    text = place.read(signers) if signers else ""
    if signers and not towns.members(text):
        raise BadData("has no key", where=signers, todo="ask a town of the commons for its file")
    if local in place.joined():
        commons, made = Commons(place.Place(local)), False
        if commons.journal.end(live=False) and not _unfinished(commons):
            todo = "--name calls another one otherwise"
            raise Refused("was joined already", where=local, todo=todo)
    else:
        made = place.make(local, project, place.town(town))
        commons = Commons(place.Place(local))
    here = os.path.abspath(remote) if os.path.isdir(remote) else remote
    try:
        key = commons.place.key()
        if not commons.store.signers():
            # Nothing is believed or written before it is known whether somebody was here first.
            _look(commons, here)
            first = not text and not commons.proposal().rows
            if text or first:
                commons.place.agree(text or f"{towns.line(commons.place.town, key, '')}\n")
            if first:
                with commons.transaction() as t:
                    t.add(draft.admitted(commons.place.town, key, ""))
        if commons.admitted():
            commons.sync(here)
    except (Refused, Unreachable, BadData):
        if made and not commons.journal.end(live=False):
            shutil.rmtree(commons.place.root, ignore_errors=True)
        raise
    call.put([_row(commons)])


def _unfinished(commons: Commons) -> bool:
    from coord_kernel.store import locate

    return not locate.remotes(commons.store)


def _look(commons: Commons, remote: str) -> None:
    """Take in what is at a remote; nothing is given, as there is nothing. Raises Fault."""
    from coord_kernel.sync import remotes

    rounds = remotes.exchange(commons.journal, remote)
    rounds.signs = False
    rounds.run()
    remotes.remember(rounds)


def _row(commons: Commons) -> Json:
    """A commons in a line."""
    from coord_kernel.store import locate

    where, agreed = commons.place, commons.place.agreed
    row: Json = {"commons": where.name, "town": where.town}
    row["remote"] = public(next(iter(locate.remotes(commons.store)), ""))
    try:
        row |= {"key": where.key(), "fingerprint": commons.fingerprint()}
        how = "member" if commons.admitted() else "not admitted"
        row["status"] = how if agreed else "no signers agreed"
    except Refused as fault:
        row["status"] = str(fault)
    row |= {"towns": len(towns.members(agreed))}
    row |= {"digest": towns.digest(agreed)} if agreed else {}
    return row | {"path": where.root}


def ls(call: Call) -> None:
    """List the commons that you have joined."""
    call.put(_row(Commons(place.Place(name))) for name in place.joined())


def leave(call: Call, name: o.Left, force: o.Force = False) -> None:
    """Leave a commons: its store here is deleted.

    What was given stays with the others. What was not is given first, unless --force.
    """
    mine = Commons(place.Place(place.chosen(name)))
    if not force and mine.admitted():
        mine.sync()
    shutil.rmtree(mine.place.root)
    call.put([{"commons": name, "left": True}])


def admit(call: Call, town: o.NewTown, key: o.NewKey, commons: o.Commons = None) -> None:
    """Admit a town to the commons, by its public key.

    Only a person does that: compare the fingerprint with what the town itself told you. KEY is the
    public key, or a file with it. You agree to the new file by that; each other town agrees when it
    wants to, by `trust` and the digest that this prints.
    """
    who = call.actor()["agent_id"]
    if not who.startswith("human:"):
        raise Refused("only a person admits a town", where=who, todo="--as human:NAME")
    if not towns.is_town(town):
        raise Usage(f"not a valid name: {town!r}", where="TOWN", todo="use a-z 0-9 . _ -")
    text = key if " " in key.strip() else place.read(key)
    public_key = " ".join(text.split()[:2])
    mine = Commons(place.Place(place.chosen(commons)))
    by = mine.fingerprint()
    row = towns.line(town, public_key, by)
    if [member.key for member in towns.members(row)] != [public_key]:
        raise BadData("not an SSH public key", where=visible(key)[:80], todo="give its .pub file")
    mine.sync()
    known = {member.key: member for member in towns.members(mine.place.proposed)}
    if public_key not in known:
        with mine.transaction() as t:
            t.add(draft.admitted(town, public_key, by))
        mine.place.agree("".join(sorted(f"{line}\n" for line in _lines(mine, row))))
    mine.give()
    fingerprint, agreed = towns.fingerprint(public_key), mine.place.agreed
    call.put([{"town": town, "fingerprint": fingerprint, "digest": towns.digest(agreed)}])


def _lines(mine: Commons, more: str) -> set[str]:
    return {line for line in (*mine.place.proposed.split("\n"), more) if line.strip()}


def trust(call: Call, digest: o.Digest = None, commons: o.Commons = None) -> None:
    """Show who may write as whom, or agree to it.

    Without DIGEST: each town, whether it is new, and the digest of the file that the admissions
    make. With it: agree to the file, if that is its digest. Take the digest of your first file from
    somebody of the commons whom you know: nothing in the commons can be believed before that.
    """
    mine = Commons(place.Place(place.chosen(commons)))
    proposal = mine.proposal()
    if not proposal.rows:
        raise No("nobody was admitted yet", where=mine.place.name, todo="`coord-commons sync`")
    if digest is None:
        call.put({**row, "digest": proposal.digest} for row in proposal.rows)
        return
    if digest.removeprefix("sha256:") != proposal.digest:
        what = f"the digest is {proposal.digest}: nothing was agreed to"
        raise Refused(what, where=digest[:80], todo="look again: `coord-commons trust`")
    mine.place.agree(proposal.text)
    from coord_kernel.sync.signed.judge import judge

    for line in judge(mine.store):
        call.warn(line)
    if mine.admitted():
        mine.give()
    call.put({**row, "status": "agreed", "digest": proposal.digest} for row in proposal.rows)


def sync(call: Call, commons: o.Commons = None) -> None:
    """Exchange events with the commons.

    With all that you have joined, or with that of --commons. Commands that write do it themselves;
    those that read show what is here.
    """
    names = [place.chosen(commons)] if commons else place.joined()
    if not names:
        raise No("no commons was joined", todo="`coord-commons join REMOTE`", code="not_found")
    from coord_kernel.sync import remotes

    for name in names:
        mine = Commons(place.Place(name))
        try:
            if mine.admitted():
                call.put([mine.sync()])
                continue
            rounds = remotes.exchange(mine.journal)
            rounds.signs = False
            rounds.run()
            call.put([{"commons": name, "received": sum(rounds.received.values()), "sent": 0}])
        except (No, Refused, Unreachable) as fault:
            call.fail(fault, fault.where or name)
