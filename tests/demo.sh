#!/usr/bin/env bash
# The main job: two agents and a pipe between them, in a scratch repository that is gone afterwards.
# Everything shown is run for real; lines that begin with $ are the commands.
set -euo pipefail

command -v jq >/dev/null || {
  echo "demo: jq is missing; it stands in the middle of the pipe. Install it (apt install jq, brew install jq) and try again." >&2
  exit 1
}
command -v git >/dev/null || { echo "demo: git is missing; install it and try again." >&2; exit 1; }

unset COORD_DIR COORD_SESSION COORD_NOW
scratch=$(mktemp -d)
pipe_group=
finish() {
  if [ -n "$pipe_group" ]; then kill -- "-$pipe_group" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 141' PIPE
mkdir "$scratch/acme" && cd "$scratch/acme"
git init -q

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
say() { printf '\n%s# %s%s\n' "$dim" "$1" "$plain"; }
run() { printf '%s$ %s%s\n' "$bold" "$1" "$plain"; bash -o pipefail -c "$1"; }
# Waits for what another process does: no sleep is long enough on a slow machine.
until_seen() { for _ in $(seq 300); do [ -n "$(eval "$1")" ] && return; sleep 0.1; done; echo "demo: waited in vain: $1" >&2; exit 1; }

say 'A repository gets a store. It is a directory; nothing runs.'
run 'ev init'

say 'A pipe: whenever a build fails, the agent "fixer" gets mail. It runs in the background from here on.'
pipe="ev tail -f --cursor postman --type ci.failed | jq --unbuffered -c '{to:\"agent:fixer\", subject:\"\\(.body.test) failed\", text:.body.log, work:.refs.work_id, cause:.event_id, idempotency_key:.event_id}' | msg send >/dev/null"
printf '%s$ %s &%s\n' "$bold" "$pipe" "$plain"
set -m  # a process group of its own, so that the whole pipe can be ended
COORD_AGENT=postman bash -c "$pipe" &
pipe_group=$!
set +m

say 'Agent 1, "builder", reports what its builds did. Each event is printed when it is on the disk.'
export COORD_AGENT=builder
run "ev emit ci.passed --body '{\"test\":\"test_login\"}' --ref work_id=acme-1"
run "ev emit ci.failed --body '{\"test\":\"test_checkout\",\"log\":\"expected 12.50, got 12.05\"}' --ref work_id=acme-2 --key build-7 -o table"
until_seen 'msg recv --as fixer -o id'

say 'Agent 2, "fixer", reads its mail, mends the code, says so, and acks. Unacked mail is printed again, so none is lost.'
export COORD_AGENT=fixer
run 'msg recv -o table'
run "msg recv | jq -c '{to:\"agent:builder\", thread:.refs.thread_id, work:.refs.work_id, subject:\"fixed: \\(.body.subject)\", text:\"a comma went astray\"}' | msg send -o table"
run 'msg recv | msg ack -o id'
run 'msg recv'

say 'Builder finds the answer, in the same thread.'
export COORD_AGENT=builder
run 'msg recv --ack -o table'

say 'Nothing is sent twice: the same build reported again is the same event (note "$dup").'
run "ev emit ci.failed --body '{\"test\":\"test_checkout\",\"log\":\"expected 12.50, got 12.05\"}' --ref work_id=acme-2 --key build-7 | jq -c '{event_id, \"\$dup\"}'"

say 'Everybody who took part, and the whole history; it is plain JSON Lines in .coord/journal, one file a writer.'
run 'ev agents -o table'
run 'ev replay -o table'
run 'ev verify && ls .coord/journal'
printf '\n%sdemo: done.%s Next: README.md, and `man ./tools/ev/ev.1`.\n' "$bold" "$plain"
