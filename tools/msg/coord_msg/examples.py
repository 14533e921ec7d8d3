"""Examples for the help of each command; `tests/test_help.py` parses them."""

EXAMPLES = {
    "send": (
        "msg send --to bob --subject 'Review, please' --work wk-78qeh4r6",
        "git diff | msg send --to queue:review --subject 'branch login' --body -",
        "msg send --to all --subject 'The build is red' --severity high",
    ),
    "recv": ("msg recv --ack", "msg recv -f --text", "msg recv queue:review --wait 10m"),
    "ack": ("msg ack msg-78qeh4r6", "msg recv | msg ack", "msg ack --all"),
    "nack": ("msg nack msg-78qeh4r6 --reason 'no disk' --delay 5m",),
    "read": ("msg read msg-78qeh4r6", "msg ls --unread -o id | msg read"),
    "unread": ("msg unread msg-78qeh4r6",),
    "reply": (
        "msg reply msg-78qeh4r6 --body 'done'",
        "make test 2>&1 | msg reply msg-78qeh4r6",
    ),
    "ls": ("msg ls ada", "msg ls --from bob --all -n 20"),
    "search": ("msg search 'login safari'",),
    "show": ("msg show msg-78qeh4r6", "msg ls -o id | msg show"),
    "thread": ("msg thread msg-78qeh4r6",),
    "dead": ("msg dead", "msg dead queue:review"),
    "requeue": ("msg requeue msg-78qeh4r6", "msg dead | msg requeue"),
    "join": ("msg join group:reviewers", "msg join chan:build --retain 7d"),
    "leave": ("msg leave group:reviewers",),
    "save": ("msg save msg-78qeh4r6 files",),
    "hook": ("msg hook claude --event UserPromptSubmit",),
    "watch": ("msg watch", "msg watch -o brief"),
}
