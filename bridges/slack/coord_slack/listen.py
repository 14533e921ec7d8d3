"""Slack's Socket Mode: what comes is on the disk before it is acknowledged.

Slack sends again what was not acknowledged within three seconds, to whichever connection there is;
its key makes it one. What was written while there was no connection is read from the channels when
there is one again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slack_sdk.socket_mode.builtin.client import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

from coord_envelope.errors import Fault, Refused, TryAgain
from coord_kernel import Journal, Store
from coord_kernel.cli.complaints import complain
from coord_slack import failures, inbound
from coord_slack.bridge import Bridge
from coord_slack.fold import AGENT

if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_slack.api import Api
    from coord_slack.settings import Settings

THREADS = 20
"""Threads that are read again after a pause; of older ones what was written then is not seen."""
PING_S = 30


class Inlet:
    """Writes what comes. Each time with a journal of its own: it is called from several threads."""

    def __init__(self, store: Store, settings: Settings, api: Api) -> None:
        self._store, self._settings, self._api = store, settings, api

    def take(self, draft: Json | None) -> None:
        """Put it on the disk, unless it is there. Raises Fault.

        What looks like a credential is not kept, only that it came.
        """
        if draft is None:
            return
        journal = self._journal()
        if journal.index.refresh().by_key(draft["type"], draft["idempotency_key"]):
            return
        try:
            journal.append({"agent_id": AGENT}, [draft])
        except Refused as fault:
            body = draft["body"] | {"text": "", "refused": fault.what[:200]}
            journal.append({"agent_id": AGENT}, [draft | {"body": body}])

    def catch_up(self) -> None:
        """Read what was written in the channels since the newest message known. Raises Fault.

        All is read before any is written: a failure in between would move what is newest.
        """
        bridge = Bridge(self._journal(), self._settings, None, lambda _: None)
        since = {name: bridge.last(name) for name in self._settings.channels}
        places = [(name, None) for name in since]
        found: dict[tuple[str, str], Json] = {}
        for channel, root in (*places, *bridge.threads(THREADS)):
            for message in self._api.messages(channel, root, since[channel]):
                if str(message.get("ts")) > since[channel]:
                    found[str(message["ts"]), channel] = message
        for (_, channel), message in sorted(found.items(), key=lambda each: each[0]):
            self.take(inbound.of_history(message, channel, self._settings))

    def _journal(self) -> Journal:
        return Journal(Store(self._store.path, self._store.project))


def listening(inlet: Inlet, settings: Settings, api: Api) -> SocketModeClient:
    """A connection that is kept; close it at the end. Raises Fault if there is none now."""
    url = api.socket(settings.app())
    client = SocketModeClient(
        app_token=settings.app(), web_client=api.client, concurrency=1, ping_interval=PING_S
    )

    def on_request(client: Any, request: Any) -> None:
        try:
            if request.type == "events_api":
                inlet.take(inbound.of_message(request.payload.get("event"), settings))
            elif request.type == "interactive":
                inlet.take(inbound.of_action(request.payload, settings))
        except Fault as fault:  # not acknowledged: it comes again
            complain(fault)
            return
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    def on_message(client: Any, message: Json, _raw: str | None) -> None:
        if message.get("type") == "hello":
            try:
                inlet.catch_up()
            except Fault as fault:
                complain(fault)
                client.disconnect()  # so that it connects again, and reads again

    client.socket_mode_request_listeners.append(on_request)
    client.message_listeners.append(on_message)
    logger = logging.getLogger("slack_sdk")
    logger.addHandler(_Complaints(logging.WARNING))
    logger.propagate = False
    client.wss_uri = url
    try:
        client.connect()
    except Exception as error:  # of ssl, sockets and the handshake
        client.close()
        raise failures.lost(error, "Socket Mode") from None
    return client


class _Complaints(logging.Handler):
    """What the library logs, as one line each: it goes on by itself."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(TryAgain(record.getMessage().partition("\n")[0][:300], where="Socket Mode"))
