"""Many who claim and lease a few things with real commands, what each was told, and who kills and stops them."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from proof.linear import Op
from support import Json, Shell

AGENTS, SESSIONS, THINGS = 4, 4, 3
STOPPED_S = 0.5
"""At most. The lock is waited for 10 s."""
Chances = dict[str, int]
CLAIMED: Chances = {"release": 6, "close": 2, "claim": 2, "show": 1}
UNCLAIMED: Chances = {"claim": 9, "reopen": 3, "release": 1, "close": 1, "show": 1}
LEASED: Chances = {"renew": 4, "release": 6, "acquire": 1, "ls": 1}
UNLEASED: Chances = {"acquire": 9, "ls": 3, "renew": 1, "release": 1}
"""How likely each command is of who has the thing, as far as he knows, and of who has not."""
_WHAT = re.compile(r": (is (?:held by [\w:]+|[\w ,]+))")


class Crowd:
    """Who they are, what they want, and what came of it."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.items = shell("wk new -o id", '{"title":"wanted"}\n' * THINGS).out.split()
        self.resources = [f"r{n}" for n in range(THINGS)]
        self.ops: dict[str, list[Op]] = defaultdict(list)
        """By thing."""
        self.acked: list[str] = []
        """The events that were printed."""
        self.ends, self.harms, self._begun = Counter[int](), Counter[str](), 0
        self._alive: dict[int, subprocess.Popen[bytes]] = {}
        self._has: dict[str, set[str]] = defaultdict(set)
        self._lease: dict[tuple[str, str], tuple[str, int]] = {}

    def run(self, members: int, commands: int, harms: float) -> None:
        """So many at once, each one command after the other, and so many harms for each command."""
        over = threading.Event()
        nemesis = threading.Thread(target=self._harm, args=(over, harms))
        nemesis.start()
        try:
            with ThreadPoolExecutor(members) as threads:
                for done in [threads.submit(self._live, n, commands) for n in range(members)]:
                    done.result()
        finally:
            over.set()
            nemesis.join()
        for thing in (*self.items, *self.resources):
            self._do("agent:last/s", thing, "show" if thing in self.items else "ls")

    def _live(self, number: int, commands: int) -> None:
        chance = random.Random(number)
        who = f"agent:a{number % AGENTS}/s{number // AGENTS % SESSIONS}"
        for _ in range(commands):
            mine = sorted(self._has[who])
            thing = chance.choice(
                mine if mine and chance.random() < 0.6 else [*self.items, *self.resources]
            )
            if thing in self.items:
                verbs = CLAIMED if thing in mine else UNCLAIMED
            else:
                verbs = LEASED if thing in mine else UNLEASED
            (verb,) = chance.choices([*verbs], [*verbs.values()])
            if (
                verb not in ("renew", "release")
                or thing in self.items
                or (who, thing) in self._lease
            ):
                self._do(who, thing, verb, chance.choice(("**", "*.py", "a.py")))

    def _do(self, who: str, thing: str, verb: str, glob: str = "**") -> None:
        """Run it, and note down what it was told."""
        lease, token = self._lease.get((who, thing), ("", 0))
        resource = f"'file:{thing}/{glob}'"
        words = {
            "acquire": f"{resource} --ttl 1h",
            "ls": resource,
            "renew": lease,
            "release": lease,
        }
        line = f"wk {verb} {thing}" if thing in self.items else f"lease {verb} {words[verb]}"
        call = time.monotonic_ns()
        status, out, err = self._ran(who, line)
        back = time.monotonic_ns()
        assert status in (0, 1, 75, -signal.SIGKILL), f"{line}: exit {status}: {err}"
        self.ends[status] += 1
        printed = [
            json.loads(one) for one in out.split("\n")[:-1]
        ]  # half a line is of one who was killed
        self.acked += [one["event_id"] for one in printed if "event_id" in one]
        if status == 75:
            return  # it did not get the lock, and so did nothing
        if verb in ("acquire", "ls"):
            lease, token = _found(printed)
        told = status >= 0 or bool(printed)
        agent = who.partition("/")[0]  # one's own claim or lease is called "yours"
        err = re.sub(r"is held by you(r session \S+)?", f"is held by {agent}", err)
        about = 0 if thing in self.items else token
        op = Op(call, back, who, verb, answer(verb, status, printed, err) if told else None, about)
        self.ops[thing].append(op)
        self._learn(thing, op, lease)
        if verb == "acquire" and not told:
            self._do(who, thing, "ls", glob)  # nobody else can give back what it may have acquired

    def _learn(self, thing: str, op: Op, lease: str) -> None:
        """What its agent knows now: that it has the thing, or has it no more."""
        if op.verb in ("acquire", "ls") and op.saw in ("0", f"0 {op.who} {op.token}"):
            self._lease[op.who, thing] = lease, op.token
        saw = op.saw or ""
        if (op.verb in ("claim", "acquire") and saw[:1] == "0") or op.who in saw:
            self._has[op.who].add(thing)
        elif op.verb in ("release", "close", "ls", "show"):
            self._has[op.who].discard(thing)

    def _ran(self, who: str, line: str) -> tuple[int, str, str]:
        agent, _, session = who.partition("/")
        line = f"env COORD_AGENT={agent} COORD_SESSION={session} {line}"
        child = self._shell.popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._alive[child.pid] = child
        self._begun += 1
        out, err = child.communicate()
        del self._alive[child.pid]
        return child.returncode, out.decode(), err.decode()

    def _everyone(self) -> list[int]:
        return [*self._alive]

    def _harm(self, over: threading.Event, harms: float) -> None:
        """Kill or stop somebody now and then, by turns anyone and one who has a lock."""
        chance = random.Random(7)
        for aim in cycle((locked, self._everyone)):
            chosen = list[int]()
            while not chosen or self.harms.total() >= harms * self._begun:
                if over.wait(0.0005):  # a lock is seldom had for long
                    return
                chosen = [pid for pid in aim() if pid in self._alive]
            child = self._alive.get(chance.choice(chosen))
            if child is None:
                continue
            if chance.random() < 0.6:
                time.sleep(chance.uniform(0, 0.004))  # from before the write to behind the print
                child.kill()
                self.harms["killed"] += 1
            else:
                child.send_signal(signal.SIGSTOP)
                threading.Timer(
                    chance.uniform(0, STOPPED_S), child.send_signal, [signal.SIGCONT]
                ).start()
                self.harms["stopped"] += 1


def locked() -> list[int]:
    """The processes that have a lock."""
    found = re.findall(r"FLOCK +ADVISORY +\w+ (\d+)", Path("/proc/locks").read_text())
    return [int(pid) for pid in found]


def answer(verb: str, status: int, printed: list[Json], err: str) -> str:
    """The exit status, and of what was printed or said as much as another's doing could change."""
    if status == 1:
        return f"1 {' '.join(_WHAT.findall(err)) or err}".removesuffix(" since")
    if verb == "ls":
        held = [f"{whole(one['holder'], one)} {one['token']}" for one in printed]
        return f"0 {', '.join(held) or 'nobody'}"
    (one,) = printed or [{}]
    if verb == "show":
        claim = one.get("claim")
        return f"0 {one.get('status')}" + (
            f" {whole(claim['agent'], claim)} {claim['gen']}" if claim else ""
        )
    token = [f"token {one.get('$token')}"] if verb == "claim" else []
    return " ".join(["0", *token, *(["again"] if "$dup" in one else [])])


def whole(agent: str, of: Json) -> str:
    return f"{agent}/{of.get('session')}"


def _found(printed: list[Json]) -> tuple[str, int]:
    """The lease that `acquire` or `ls` printed; if there were several, the first."""
    one = (printed or [{}])[0]
    return one.get("lease_id") or one.get("event_id", ""), one.get("token") or one.get(
        "body", {}
    ).get("token", 0)
