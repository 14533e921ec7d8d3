"""What runs in the Sprite: the scripts that start a command, follow it, signal it and end it.

The command does not depend on a link. Its output goes to files, and who follows it says how many
bytes of them it has: so after a cut it goes on at exactly that byte, and nothing is lost or comes
twice, whatever the Sprite's own sessions keep.

    ~/.coord-run/LABEL/     one directory an attempt, private
        job                 the command as a script: variables, directory, words
        in out err          its standard input, output and error
        runner pid          the process that waits for it, and its process group
        keep                touched while somebody follows it
        status              its exit status, once it has ended

1. `FOLLOW` writes job and input into a directory of its own, starts a runner, and follows.
2. The runner makes LABEL: of two, which a cut between start and answer can bring about, one does.
3. A command that nobody has followed for `KEEP_MIN` minutes is killed.
4. The next attempt may take over the directory of the one before, if its command runs or has ended.

POSIX sh, and the options of `find` that Debian's and busybox's share.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

TOKEN = "SPRITES_TOKEN"
KEEP_MIN = 10
"""Minutes a command goes on that nobody follows."""
FAILED = 255
"""The exit status of a script that could not do its part."""

BOOT = 'IFS= read -r n && s=$(head -c "$n") && eval "$s"'
"""Takes the script from standard input: the API sends a command's words in a URL."""

RUNNER = f"""
mkdir "$1" 2>/dev/null || {{ rm -rf "$2"; exit; }}
cd "$1" && mv "$2/in" "$2/job" . && rm -rf "$2" && echo $$ >runner && : >keep >out >err || exit
setsid sh ./job <in >out 2>err & p=$!
echo "$p" >pid
(while sleep 20; do
  [ -z "$(find keep -mmin +{KEEP_MIN - 1})" ] || kill -s KILL -- "-$p"
done) & w=$!
wait "$p"; echo $? >status.new
kill "$w"; kill -s KILL -- "-$p" 2>/dev/null
mv status.new status
"""

FOLLOW = f"""
fail() {{ echo "coord-sprites: $1" >&2; exit {FAILED}; }}
runs() {{ [ -e "$1/status" ] || kill -0 "$(cat "$1/runner")" 2>/dev/null; }}
umask 077
top=$HOME/.coord-run b=$HOME/.coord-run/$label
mkdir -p "$top" || fail 'cannot write to the home directory'
find "$top" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {{}} +
if [ ! -d "$b" ] && [ "$before" ] && [ -d "$top/$before" ]; then
  if runs "$top/$before"; then mv "$top/$before" "$b"; else rm -rf "$top/$before"; fi
fi
if [ ! -d "$b" ]; then
  t=$(mktemp -d "$top/new.XXXXXX") && printf '%s\\n' "$job" >"$t/job" || fail 'no room'
  read -r n && head -c "$n" >"$t/in" && [ "$(wc -c <"$t/in")" -eq "$n" ] || {{
    rm -rf "$t"; fail 'its input did not come whole'
  }}
  setsid sh -c "$runner" sh "$b" "$t" </dev/null >/dev/null 2>&1 &
  n=0
  until [ -e "$b/pid" ]; do
    [ $((n += 1)) -le 100 ] || fail 'the command was not started'
    sleep 0.1
  done
fi
cd "$b" || fail 'its directory was removed'
while :; do
  ended=; [ ! -e status ] || ended=1
  : >keep
  s=$(wc -c <out)
  [ "$s" -le "$out" ] || {{ tail -c "+$((out + 1))" out | head -c "$((s - out))"; out=$s; }}
  s=$(wc -c <err)
  [ "$s" -le "$err" ] || {{ tail -c "+$((err + 1))" err | head -c "$((s - err))" >&2; err=$s; }}
  [ -z "$ended" ] || exit "$(cat status)"
  runs . || fail 'the command was killed there'
  sleep 0.2
done
"""

SIGNAL = """
p=$(cat "$HOME/.coord-run/$label/pid") && kill -s "$signal" -- "-$p" 2>/dev/null
exit 0
"""

END = """
b=$HOME/.coord-run/$label
if [ -d "$b" ]; then
  [ -e "$b/status" ] || kill -s KILL -- "-$(cat "$b/pid")" 2>/dev/null
  rm -rf "$b"
fi
exit 0
"""

RUNS = """
b=$HOME/.coord-run/$label
[ -e "$b/status" ] || kill -0 "$(cat "$b/runner" 2>/dev/null)" 2>/dev/null
"""


def job(argv: Sequence[str], env: Mapping[str, str], directory: str) -> str:
    """The script that is the command. `directory`: absolute, or below the home directory."""
    exports = (f"export {name}={shlex.quote(value)}" for name, value in env.items())
    there = shlex.quote(directory)
    return "\n".join(
        [f'cd "$HOME" && cd -- {there} || exit {FAILED}', *exports, f"exec {shlex.join(argv)}"]
    )


def script(text: str, **values: str) -> bytes:
    """Standard input for `BOOT`: the script, its variables set."""
    sets = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    data = (sets + text).encode(errors="surrogateescape")
    return b"%d\n%s" % (len(data), data)
