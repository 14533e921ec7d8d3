"""An AWS Lambda function that publishes what it is called with, as an event, through coord-relay.

It needs no package. Environment: COORD_RELAY, such as https://relay.example.org/acme, and
COORD_TOKEN, from `coord-relay token`. The function's name becomes the type, such as
`lambda.resized`. A call that is repeated has the same request or message id: it is written once.
"""

import json
import os
import urllib.request


def handler(event, context):
    key = event.get("id") or context.aws_request_id  # EventBridge has an id of its own
    draft = {
        "type": f"lambda.{context.function_name}",
        "idempotency_key": f"lambda:{key}",
        "body": {"event": event},
    }
    request = urllib.request.Request(
        f"{os.environ['COORD_RELAY']}/publish",
        json.dumps(draft).encode(),
        {"Authorization": f"Bearer {os.environ['COORD_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {"event_id": json.load(answer)["event_id"]}
