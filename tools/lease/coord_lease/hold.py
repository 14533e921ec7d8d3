"""`lease with`: a command that runs only while its lease is held.

    lease with ── renews, passes on signals ──▶ CMD, in a process group of its own
         └── deadlines, by a pipe ──▶ sentinel ── KILL at the deadline ──▶ that group

1. make a pin and acquire the lease; all three processes hold the pin, so that the lease is free
   as soon as all have exited
2. start CMD in its group, and the sentinel
3. renew after a third of the time to live, counted from the last renewal that succeeded, and tell
   the sentinel the new deadline: five sixths of the time
4. if renewing fails, try again each twelfth. After two thirds, or at once if the lease is lost:
   TERM to the group, and the deadline is at most a sixth away
5. at the deadline, or when `lease with` is gone (the pipe's end), the sentinel kills the group: the
   promise holds even if `lease with` is stopped or killed
6. when CMD has ended: end the sentinel, release the lease or write `lease.lost`, remove the pin

If both are killed at once, the kernel kills CMD alone (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal

from coord_envelope import ids
from coord_envelope.errors import Fault, No, TryAgain
from coord_kernel.cli.call import Call
from coord_kernel.proc import child
from coord_kernel.store import machine
from coord_kernel.store.disk import fault_of
from coord_lease import pin
from coord_lease.foreground import Foreground
from coord_lease.scope import TakenError
from coord_lease.wait import acquired

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from coord_envelope import Event
    from coord_lease.scope import Scope, Wanted

FIRED = 1
"""The sentinel's exit status when it killed because the time was up."""


def run(call: Call, scope: Scope, wanted: Wanted, argv: Sequence[str], wait_ms: int) -> int:
    """Acquire, run argv, release; its exit status.

    Raises TryAgain if the lease was not acquired, and argv never ran; or if it was lost meanwhile.
    """
    store = call.journal.store
    wanted.pin, fd = pin.make(store)
    try:
        lease = acquired(call, scope, wanted, wait_ms)
    except Fault as refusal:
        pin.remove(store, wanted.pin)
        if isinstance(refusal, TakenError):
            raise TryAgain(refusal.what, refusal.where, refusal.todo, refusal.code) from None
        raise
    status, lost = _Command(scope, lease, argv, fd, lambda: _beat(call, argv)).ended()
    try:
        lost = _released(scope, lease, lost)
        pin.remove(store, wanted.pin)
    except (Fault, OSError) as error:
        fault = error if isinstance(error, Fault) else fault_of(error)
        call.warn(f"not released: {fault}; it is free as soon as nobody holds its pin")
    finally:
        os.close(fd)  # not before: a waiting process would take it for a death
    if not lost:
        return status
    raise TryAgain(
        f"was lost while the command ran: {lost}",
        ids.short("ls", lease.id),
        todo="check what it did",
        code="not_held",
    )


def _beat(call: Call, argv: Sequence[str]) -> None:
    """Write that the session lives, which waits for the command.

    Only a session with an id: without one, the command may be the agent itself.
    """
    actor = call.actor()
    if "session_id" in actor:
        from coord_kernel.journal.beat import beat

        with contextlib.suppress(Fault, OSError):  # the lease is what matters
            beat(call.journal, actor, "busy", tool=f"lease with -- {argv[0]}"[:200])


def _released(scope: Scope, lease: Event, lost: str | None) -> str | None:
    """Release it, or write that it was lost; why it was."""
    try:
        if not lost:
            scope.release(lease.id, "done")
    except No as fault:
        lost = fault.what
    if lost:
        with contextlib.suppress(No):  # forgotten already
            scope.lose(lease.id, lost)
    return lost


class _Command:
    """The command, started; and the sentinel."""

    def __init__(
        self,
        scope: Scope,
        lease: Event,
        argv: Sequence[str],
        pinned: int,
        beat: Callable[[], object],
    ) -> None:
        """`beat` is called when it starts and at each renewal."""
        self._beat = beat
        self._scope, self._lease, self._ttl = scope, lease, lease["body"]["ttl_ms"] * 1_000_000
        self._lost: str | None = None
        token = lease.get("$token", lease["body"]["token"])
        environment = {**os.environ, "LEASE_ID": lease.id, "LEASE_TOKEN": str(token)}
        dies_with_parent = child.dies_with_parent()
        # Before the child: a signal that comes between is not lost.
        self._signals = child.Signals(signal.SIGCHLD, *child.PASSED_ON)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # the sentinel may be gone
        self._terminal = Foreground()
        self._child = os.fork()
        if not self._child:
            _become(argv, environment, self._terminal, dies_with_parent)
        with contextlib.suppress(OSError):  # the child does both, too: whichever is first
            os.setpgid(self._child, self._child)
        self._terminal.lend(self._child)
        reader, self._pipe = os.pipe2(os.O_CLOEXEC)
        self._renewed_at(lease)
        self._sentinel = os.fork()
        if not self._sentinel:
            _guard(self._child, reader, pinned)
        os.close(reader)

    def ended(self) -> tuple[int, str | None]:
        """Wait for its end and renew in time: its status, and why the lease was lost, if it was."""
        while not self._has_ended():
            if not self._lost and machine.boot_ns() >= self._next:
                self._renew()
            poll = select.poll()
            poll.register(self._signals.fd, select.POLLIN)
            poll.poll(max(0.0, (self._next - machine.boot_ns()) / 1e6) if not self._lost else None)
            for number in self._signals.take():
                self._signal(number)
        # The sentinel before the child: once the child is reaped, its pid may be another's.
        os.kill(self._sentinel, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(self._sentinel, 0)[1]) == FIRED:
            self._lost = self._lost or "not renewed in time"
        self._terminal.take_back()
        code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        return (128 - code if code < 0 else code), self._lost

    def _has_ended(self) -> bool:
        changed = os.waitid(
            os.P_PID, self._child, os.WEXITED | os.WSTOPPED | os.WNOWAIT | os.WNOHANG
        )
        if changed and changed.si_code == os.CLD_STOPPED:
            with contextlib.suppress(ChildProcessError):  # it ended meanwhile
                os.waitid(os.P_PID, self._child, os.WSTOPPED | os.WNOHANG)
            self._terminal.stop_with(self._child)
            return False
        return changed is not None

    def _renew(self) -> None:
        now = machine.boot_ns()
        try:
            self._renewed_at(self._scope.renew(self._lease.id, wait_s=self._ttl / 12e9))
        except No as lost:
            self._give_up(lost.what, now)
        except (Fault, OSError) as error:
            self._next = now + self._ttl // 12
            if now >= self._since + self._ttl * 2 // 3:
                self._give_up(f"not renewed in time ({error})", now)

    def _renewed_at(self, event: Event) -> None:
        self._beat()
        self._since = self._scope.began(event)
        self._next = self._since + min(self._ttl // 3, self._scope.seldom_ns)
        self._set_deadline(self._since + self._ttl * 5 // 6)

    def _give_up(self, why: str, now: int) -> None:
        self._lost = why
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        self._set_deadline(min(now + self._ttl // 6, self._since + self._ttl * 5 // 6))

    def _set_deadline(self, until: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has fired
            os.write(self._pipe, b"%d\n" % until)

    def _signal(self, number: int) -> None:
        if number != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child, number)


def _become(
    argv: Sequence[str],
    environment: dict[str, str],
    terminal: Foreground,
    dies_with_parent: Callable[[], bool],
) -> NoReturn:
    """In the child: be the command. 127 if it is not found, 126 if it cannot be run."""
    try:
        os.setpgid(0, 0)
        terminal.lend(os.getpgrp())
        if not dies_with_parent():
            os._exit(128 + signal.SIGKILL)
        child.become(argv, environment, Call.complain)
    finally:
        os._exit(Fault.status)


def _guard(group: int, pipe: int, pinned: int) -> NoReturn:
    """In the sentinel: kill the group at its deadline, or when the pipe's other end is closed.

    It holds the pin until then: the processes of the group may have closed theirs.
    """
    try:
        os.setsid()  # signals to the terminal's or the wrapper's group do not reach it
        signal.set_wakeup_fd(-1)
        for number in child.PASSED_ON:
            signal.signal(number, signal.SIG_IGN)
        kept = [os.open(os.devnull, os.O_RDWR)] * 3 + [pipe, pinned]
        for place, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD, len(kept)) for fd in kept]):
            os.dup2(fd, place)
        # Or a reader of CMD's output would wait for this process.
        os.closerange(len(kept), os.sysconf("SC_OPEN_MAX"))
        status = _time_is_up(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        os._exit(status)
    finally:
        os._exit(Fault.status)


def _time_is_up(pipe: int) -> int:
    """FIRED when the deadline read last has come, 0 at the pipe's end.

    It looks each second, as timers stop while the machine sleeps.
    """
    until = machine.boot_ns() + 1_000_000_000
    while (left := (until - machine.boot_ns()) / 1e9) > 0:
        if select.select([pipe], [], [], min(left, 1.0))[0]:
            deadlines = os.read(pipe, 4096)
            if not deadlines:
                return 0
            until = int(deadlines.split()[-1])
    return FIRED
