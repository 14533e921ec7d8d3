"""Names of a log on JetStream: a stream, and a subject below its project.

    log acme.shop                       stream coord-acme%2Eshop, subjects coord.acme%2Eshop.>
    subject k3f9x2ab/agent.a~k3f9x2ab   coord.acme%2Eshop.k3f9x2ab.agent%2Ea~k3f9x2ab
    subject arbiter                     coord.acme%2Eshop.arbiter

A dot separates what permissions and filters tell apart, so a dot in a name is written `%2E`. Names
have no capital letters: no name contains that.
"""

from __future__ import annotations

_DOT = "%2E"


def stream(name: str) -> str:
    """The JetStream stream of a log."""
    return f"coord-{_escaped(name)}"


def subjects(name: str) -> str:
    """All subjects of a log."""
    return f"coord.{_escaped(name)}.>"


def live_stream(name: str) -> str:
    """The JetStream stream of what replicas tell: in memory, one message each, for some minutes."""
    return f"coordlive-{_escaped(name)}"


def live_subject(name: str, replica: str) -> str:
    """The subject of a replica in it; `*`: of all."""
    return f"coordlive.{_escaped(name)}.{replica}"


def subject(name: str, ours: str) -> str:
    """The NATS subject of one of `coord_kernel.sync.live.log`."""
    return f"coord.{_escaped(name)}.{_escaped(ours).replace('/', '.')}"


def ours(nats_subject: str) -> str:
    """The inverse of `subject`."""
    return nats_subject.split(".", 2)[2].replace(".", "/").replace(_DOT, ".")


def _escaped(name: str) -> str:
    return name.replace(".", _DOT)
