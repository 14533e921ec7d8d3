"""`python -m coord_sprites VERB …`: what `run` starts here for a job in a Sprite.

    run NAME DIRECTORY LABEL N [checkpoint] [resume]   the command; standard input is a line of JSON
                                                       {"argv": […], "env": {…}}, then its input
    end NAME LABEL N                                   kill what is left of it

Attempt N of the job LABEL in the Sprite NAME. `resume`: attempt N - 1 may still run there.
Exit status: the command's; 255: it was not run, or its end is not known.
"""

from __future__ import annotations

import json
import os
import sys

from coord_envelope import Fault, world
from coord_envelope.errors import BadData, Usage
from coord_kernel.store import private
from coord_sprites import there

URL = "https://api.sprites.dev"
FILE, MOST = "SPRITES_TOKEN_FILE", 4096


def token() -> str:
    """What proves who asks: a variable, or a file that only its owner can read. Raises Fault."""
    if found := world.getenv(there.TOKEN):
        return found
    if path := world.getenv(FILE):
        private.check(path)
        with open(path, encoding="ascii", errors="replace") as file:
            found = file.read(MOST).strip()
        if found and found.isprintable() and found.isascii():
            return found
        raise BadData("not a token: one line of text", where=path)
    raise Usage(f"no token for Sprites; set {there.TOKEN}, or {FILE} to a file with it")


def _url() -> str:
    url = world.getenv("SPRITES_URL") or URL
    if not url.startswith(("http://", "https://")):
        raise Usage(f"SPRITES_URL is not a URL: {url!r}", todo=URL)
    return url


def main(verb: str, name: str, *words: str) -> int:
    os.environ.setdefault("SPRITES_CLIENT_SIGNALS", "0")  # the SDK tells who uses it, unless told
    from sprites import SpritesClient

    from coord_sprites.here import Failed, Place, pass_on

    try:
        client = SpritesClient(token(), _url())
        if verb == "end":
            label, n = words
            Place(client, name, label, int(n)).end()
            return 0
        directory, label, n, *flags = words
        place = Place(client, name, label, int(n))
        asked = json.loads(sys.stdin.buffer.readline())
        job = there.job(asked["argv"], asked["env"], directory)
        pass_on(place)
        if "checkpoint" in flags:
            place.reset("resume" in flags)
        return place.run(job, sys.stdin.buffer.read(), "resume" in flags)
    except (Failed, Fault) as failure:
        print(f"coord-sprites: {failure}", file=sys.stderr)
        return there.FAILED


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
