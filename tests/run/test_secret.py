"""run: secrets are names in events, and stars in logs; their values are nowhere on the disk."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from run.jobs import requested, state
from support import Shell

from coord_run.mask import Mask

VALUE = "pass word/with+odd=signs&16~ü"


def on_disk(root: Path, needle: bytes) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and needle in path.read_bytes()]


def forms(value: bytes) -> list[bytes]:
    """What logs make of a text."""
    text, padded = value.decode(), [b"x" * n + value + b"yy" for n in range(3)]
    quoted = [json.dumps(text), json.dumps(json.dumps(text))[2:-2], repr(text), repr(value)[1:]]
    percent = "".join(f"%{byte:02x}" for byte in value)
    return [
        value,
        *(each[1:-1].encode() for each in quoted),
        json.dumps(text, ensure_ascii=False)[1:-1].encode(),
        value.replace(b"'", b"'\\''"),
        "".join(c if c.isalnum() else f"\\{c}" for c in text).encode(),
        *(quote(value, safe=safe).encode() for safe in ("", "/", "~/")),
        quote_plus(value).encode(),
        percent.encode(),
        percent.upper().encode(),
        percent.replace("f", "F").replace("c", "C").encode(),
        value.hex().encode(),
        base64.b64encode(value),
        *(form(each) for each in padded for form in FORMS),
    ]


FORMS = (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes)


def test_a_secret_from_the_environment_is_set_and_masked(shell: Shell) -> None:
    script = 'printf "%s" "$TOKEN"; printf "a%sb" "$TOKEN" | base64 -w0 >&2; test "$TOKEN" = "$1"'
    run = requested(shell, f"sh -c '{script}' sh fake", "--secret TOKEN")
    shell("run worker --once", TOKEN=VALUE)
    assert state(shell, run)["code"] == 1
    assert state(shell, run)["stdout"]["tail"] == "***"
    assert "***" in state(shell, run)["stderr"]["tail"]
    assert shell(f"run logs {run} --stdout").out == "***"
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


def test_what_may_begin_a_secret_stays_in_its_stream(shell: Shell) -> None:
    """History: the masks of both held back together, and one's end came out of the other."""
    line = "run exec --secret TOKEN -- sh -c 'printf top; printf sec >&2; printf x; printf y >&2'"
    done = shell(line, TOKEN="topsecretvalue")
    assert (done.out, done.err) == ("topx", "secy")


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


@pytest.mark.parametrize(
    "value",
    [
        VALUE,
        'q7"Zx\\w8/+=R&k2',
        "it's $a `secret`\\",
        "%41%zz% %",
        '\\\\"\\n\n\t',
        "\U0001f600 \xe9",
        "x" * 90,
    ],
)
def test_every_form_is_masked_wherever_it_is_cut(value: str) -> None:
    for form in forms(value.encode()):
        for cut in range(len(form) + 1):
            mask = Mask([value])
            out = mask.feed(b"<" + form[:cut]) + mask.feed(form[cut:] + b">") + mask.end()
            assert b"***" in out, form
            assert len(out) < 20, form


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
