"""The commands about belonging to a commons: join, ls, leave, admit, trust, sync."""

from __future__ import annotations

import os
import shutil

from coord_commons import draft, place, towns
from coord_commons.exchange import Commons
from coord_envelope.errors import BadData, No, Refused, Unreachable, Usage
from coord_kernel.cli.escape import visible
from coord_kernel.streams.trusted import Trusted
from coord_kernel.sync.settings import public
from coord_kernel.sync.signed.sign import Signer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    text = _signers(signers) if signers else ""
    if local in place.joined():
        commons, made = Commons(place.Place(local)), False
        agreed = commons.store.signers() and commons.journal.end(live=False)
        if agreed and not _unfinished(commons):
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
            own = {commons.fingerprint()}
            if not text and {row["key"] for row in commons.proposal().rows} <= own:
                text = f"{towns.line(commons.place.town, key, '')}\n"
            if text:
                # The record first: whoever has agreed to be a founder has told so.
                _found(commons, text)
                commons.place.agree(text)
        _found(commons, commons.place.agreed)
        if commons.admitted():
            commons.sync(here)
            _warn_of_founders(call, commons)
    except (Refused, Unreachable, BadData):
        if made and not commons.journal.end(live=False):
            shutil.rmtree(commons.place.root, ignore_errors=True)
        raise
    call.put([_row(commons)])


def _signers(path: str) -> str:
    """The text of a file of signers. Raises BadData, DiskFault."""
    text = place.read(path)
    if not towns.members(text):
        raise BadData("has no key", where=path, todo="ask a town of the commons for its file")
    return text


def _unfinished(commons: Commons) -> bool:
    """Was a join cut short: before the remote was remembered, or what was written was signed?"""
    from coord_kernel.store import locate

    return not locate.remotes(commons.store) or Signer(commons.journal).pending()


def _found(commons: Commons, text: str) -> None:
    """Tell the others that this town founds the commons, if the file says so; once.

    Who finds no such record founds a commons of their own.
    """
    own = commons.fingerprint()
    mine = [each for each in towns.members(text) if each.fingerprint == own and not each.by]
    if not mine or any(_founders(commons, own=True)):
        return
    with commons.journal.transaction(commons.place.actor) as t:
        t.add(draft.admitted(commons.place.town, mine[0].key, ""))


def _founders(commons: Commons, own: bool) -> Iterator[towns.Member]:
    """Who says that they founded the commons: what this store has written, or others."""
    trusted = Trusted(commons.store).refresh()
    for event in commons.journal.replay():
        if event["type"] != "commons.admitted" or trusted.own(event.stream, event["seq"]) != own:
            continue
        if founder := towns.founder(event["body"]):
            yield founder


def _warn_of_founders(call: Call, commons: Commons) -> None:
    """Warn whoever is alone in the file if others have founded the commons, too.

    That happens when two join at one moment. Anybody who can push may say so: later it is noise.
    """
    name, known = commons.place.name, towns.members(commons.place.agreed)
    if len(known) != 1 or known[0].by:
        return
    others = {each.fingerprint: each for each in _founders(commons, own=False)}
    others.pop(known[0].fingerprint, None)
    for other in others.values():
        town = other.principals.removeprefix("agent:")
        todo = f"`coord-commons leave {name}`, then `join REMOTE --signers FILE`, a file of {town}"
        call.warn(f"{name}: {town} ({other.fingerprint}) founded it, too; if you know it: {todo}")
        return


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
    root = os.path.join(place.home(), place.chosen(name))
    if os.path.islink(root):
        raise Refused("is a symbolic link: nothing was deleted", where=root, todo="remove it")
    if not force:
        mine = Commons(place.Place(name))
        if mine.admitted():
            mine.sync()
    shutil.rmtree(root)
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
    text = key if " " in key.strip() and not os.path.lexists(key) else place.read(key)
    public_key = " ".join(text.split()[:2])
    mine = Commons(place.Place(place.chosen(commons)))
    by = mine.fingerprint()
    row = towns.line(town, public_key, by)
    if not towns.is_key(public_key):
        raise BadData("not an SSH public key", where=visible(key)[:80], todo="give its .pub file")
    mine.sync()
    _warn_of_founders(call, mine)
    known = {member.key: member for member in towns.members(mine.place.proposed)}
    if public_key not in known:
        if f"agent:{town}" in towns.names(known.values()):
            call.warn(f"{town}: is a town already; this is a further key of it, not another town")
        with mine.transaction() as t:
            t.add(draft.admitted(town, public_key, by))
        mine.place.agree("".join(sorted(f"{line}\n" for line in _lines(mine, row))))
    mine.give()
    fingerprint, agreed = towns.fingerprint(public_key), mine.place.agreed
    call.put([{"town": town, "fingerprint": fingerprint, "digest": towns.digest(agreed)}])


def _lines(mine: Commons, more: str) -> set[str]:
    return {line for line in (*mine.place.proposed.split("\n"), more) if line.strip()}


def trust(
    call: Call,
    digest: o.Digest = None,
    signers: o.Signers = None,
    without: o.Without = None,
    commons: o.Commons = None,
) -> None:
    """Show who may write as whom, or agree to it.

    Without DIGEST: each town, whether it is new, and the digest of the file that the admissions
    make. With it: agree to the file, if that is its digest. Take the digest of your first file, or
    by --signers the file itself, from somebody of the commons whom you know: nothing in the commons
    can be believed before that, and whoever can push can propose a town.
    """
    mine = Commons(place.Place(place.chosen(commons)))
    proposal = _proposed(mine, signers, without or ())
    if not proposal.rows:
        raise No("nobody was admitted yet", where=mine.place.name, todo="`coord-commons sync`")
    if digest is None and not signers:
        call.put({**row, "digest": proposal.digest} for row in proposal.rows)
        return
    if digest is not None and digest.removeprefix("sha256:") != proposal.digest:
        what = f"the digest is {proposal.digest}: nothing was agreed to"
        todo = "look again: `coord-commons trust`"
        if not mine.place.agreed and not signers:
            todo += ", or agree to the file of a town that you know: --signers FILE"
        raise Refused(what, where=digest[:80], todo=todo)
    _found(mine, proposal.text)
    mine.place.agree(proposal.text)
    from coord_kernel.sync.signed.judge import judge

    for line in judge(mine.store):
        call.warn(line)
    if mine.admitted():
        mine.give()
    call.put({**row, "status": "agreed", "digest": proposal.digest} for row in proposal.rows)


def _proposed(mine: Commons, signers: str | None, without: Sequence[str]) -> towns.Proposal:
    """What one may agree to. Raises Refused, BadData, Usage."""
    if signers and mine.place.agreed:
        todo = f"edit {os.path.join(mine.place.root, place.SIGNERS)}, and see `coord-commons trust`"
        raise Refused("you have agreed to a file already", where="--signers", todo=todo)
    proposal = towns.proposal(_signers(signers), ()) if signers else mine.proposal()
    new = {row["key"] for row in proposal.rows if row["status"].startswith("new")}
    for key in without:
        if key not in new:
            raise Usage(
                "not the key of a new town", where=key[:80], todo="see `coord-commons trust`"
            )
    return towns.left_out(mine.place.proposed, proposal, without)


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
                _found(mine, mine.place.agreed)
                call.put([mine.sync()])
                _warn_of_founders(call, mine)
                continue
            rounds = remotes.exchange(mine.journal)
            rounds.signs = False
            rounds.run()
            call.put([{"commons": name, "received": sum(rounds.received.values()), "sent": 0}])
        except (No, Refused, Unreachable) as fault:
            call.fail(fault, fault.where or name)
