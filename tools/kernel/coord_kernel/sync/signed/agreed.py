"""The allowed_signers file that the user agreed to: a copy, where no clone can bring one.

coord.toml names the file in the repository (`[sync] allowed_signers`). Whoever can push can change
it, so it counts when the user agreed to it, by `ev trust`, with the bytes that it had: a change, or
its absence, changes nothing until the user agrees again.
"""

from __future__ import annotations

import os
import stat

from coord_envelope.errors import BadData, Fault
from coord_envelope.platform import sha256
from coord_kernel.rules.signing import Signers
from coord_kernel.store import consent, locate
from coord_kernel.store.disk import fault_of
from coord_kernel.streams import trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store

SETTING = "[sync] allowed_signers"
LARGEST = 1 << 20
_COPY = ("local", ".git", "allowed_signers")


def signers(store: Store) -> Signers:
    """What the user agreed to."""
    return Signers((store.load(*_COPY, most=LARGEST) or b"").decode("utf-8", "replace"))


def digest(store: Store) -> str:
    """What identifies it; "": there is none."""
    data = store.load(*_COPY, most=LARGEST)
    return "" if data is None else _digest(data)


def proposed(store: Store) -> tuple[str, bytes] | None:
    """The file that coord.toml names, and its bytes. Raises BadData, DiskFault."""
    name = consent.proposed(locate.section(store, "sync"), "allowed_signers")
    if not name:
        return None
    path = os.path.join(locate.root(store.path), os.path.expanduser(name))
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise BadData("not a file", where=path, todo="put the file there")
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise fault_of(error, where=path) from None
    if len(data) > LARGEST:
        raise BadData(f"more than {LARGEST:,} bytes", where=path, todo="shorten the file")
    known = Signers(data.decode("utf-8", "replace"))
    if known.faults:
        raise BadData(known.faults[0], where=path, todo="correct the file")
    if not known.entries:  # to agree to it would be to believe nobody
        raise BadData("has no key", where=path, todo="add a line for each key")
    return name, data


def rows(store: Store) -> list[tuple[str, bool]]:
    """For `ev trust`: the proposed value, and whether it is the one agreed to. None: no rows."""
    file, before = proposed(store), digest(store)
    if file is None:
        return [("none", False)] if before else []
    return [(f"{file[0]} sha256:{_digest(file[1])}", _digest(file[1]) == before)]


def agree(store: Store) -> None:
    """The user agrees to the file as it is now, or to having none."""
    file, before = proposed(store), digest(store)
    if file is not None and _digest(file[1]) == before:
        return
    directory = store.directory("local", make=True)
    try:
        for place in (trusted.TABLE[1:], _COPY[1:])[: 1 if file else 2]:
            try:
                os.unlink("/".join(place), dir_fd=directory)
            except FileNotFoundError:
                continue
    finally:
        os.close(directory)
    if file is not None:
        store.save(file[1], *_COPY)


def changed(store: Store) -> str:
    """A sentence, if the repository's file is another than the user agreed to."""
    try:
        value = rows(store)
    except Fault as fault:
        return f"{SETTING}: {fault.where}: {fault.what}; the file agreed to before counts"
    if not value or value[0][1]:
        return ""
    if not store.signers():
        return f"{SETTING}: not trusted; agree with `ev trust`"
    return f"{SETTING}: changed, and the file agreed to before counts; see `ev trust --show`"


def _digest(data: bytes) -> str:
    hashing = sha256()
    hashing.update(data)
    return str(hashing.hexdigest())
