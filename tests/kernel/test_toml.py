"""Files of settings: whatever a repository or a user puts in their place is one line, and soon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import Shell

from coord_envelope import BadData
from coord_envelope.errors import Fault
from coord_kernel.store import toml

FAULTS = {
    "nesting": (b"x = " + b"[" * 5_000, "nested too deeply"),
    "tables": (b"x = " + b"{a=" * 5_000, "nested too deeply"),
    "digits": (b"x = " + b"9" * 5_000, "not valid TOML: Exceeds the limit"),
    "date": (b"x = 2025-13-45", "not valid TOML: "),
    "key": (b"a" + b".a" * 20_000 + b" = 1", "a line with more than 500 dots"),
    "size": (b"#" * 70_000, "more than 65,536 bytes"),
    "text": (b'x = "\xff"', "not valid UTF-8 at byte 5"),
    "zero": (b"\0", "not valid TOML: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_content_names_file_and_remedy(tmp_path: Path, name: str) -> None:
    path, (data, what) = tmp_path / "x.toml", FAULTS[name]
    path.write_bytes(data)
    with pytest.raises(BadData) as raised:
        toml.load(str(path))
    assert str(raised.value).startswith(f"{path}: {what}")
    assert raised.value.todo and "\n" not in str(raised.value)


def test_a_byte_order_mark_and_other_line_ends_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'\xef\xbb\xbfa = 1\r\nb = "x"\r\n')
    assert toml.load(str(tmp_path / "x.toml")) == {"a": 1, "b": "x"}


def odd(path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.symlink_to({"endless": "/dev/zero", "missing": "nowhere"}[kind])


KINDS = ("endless", "pipe", "directory", "loop", "missing")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_a_regular_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    odd(path := tmp_path / "x.toml", kind)
    with pytest.raises(Fault, match=r"x\.toml: "):
        toml.load(str(path))


def test_a_link_to_a_regular_file_is_followed_and_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("a = 1")
    (tmp_path / "x.toml").symlink_to("real")
    assert toml.load(str(tmp_path / "x.toml")) == {"a": 1}
    assert toml.load(str(tmp_path / "y.toml")) is None


@pytest.mark.parametrize("kind", ("endless", "pipe", "nesting"))
def test_all_three_files_are_read_so(shell: Shell, tmp_path: Path, kind: str) -> None:
    home = tmp_path / "config" / "coord"
    home.mkdir(parents=True)
    shell.env["XDG_CONFIG_HOME"] = str(home.parent)
    for path, line in (
        (shell.cwd / "consumer.toml", "ev consume --once consumer.toml"),
        (home / "runner.toml", "run worker --once"),
        (shell.cwd / "coord.toml", "ev emit a.b"),
    ):
        if kind == "nesting":
            path.write_bytes(FAULTS["nesting"][0])
        else:
            odd(path, kind)
        err = shell(f"timeout 60 {line}", expect=65).err
        assert err.count("\n") == 1 and path.name in err
