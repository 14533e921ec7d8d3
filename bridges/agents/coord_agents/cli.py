"""The commands of coord-agent."""

from __future__ import annotations

from coord_agents import groups as g
from coord_agents import presets as registry
from coord_envelope import No, Usage
from coord_envelope.platform import suppress
from coord_kernel.cli import process, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents import options as o
    from coord_kernel.cli.call import Call


def start(call: Call, name: o.Name, running: g.Running, task: g.Task) -> None:
    """Start an agent as a supervised process.

    With --work or --claim the item is claimed for it first. It counts as started when it has shown
    a sign of life or its first output; if it does not come up, job and claim are undone. Prints the
    session.
    """
    from coord_agents import starting

    if running.preset is None:
        raise Usage("--preset is missing", todo="see `coord-agent presets`")
    agent = values.agent_id(name, "NAME")
    call.put([starting.start(call, agent, registry.named(running.preset), running, task)])


def ls(call: Call, all_: o.All = False) -> None:
    """List sessions: how they are, on what, and where.

    The id is the name of the agent; `-o id` prints those of the sessions.
    """
    from coord_agents.rows import Rows

    call.put(Rows(call.journal.store, registry.load()).listed(all_))


def show(call: Call, name: o.Which) -> None:
    """Show a session: item, record, deliveries, usage.

    Of an agent the last one.
    """
    from coord_agents.rows import Rows

    rows = Rows(call.journal.store, registry.load())
    call.put([rows.detailed(rows.named(name))])


def attach(call: Call, name: o.Which) -> None:
    """Show what a session does, and type to it.

    Via tmux, its terminal; leave it with the keys of tmux (Ctrl-b d). Otherwise its output as it
    comes, as `run attach` does.
    """
    from coord_agents import starting

    starting.attach(call, name)


def say(call: Call, name: o.Name, text: o.Text) -> None:
    """Send an agent mail, and deliver it.

    The first line is the subject. Prints the message, and what came of the delivery.
    """
    from coord_agents.deliver import Deliverer
    from coord_agents.tools import Tools

    agent, words = values.agent_id(name, "NAME"), values.text(text, "TEXT").strip()
    if not words:
        raise Usage("empty value: TEXT")
    me = call.actor()["agent_id"]
    subject = words.partition("\n")[0][:200]
    tools = Tools(me, ".")
    known = ["--force"] if _has_session(call, name) else []  # it may not have written yet
    mail = ["--to", agent, "--subject", subject, "--body", f"{words}\n", *known]
    call.put(tools.run("msg", "send", *mail))
    call.put(Deliverer(call.journal, registry.load(), me).deliver(agent))


def _has_session(call: Call, name: str) -> bool:
    from coord_agents.starting import rows_of

    with suppress(No):
        return bool(rows_of(call).named(name))
    return False


def deliver(call: Call, names: o.OptionalNames = None) -> None:
    """Wake agents that have unread mail.

    Each in the best way that its runtime has: a pointer is given to it, never the text, and never
    while it is at work, unless it queues what is typed. Prints the outcomes: delivered, busy, gone,
    unknown. Mail that was delivered to the session before is not delivered again.
    """
    from coord_agents.deliver import Deliverer

    deliverer = Deliverer(call.journal, registry.load(), call.actor()["agent_id"])
    wanted = [values.agent_id(name, "NAME") for name in names or ()] or deliverer.agents()
    for agent in wanted:
        call.put(deliverer.deliver(agent))


def stop(call: Call, name: o.Which) -> None:
    """Stop a session: its job, then what it holds.

    Its work tree stays. Exits 1 if it is over.
    """
    from coord_agents import starting

    call.put([starting.stop(call, name)])


def finish(call: Call, sessions: o.Sessions = None) -> None:
    """End sessions whose work is done.

    Those of programs that would go on: started with --work or --claim, which hold no item any more,
    are idle, and that nobody is attached to. Never within a turn. Prints those that ended.
    """
    from coord_agents import starting

    call.put(starting.finished(call, sessions))


def restart(call: Call, name: o.Which, running: g.Running) -> None:
    """Stop a session if it runs, and start the next one.

    With the same runtime, item and work tree, if that is still there. --preset takes another
    runtime: then the new one reads in the item what was done.
    """
    from coord_agents import starting

    call.put([starting.again(call, name, running, "start")])


def resume(call: Call, name: o.Which, running: g.Running) -> None:
    """Continue the conversation of a session.

    In the same directory, with the same item if nobody else holds it. Exits 1 if it is not over, or
    its runtime cannot.
    """
    from coord_agents import starting

    call.put([starting.again(call, name, running, "resume")])


def seance(call: Call, name: o.Which, question: o.Question) -> int:
    """Ask a session that is over, and print the answer.

    A copy of its conversation answers, in its directory, which is read-only to it; it holds
    nothing, and its name is NAME.seance. Exits 69 if its record is gone, and prints its last
    hand-over instead.
    """
    from coord_agents import seance as asking

    return asking.seance(call, name, values.text(question, "QUESTION"))


def usage(call: Call, sessions: o.Sessions = None) -> None:
    """Report what sessions used.

    Of each job that is over, once, as usage.reported. Prints what was reported now.
    """
    from coord_agents import starting

    call.put(starting.reported(call, sessions))


def presets(call: Call) -> None:
    """List the runtimes, and what is known of each.

    `tried` is the version that was seen running a turn; without it the record is from manuals.
    """
    call.put(
        {k: v for k, v in record.row().items() if v is not None}
        for record in registry.load().values()
    )


def drive(call: Call, argv: o.Argv, talk: g.Talk) -> int:
    """Drive a program by messages on its pipes.

    What `start --via acp`, stream-json, app-server and rpc run in their job: it speaks the protocol
    with the program, gives it what is delivered, and asks a person for the permissions that it asks
    for. Prints what the program says.
    """
    from coord_agents.drive import driver
    from coord_agents.drive.protocols import protocol

    if not call.actor().get("session_id"):
        raise Usage("COORD_SESSION is not set", todo="use `coord-agent start`")
    return driver.run(call.journal, call.actor(), protocol(talk), argv)


COMMANDS = (
    *(start, ls, show, attach, say, deliver),
    *(stop, finish, restart, resume, seance, usage, presets, drive),
)
ABOUT = "Start coding agents, reach them, wake them, and let the next one go on."


def main() -> None:
    process.run("coord-agent", ABOUT, COMMANDS, "coord_agents.options", {})
