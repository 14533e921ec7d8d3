"""The session provider: a session is a job of run(1) in tmux, under a name that one job has.

What a session was started with may hold keys, so it is not in the journal: it is in a file of the
store that only its owner may read, and the job is `coord-gc session exec NAME`, which becomes the
command. Whether a session runs, and what became of it, is what run(1) says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from coord_envelope import BadData, Fault, No, codec, world
from coord_envelope.errors import Refused, TryAgain
from coord_envelope.event import name_ok
from coord_gc import pane
from coord_gc.cli import actor, call, given, received
from coord_kernel.proc import beside
from coord_kernel.views.view import View
from coord_run.jobs import Jobs
from coord_wk.desk import agent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

FOREVER = "366d"
PATIENCE_S, STEP_S = 30, 0.05
"""How long a session may take to come up or to end, and how often that is looked at."""
PLACE = ("local", "gc")


class Session:
    """The session of a name."""

    def __init__(self, name: str) -> None:
        self.name, self.call = name, call()
        self.store: Store = self.call.journal.store
        plain = name if name_ok(name, 50) else _digest(name)
        self.job = f"gc.{plain}"
        """The name of its job."""

    def saved(self, kind: str) -> Json:
        """What is kept of it: its `start`, or its `meta`."""
        data = self.store.load(*PLACE, f"{self.job}.{kind}")
        if data is None:
            return {}
        record = codec.loads(data)
        return record if isinstance(record, dict) else {}

    def save(self, kind: str, record: Json) -> None:
        """Keep it, for the owner of the store only."""
        self.store.save(codec.dumps(record), *PLACE, f"{self.job}.{kind}", durable=False)

    def open(self) -> Any | None:
        """The job of this name that is not over."""
        jobs = Jobs.current(View(self.store, Jobs.fold))
        return next(jobs.open_as(self.job), None)

    def label(self) -> str:
        """The tmux server in which it runs. Raises No if it does not."""
        state = self.open()
        label = pane.label(state["request"]["id"], self._attempt(state)) if state else ""
        if not label or not pane.alive(label):
            raise No(f"session not found: {self.name}", code="not_found")
        return label

    @staticmethod
    def _attempt(state: Any) -> int:
        return max((each["n"] for each in state["attempts"].values()), default=1)


def _digest(name: str) -> str:
    import hashlib  # only for a name that is not plain

    return hashlib.sha256(name.encode()).hexdigest()[:32]


def start(args: list[str]) -> None:
    """start NAME: one of many that start a name gets it; `already exists` for the others"""
    session, record = Session(args[0]), given()
    _refuse_open(session)
    if not isinstance(record.get("command", ""), str):
        raise BadData("command is not text")
    directory = record.get("work_dir") or os.getcwd()
    os.makedirs(directory, exist_ok=True)
    claimed = _request(session)
    session.save("start", {**record, "work_dir": directory, "name": args[0]})
    session.save("meta", {})
    try:
        _prepare(record, directory)
    except (Fault, OSError):
        stop(args)  # its command has not begun, and would not
        raise
    session.save("go", {"run": claimed})
    label = _up(session)
    _settle(session, label, record, directory)


def _refuse_open(session: Session) -> None:
    """Raise No if a session has the name. One without a terminal comes up, or ends: wait for it."""
    end = time.monotonic() + PATIENCE_S
    while session.open():
        if _there(session.name) or time.monotonic() > end:
            raise No(f"session already exists: {session.name}", code="held")
        time.sleep(STEP_S)


def _request(session: Session) -> str:
    """Start the job of its name; the job. Raises No if the name has one."""
    argv = ["run", "exec", "--detach", "--name", session.job, "--substrate", "tmux"]
    argv += ["--timeout", FOREVER, "-o", "id", "--", sys.executable, "-m", "coord_gc.pane"]
    argv += [session.store.path, session.job]
    done = _run(*argv)
    if done.returncode:
        if done.returncode == No.status and session.open():
            raise No(f"session already exists: {session.name}", code="held")
        raise TryAgain(done.stderr.strip() or "run exec failed", where=session.name)
    return done.stdout.strip()


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    root = world.getenv("COORD_DIR")
    env = {**os.environ, "PATH": beside.path(), "COORD_AGENT": agent_of(actor())}
    env |= {"COORD_DIR": root} if root else {}
    return subprocess.run(argv, env=env, capture_output=True, text=True)


def _prepare(record: Json, directory: str) -> None:
    """Overlays, files, and the commands before the start. Raises Refused, TryAgain."""
    overlays = [*(record.get("pack_overlay_dirs") or ()), record.get("overlay_dir")]
    for overlay in filter(None, overlays):
        if os.path.isdir(overlay):
            _copy(overlay, directory, "")
    for copy in record.get("copy_files") or ():
        source = copy.get("src") or copy.get("Src") or ""
        _copy(source, directory, copy.get("rel_dst") or copy.get("RelDst") or "")
    for command in record.get("pre_start") or ():
        _shell(command, record, directory)


def _copy(source: str, directory: str, name: str) -> None:
    """Copy a file or a tree to this name below a directory. Raises Refused if it is not below it.

    Links of the directory are followed, so it is looked at where each file would be written; not
    again while it is.
    """
    import shutil

    target = os.path.join(directory, name)
    if os.path.isdir(source):
        for at, _, files in os.walk(source):
            here = os.path.normpath(os.path.join(target, os.path.relpath(at, source)))
            for each in (here, *(os.path.join(here, file) for file in files)):
                _refuse_outside(directory, each)
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    elif os.path.exists(source):
        inside = os.path.join(target, os.path.basename(source)) if os.path.isdir(target) else target
        _refuse_outside(directory, inside)
        os.makedirs(os.path.dirname(inside) or ".", exist_ok=True)
        shutil.copy2(source, inside)


def _refuse_outside(directory: str, path: str) -> None:
    root = os.path.realpath(directory)
    if os.path.commonpath((root, os.path.realpath(path))) != root:
        todo = "name a file below it"
        raise Refused(f"is outside of the working directory {directory}", where=path, todo=todo)


def _shell(command: str, record: Json, directory: str) -> None:
    env = {**os.environ, **{k: str(v) for k, v in (record.get("env") or {}).items()}}
    done = subprocess.run(["sh", "-c", command], cwd=directory, env=env, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)  # fmt: skip
    if done.returncode:
        said = done.stderr.strip() or f"exit status {done.returncode}"
        raise TryAgain(said, where=command[:80])


def _up(session: Session) -> str:
    """Wait until its terminal is there; the tmux server. Raises TryAgain."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return session.label()
        except No:
            if session.open() is None:
                return ""  # it ended at once, as the command of a test may
            time.sleep(STEP_S)
    raise TryAgain("did not come up", where=session.name)


def _settle(session: Session, label: str, record: Json, directory: str) -> None:
    """What follows the start: setup, and the first words when it is ready for them."""
    for command in record.get("session_setup") or ():
        _shell(command, record, directory)
    if record.get("session_setup_script"):
        _shell(record["session_setup_script"], record, directory)
    for command in record.get("session_live") or ():
        _shell(command, record, directory)
    if not label:
        return
    prefix = record.get("ready_prompt_prefix") or ""
    if prefix:
        end = time.monotonic() + PATIENCE_S
        while prefix not in pane.text(label, 0) and time.monotonic() < end:
            time.sleep(STEP_S)
    elif record.get("ready_delay_ms"):
        time.sleep(min(int(record["ready_delay_ms"]), 60_000) / 1_000)
    if record.get("nudge"):
        pane.say(label, record["nudge"])


def stop(args: list[str]) -> None:
    """stop NAME: does nothing if it does not run"""
    session = Session(args[0])
    state = session.open()
    if state is None:
        return
    run = state["request"]["id"]
    label = pane.label(run, session._attempt(state))
    done = _run("run", "cancel", run)
    if done.returncode and session.open():
        raise TryAgain(done.stderr.strip(), where=args[0])
    end = time.monotonic() + PATIENCE_S / 2
    while session.open() and time.monotonic() < end:
        time.sleep(STEP_S)
    pane.end(label)


def _there(name: str) -> str:
    try:
        return Session(name).label()
    except No:
        return ""


def is_running(args: list[str]) -> str:
    """is-running NAME"""
    return "true" if _there(args[0]) else "false"


def process_alive(args: list[str]) -> str:
    """process-alive NAME: does one of the programs on stdin run in it?"""
    names = set(received().decode("utf-8", "replace").split())
    label = _there(args[0])
    return "true" if label and (not names or names & pane.programs(label)) else "false"


def interrupt(args: list[str]) -> None:
    """interrupt NAME: Ctrl-C; nothing if it does not run"""
    if label := _there(args[0]):
        pane.keys(label, "C-c")


def nudge(args: list[str]) -> None:
    """nudge NAME: type the text on stdin, then Enter; nothing if it does not run"""
    if label := _there(args[0]):
        pane.say(label, received().decode("utf-8", "replace"))


def send_keys(args: list[str]) -> None:
    """send-keys NAME KEY...: names of tmux"""
    if label := _there(args[0]):
        pane.keys(label, *args[1:])


def peek(args: list[str]) -> str:
    """peek NAME N: the last lines of its terminal"""
    most = int(args[1]) if len(args) > 1 and args[1].isdecimal() else 0
    return pane.text(Session(args[0]).label(), most)


def attach(args: list[str]) -> None:
    """attach NAME: becomes tmux"""
    argv = pane.command(Session(args[0]).label(), "attach", "-t", "job")
    os.execvp(argv[0], argv)


def set_meta(args: list[str]) -> None:
    """set-meta NAME KEY: the value is stdin"""
    session = Session(args[0])
    with session.store.lock():
        session.save(
            "meta", session.saved("meta") | {args[1]: received().decode("utf-8", "replace")}
        )


def get_meta(args: list[str]) -> str:
    """get-meta NAME KEY: empty if it is not set"""
    return str(Session(args[0]).saved("meta").get(args[1], ""))


def remove_meta(args: list[str]) -> None:
    """remove-meta NAME KEY"""
    session = Session(args[0])
    with session.store.lock():
        session.save("meta", {k: v for k, v in session.saved("meta").items() if k != args[1]})


def list_running(args: list[str]) -> str | None:
    """list-running PREFIX: a name a line"""
    prefix = args[0] if args else ""
    store: Store = call().journal.store
    names = []
    for file in sorted(store.listdir(*PLACE)):
        job, dot, kind = file.rpartition(".")
        data = store.load(*PLACE, file) if dot and kind == "start" else None
        name = codec.loads(data)["name"] if data else ""
        if job and name and name.startswith(prefix) and _there(name):
            names.append(name)
    return "\n".join(names) if names else None


def last_activity(args: list[str]) -> str | None:
    """get-last-activity NAME"""
    label = _there(args[0])
    if not label:
        return None
    return world.format_ts(pane.activity(label) * 1_000)


def clear(args: list[str]) -> None:
    """clear-scrollback NAME"""
    if label := _there(args[0]):
        pane.clear(label)


def copy_to(args: list[str]) -> None:
    """copy-to NAME SRC DST: DST is below the working directory of the session"""
    directory = Session(args[0]).saved("start").get("work_dir")
    if not directory:
        raise No(f"session not found: {args[0]}", code="not_found")
    _copy(args[1], directory, args[2])


def check_image(args: list[str]) -> None:
    """check-image IMG: sessions run on this machine, without an image"""


OPERATIONS: dict[str, tuple[Callable[[list[str]], object], int]] = {
    "start": (start, 1),
    "stop": (stop, 1),
    "interrupt": (interrupt, 1),
    "is-running": (is_running, 1),
    "process-alive": (process_alive, 1),
    "attach": (attach, 1),
    "nudge": (nudge, 1),
    "send-keys": (send_keys, 2),
    "peek": (peek, 1),
    "set-meta": (set_meta, 2),
    "get-meta": (get_meta, 2),
    "remove-meta": (remove_meta, 2),
    "list-running": (list_running, 0),
    "get-last-activity": (last_activity, 1),
    "clear-scrollback": (clear, 1),
    "copy-to": (copy_to, 3),
    "check-image": (check_image, 1),
}
