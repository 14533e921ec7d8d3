#!/usr/bin/env bash
# The main job: two agents share work, in a scratch repository that is gone afterwards.
# Everything shown is run for real; lines that begin with $ are the commands.
set -euo pipefail

command -v jq >/dev/null || {
  echo "demo: jq is missing; it stands in the middle of the pipes. Install it (apt install jq, brew install jq) and try again." >&2
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

# What is asked for here is refused, with this status; that is the point.
refused() {
  local status=0
  run "$2" 2>&1 || status=$?
  [ "$status" = "$1" ] || { echo "demo: exit $status, not $1: $2" >&2; exit 1; }
  printf '%s[exit %s]%s\n' "$dim" "$1" "$plain"
}

say 'A repository gets a store. It is a directory; nothing runs.'
run 'ev init'

say 'Agent 1, "builder", says what there is to do. The printer waits for the parser.'
export COORD_AGENT=builder
run "wk new 'Write the parser' -p 1 -o id"
parser=$(wk ready -o id); export parser
printf '%s$ %s%s\n' "$bold" 'export parser=$(wk ready -o id)' "$plain"
run 'wk new "Write the printer" --blocked-by $parser -o id'
run 'wk ls -o table'

say 'A pipe: whoever made an item gets mail when it is closed. It runs in the background from here on.'
pipe="ev tail -f --cursor postman --type work.closed | wk show | jq --unbuffered -c '{to:.created.by, subject:\"done: \\(.title)\", text:.closed.note, work:.work_id, idempotency_key:\"\\(.work_id) \\(.closed.ts)\"}' | msg send >/dev/null"
printf '%s$ %s &%s\n' "$bold" "$pipe" "$plain"
set -m  # a process group of its own, so that the whole pipe can be ended
COORD_AGENT=postman bash -c "$pipe" &
pipe_group=$!
set +m

say 'Agent 2, "fixer", takes the first that is ready. However many ask at once, one gets it; the others learn who.'
export COORD_AGENT=fixer
run 'wk ready --claim -o brief'
refused 1 'wk claim $parser --as builder'

say 'It edits what nobody else may edit meanwhile. Here builder tries: its command does not run, and it learns why.'
run "mkdir -p src && lease with 'file:src/**' -- sh -c 'echo grammar >src/parser.py; lease with file:src/parser.py --as builder -- rm src/parser.py; echo \"builder got \$?; the file is \$(cat src/parser.py)\"' 2>&1"

say 'Fixer is done. The status of the printer is not changed by anyone: it follows from that.'
run "wk mine | wk close --note 'see src/parser.py' | jq -c '{type, body}'"
run 'wk ls --all -o table'

say 'What happened to the parser, as a person sees it.'
run 'wk show $parser -o table'

say 'The mail has come. Builder reads, answers in the same thread, and acks. Unacked mail is printed again, so none is lost.'
export COORD_AGENT=builder
until_seen 'msg recv -o id'
run 'msg recv -o table'
run "msg recv | jq -c '{to:\"agent:fixer\", thread:.refs.thread_id, work:.refs.work_id, subject:\"thank you\", text:\"the printer is yours, too\"}' | msg send -o table"
run 'msg recv | msg ack -o id'
run 'msg recv'

say 'Again is no harm: the same close is the same event (note "$dup"), and nothing is sent twice.'
run "wk close \$parser --note 'see src/parser.py' --as fixer | jq -c '{event_id, \"\$dup\"}'"

say 'Who is here, and the whole history; it is plain JSON Lines in .coord/journal, one file a writer.'
run 'coord status -o table'
run 'ev replay -o table'
run 'ev verify && ls .coord/journal'
printf '\n%sdemo: done.%s Next: README.md, and `coord man wk`.\n' "$bold" "$plain"
