"""run: secrets are names in events, and stars in logs; their values are nowhere on the disk."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from run.jobs import requested, state
from support import Shell

from coord_run.secret import Mask

VALUE = "pass word/with+odd=signs&16~ü"


def on_disk(root: Path, needle: bytes) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]


def forms(value: bytes) -> list[bytes]:
    return [value, quote(value).encode(), quote(value, safe="").encode(), base64.b64encode(value)]


def test_a_secret_from_the_environment_is_set_and_masked(shell: Shell) -> None:
    script = 'printf "%s" "$TOKEN"; printf "a%sb" "$TOKEN" | base64 -w0 >&2; test "$TOKEN" = "$1"'
    run = requested(shell, f"sh -c '{script}' sh fake", "--secret TOKEN")
    shell("run worker --once", TOKEN=VALUE)
    assert state(shell, run)["code"] == 1
    assert state(shell, run)["stdout"]["tail"] == "***"
    assert "***" in state(shell, run)["stderr"]["tail"]
    assert shell(f"run logs {run}").out == "***"
    for form in forms(VALUE.encode()):
        assert on_disk(shell.cwd, form) == []


def test_a_secret_comes_from_a_file_that_only_its_owner_reads(shell: Shell, tmp_path: Path) -> None:
    shell.env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    file = tmp_path / "config/coord/secrets/TOKEN"
    file.parent.mkdir(parents=True)
    file.write_text(VALUE + "\n")
    file.chmod(0o644)
    words = 'sh -c \'printf %s "$TOKEN" | wc -c; echo "$TOKEN"\''
    done = shell(f"run exec --secret TOKEN -- {words}", expect=125)
    assert "secret TOKEN: others may read" in done.err
    file.chmod(0o600)
    assert shell(f"run exec --secret TOKEN -- {words}").out == f"{len(VALUE.encode())}\n***\n"


@pytest.mark.parametrize(("value", "words"), [("", "neither in"), ("short", "less than 6 bytes")])
def test_a_secret_that_is_missing_or_too_short_is_an_error(
    shell: Shell, value: str, words: str
) -> None:
    done = shell("run exec --secret TOKEN -- touch ran", expect=125, TOKEN=value)
    assert words in done.err
    assert not (shell.cwd / "ran").exists()


def test_no_form_of_a_secret_is_printed_however_the_bytes_arrive() -> None:
    chance, secrets = random.Random(7), [VALUE, "another secret\nof two long lines", "aaaaaaab"]
    for _ in range(300):
        parts = [
            chance.choice([*forms(chance.choice(secrets).encode()), b"a", b"pass", b"\n", b"aaaa"])
            for _ in range(9)
        ]
        text, mask, out = b"".join(parts), Mask(secrets), b""
        while text:
            cut = chance.randrange(1, 12)
            out, text = out + mask.feed(text[:cut]), text[cut:]
        out += mask.end()
        assert [form for secret in secrets for form in forms(secret.encode()) if form in out] == []


def test_other_output_is_unchanged() -> None:
    data, mask = bytes(range(256)) * 999, Mask([VALUE])
    assert mask.feed(data[:70_000]) + mask.feed(data[70_000:]) + mask.end() == data


@pytest.mark.parametrize(
    "secrets", [["abcdefgh", "abcdefgh-and-more"], ["the first line\nab\nthe last line"]]
)
def test_a_secret_that_begins_like_another_is_masked_wherever_it_is_cut(secrets: list[str]) -> None:
    """History: the rest of the longer secret was in the log if a read ended with the shorter one."""
    longest = max(secrets, key=len).encode()
    for cut in range(len(longest) + 1):
        mask = Mask(secrets)
        out = mask.feed(b"<" + longest[:cut]) + mask.feed(longest[cut:] + b">") + mask.end()
        assert out == b"<***>"
    mask = Mask(secrets)
    assert mask.feed(longest[:-1]) + mask.end() != longest[:-1]
