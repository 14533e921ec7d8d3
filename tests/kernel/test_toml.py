"""Files of settings: whatever a repository or a user puts in their place is one line, and soon."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import Json, Shell, open_store

from coord_envelope import BadData
from coord_envelope.errors import Fault
from coord_kernel.store import locate, toml

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


def settings(shell: Shell, text: str) -> Json:
    (shell.cwd / "coord.toml").write_text(text)
    return locate.section(open_store(shell.cwd), "patrol")


def test_settings_are_those_of_the_file_whatever_was_kept(shell: Shell) -> None:
    """Kept beside their text: a change of it counts at once, and damage of what is kept is none."""
    kept, text = shell.cwd / ".coord/local/settings", '[patrol]\nstalled = "15m"\n'
    for _ in range(2):
        assert settings(shell, text) == {"stalled": "15m"}
    assert kept.read_bytes().startswith(text.encode() + b"\0")
    for harm in (
        b"",
        b"\0",
        text.encode(),
        text.encode() + b"\0",
        text.encode() + b"\0{",
        text.encode() + b"\0[]",
        b"x\0{}",
    ):
        kept.write_bytes(harm)
        assert settings(shell, text) == {"stalled": "15m"}
    assert settings(shell, text.replace("15", "16")) == {"stalled": "16m"}
    kept.unlink()
    kept.mkdir()
    assert settings(shell, text) == {"stalled": "15m"}


@pytest.mark.parametrize("value", ["2025-01-01", "inf", "nan", "10:00:00"])
def test_what_json_has_not_is_read_each_time(shell: Shell, value: str) -> None:
    for _ in range(2):
        found = settings(shell, f"[patrol]\nx = {value}\n")
        assert found.keys() == {"x"} and not isinstance(found["x"], str)
    assert not (shell.cwd / ".coord/local/settings").exists()


def test_settings_that_are_kept_spare_a_command_tomllib(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text('project = "web"\n')
    code = "import sys; from coord_kernel.store.locate import find; print(find().project, *sys.modules)"
    for parses in (True, False):
        project, *modules = shell(f'{sys.executable} -c "{code}"').out.split()
        assert project == "web" and ("tomllib" in modules) is parses
