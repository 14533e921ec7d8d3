"""coord.pyz: one file that needs only Python and git, and does what installed commands do."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_sessions
from filelock import FileLock
from support import BIN, Shell

ROOT = Path(__file__).parent.parent
STORIES = sorted({*(ROOT / "tests/sessions").glob("*.md")} - {ROOT / "tests/sessions/setup.md"})
"""All but the one that sets up the MCP server, whose library the file does not hold."""
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, built once for all processes of the test run, for this Python only."""
    home = tmp_path_factory.getbasetemp().parent
    file = home / "coord.pyz"
    build = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools/pyz')!r}); import build;"
        f" build.PYTHONS = [{VERSION!r}]; build.main({str(file)!r})"
    )
    with FileLock(f"{file}.lock"):
        if not file.exists():
            subprocess.run([sys.executable, "-c", build], check=True, capture_output=True)
    return file


@pytest.fixture
def linked(pyz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of links to the file, the only place that has the commands."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pyz.parent / "cache"))
    (links := tmp_path / "links").mkdir()
    subprocess.run([pyz, "link", links], check=True, capture_output=True)
    for program in ("jq", "git"):  # wherever they are
        if place := shutil.which(program):
            (links / program).symlink_to(place)
    (links / "python3").symlink_to(os.path.realpath(sys.executable))
    yield links


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_stories_are_true_of_it(
    story: Path, linked: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.BIN", str(linked))
    monkeypatch.setenv("PATH", f"{linked}:/usr/bin:/bin")
    test_sessions.test_the_story_is_true(story, repo)


def test_its_commands_run_in_its_own_environment(linked: Path, repo: Path) -> None:
    shell = Shell(repo)
    shell.env["PATH"] = f"{linked}:/usr/bin:/bin"
    assert BIN not in shell.env["PATH"]
    done = shell(
        "ev init >made && run exec -- python3 -c 'print(1)' && wk new title && coord man wk >page"
    )
    assert done.out.startswith("1\n")
    assert "wk - " in (repo / "page").read_text()
    assert shell("coord doctor", expect=None).status in (0, 1)


def test_eight_first_runs_at_once_unpack_it_once(pyz: Path, tmp_path: Path) -> None:
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    started = [
        subprocess.Popen([pyz, "ev", "--version"], env=env, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    printed = {process.communicate()[0] for process in started}
    assert len(printed) == 1
    assert [process.returncode for process in started] == [0] * 8
    (home,) = (tmp_path / "coord").iterdir()
    assert home.name.endswith(f"-{VERSION}")


def test_without_a_home_it_unpacks_to_the_temporary_directory(pyz: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    for _ in range(2):  # the second finds what the first unpacked
        ended = subprocess.run([pyz, "wk", "--version"], env=env, capture_output=True, check=True)
        assert ended.stdout.startswith(b"wk (coord-kernel)")
    assert list((tmp_path / f"coord-{os.getuid()}").iterdir())


def test_what_cannot_work_is_one_line(pyz: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pyz"
    with zipfile.ZipFile(pyz) as packed, zipfile.ZipFile(other, "w") as made:
        for name in packed.namelist():
            if not name.endswith(".so"):
                made.writestr(name, packed.read(name))
    (taken := tmp_path / "taken").mkdir()
    (taken / "wk").touch()
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    for words, status, said in (
        ([other, "wk", "ls"], 69, "not built for this Python (.cpython-"),
        ([pyz, "link"], 2, "link needs one directory"),
        ([pyz, "link", taken], 73, f"{taken}/wk exists and is not a link to this file"),
    ):
        command = [sys.executable, *map(str, words)]
        ended = subprocess.run(command, env=env, capture_output=True, text=True)
        assert (ended.returncode, ended.stderr.count("\n")) == (status, 1)
        assert said in ended.stderr
    assert [path.name for path in taken.iterdir()] == ["wk"]
    assert not list((tmp_path / "coord").iterdir())


def test_it_needs_only_python_and_git(pyz: Path, tmp_path: Path) -> None:
    """An empty root with an interpreter, its library, git, a shell, and nothing that pip installs."""
    if not shutil.which("bwrap"):
        pytest.skip("bwrap is not installed; it makes the empty root")
    python = os.path.realpath(sys.executable)
    library = os.path.dirname(os.__file__)
    git = subprocess.check_output(["git", "--exec-path"], text=True).strip()
    shown = [library, git, "/lib", "/lib64", *map(str, Path("/usr/lib").glob("*-linux-*"))]
    shown += [str(path) for path in Path(sys.base_prefix, "lib").glob("libpython*")]
    command = ["bwrap", "--unshare-all", "--dev", "/dev", "--proc", "/proc", "--clearenv"]
    for path in shown:
        if os.path.exists(path):
            command += ["--ro-bind", path, path]
    command += ["--ro-bind", python, python, "--symlink", python, "/bin/python3"]
    command += [
        "--ro-bind",
        shutil.which("git") or "",
        "/bin/git",
        "--ro-bind",
        "/bin/sh",
        "/bin/sh",
    ]
    command += ["--dir", f"{library}/site-packages", "--tmpfs", f"{library}/site-packages"]
    command += ["--ro-bind", str(pyz), "/bin/coord.pyz", "--dir", "/tmp", "--dir", "/work"]
    command += ["--chdir", "/work", "--setenv", "PATH", "/bin", "--setenv", "COORD_AGENT", "ada"]
    command += ["--setenv", "HOME", "/tmp"]
    if subprocess.run([*command, "/bin/sh", "-c", ":"], capture_output=True).returncode:
        pytest.skip("bwrap may not make a root here")
    script = """
        set -e
        git init -q --template= . && git config user.name Ada && git config user.email ada@example.org
        coord.pyz ev init
        coord.pyz wk new 'a title' | coord.pyz msg send --to human:ada --subject hello --force
        python3 /bin/coord.pyz wk ready --claim
        coord.pyz lease with file:a -- git --version
        coord.pyz run exec -- git status
        git init -q --template= --bare /tmp/remote && coord.pyz ev sync --remote /tmp/remote
        coord.pyz ev verify
    """
    ended = subprocess.run([*command, "/bin/sh", "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    assert "a title" in ended.stdout


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    write = runpy.run_path(str(ROOT / "tools/pyz/build.py"))["write"]
    for name in ("one", "two"):
        write(tmp_path / name, {"bin/wk": b"x", "packages/a.py": b"y"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    write(tmp_path / "two", {"bin/wk": b"x", "packages/a.py": b"z"})
    with zipfile.ZipFile(tmp_path / "one") as one, zipfile.ZipFile(tmp_path / "two") as two:
        assert one.read("build") != two.read("build")


def test_a_debian_package_has_a_link_and_a_page_for_each_command(pyz: Path, tmp_path: Path) -> None:
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not installed; it makes the package")
    env = os.environ | {"XDG_CACHE_HOME": str(pyz.parent / "cache")}
    script = ROOT / "contrib/anywhere/make-deb"
    subprocess.run([script, pyz, tmp_path / "coord.deb"], env=env, check=True, capture_output=True)
    subprocess.run(["dpkg-deb", "--extract", tmp_path / "coord.deb", tmp_path / "root"], check=True)
    usr = tmp_path / "root/usr"
    assert os.readlink(usr / "bin/wk") == "../lib/coord/coord.pyz"
    assert (usr / "bin/wk").stat().st_mode & 0o111
    assert (usr / "share/man/man1/wk.1").is_file()
