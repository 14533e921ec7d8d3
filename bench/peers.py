"""The programs we compare with: installed ones, or packages of Debian and npm unpacked in the venv.

Nothing is installed into the system, and root is not needed. A peer that cannot be had becomes a
row with the reason.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(sys.prefix) / "peers"
DEBIAN = {
    "redis-server": ("redis-server", "redis-tools"),
    "jq": ("jq",),
    "nq": ("nq",),
    "tsp": ("task-spooler",),
}
"""Program → packages. redis-cli comes with redis-server."""
NPM = {"tbd": "get-tbd"}
NEWER_GIT = (2, 42)
"""What tbd needs. Debian 12 has 2.39; then that of the next Debian is unpacked, with its libc."""
NEXT = "deb [signed-by={keys}] http://deb.debian.org/debian trixie main"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
VERSION = {"tsp": "-V"}
"""The option that prints the version, if not --version."""


class MissingError(Exception):
    """A peer that is not installed and cannot be fetched; the text is the reason."""


def program(name: str) -> list[str]:
    """The words that start the program. Raises MissingError."""
    if name not in _USED:
        _USED[name] = _located(name)
    return _USED[name]


_USED: dict[str, list[str]] = {}


def _located(name: str) -> list[str]:
    if path := shutil.which(name):
        return [path]
    if name in NPM:
        return [str(_from_npm(NPM[name]) / name)]
    root = _from_debian("redis-server" if name.startswith("redis") else name)
    if not (root / "usr/bin" / name).exists():
        raise MissingError(f"{name} is not in the unpacked packages")
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-*")))
    return [
        *(("env", f"LD_LIBRARY_PATH={libraries}") if libraries else ()),
        str(root / "usr/bin" / name),
    ]


@functools.cache
def _from_debian(name: str) -> Path:
    root = ROOT / name
    if not root.exists():
        packages = list(DEBIAN[name])
        lines = _run("apt-cache", "depends", "--important", *packages).splitlines()
        needed = {line.split()[-1] for line in lines if "Depends:" in line and "<" not in line}
        packages += [name for name in sorted(needed - set(packages)) if not _installed(name)]
        with tempfile.TemporaryDirectory() as place:
            _run("apt-get", "download", *packages, cwd=place)
            for file in sorted(Path(place).glob("*.deb")):
                _run("dpkg-deb", "-x", str(file), f"{place}/root")
            ROOT.mkdir(exist_ok=True)
            shutil.move(f"{place}/root", root)
    return root


@functools.cache
def git() -> str:
    """The directory of a git that is new enough for tbd. Raises MissingError."""
    words = _run("git", "--version").split()
    if tuple(map(int, words[2].split(".")[:2])) >= NEWER_GIT:
        return os.path.dirname(shutil.which("git") or "")
    root = ROOT / "git"
    if not root.exists():
        with tempfile.TemporaryDirectory() as place:
            _unpack_next(place, "git", "libc6", "zlib1g", "libpcre2-8-0")
            (loader,) = Path(f"{place}/root/usr/lib").glob("*-linux-gnu/ld-linux-*.so.*")
            libraries = root / loader.parent.relative_to(f"{place}/root")
            wrapper = Path(f"{place}/root/bin/git")
            wrapper.parent.mkdir(exist_ok=True)
            wrapper.write_text(
                # git starts itself by its exec path: that must find the wrapper, too
                f"#!/bin/sh\nexport GIT_EXEC_PATH={root}/bin\n"
                f'exec {libraries}/{loader.name} --library-path {libraries} {root}/usr/bin/git "$@"\n'
            )
            wrapper.chmod(0o755)
            ROOT.mkdir(exist_ok=True)
            shutil.move(f"{place}/root", root)
    return str(root / "bin")


def _unpack_next(place: str, *packages: str) -> None:
    """Packages of the next Debian, with an apt of our own, which no other apt sees."""
    if not os.path.exists(KEYS):
        raise MissingError("git is too old, and this is not Debian")
    for name in ("lists/partial", "cache/archives/partial", "root"):
        os.makedirs(f"{place}/{name}")
    Path(f"{place}/sources.list").write_text(NEXT.format(keys=KEYS) + "\n")
    own = {
        "Dir::Etc::sourcelist": f"{place}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": f"{place}/lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": f"{place}/cache",
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "download", *packages, cwd=place)
    for file in sorted(Path(place).glob("*.deb")):
        _run("dpkg-deb", "-x", str(file), f"{place}/root")


def package(name: str) -> Path:
    """The directory of an npm package without a program. Raises MissingError."""
    return _from_npm(name).parent / name


@functools.cache
def _from_npm(package: str) -> Path:
    root = ROOT / package
    if not root.exists():
        _run("npm", "install", "--no-audit", "--no-fund", "--prefix", f"{root}.new", package)
        Path(f"{root}.new").rename(root)
    return root / "node_modules/.bin"


def _installed(package: str) -> bool:
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True
    )
    return done.stdout.endswith(" installed")


def _run(*argv: str, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as reason:
        raise MissingError(f"{argv[0]}: {reason}") from None
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["failed"]
        raise MissingError(f"{argv[0]}: {output[-1]}")
    return done.stdout


def versions() -> list[str]:
    """Name and version of each program that was used."""
    return [_version(name, argv) for name, argv in sorted(_USED.items())]


def _version(name: str, argv: list[str]) -> str:
    if name == "nq":  # has no option for it
        words = _run("apt-cache", "policy", "nq").partition("Candidate:")[2].split()
    else:
        done = subprocess.run(
            [*argv, VERSION.get(name, "--version")], capture_output=True, text=True
        )
        words = (
            (done.stdout or done.stderr)
            .partition("\n")[0]
            .replace("=", " ")
            .replace("-", " ")
            .split()
        )
    number = next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "?")
    return f"{name} {number}"


@contextmanager
def redis(scratch: str, *settings: str) -> Iterator[str]:
    """Run a server of our own; yields the path of its socket. Raises MissingError."""
    place = tempfile.mkdtemp(dir=scratch)
    socket = f"{place}/socket"
    argv = [
        *program("redis-server"),
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--dir",
        place,
        "--save",
        "",
        *settings,
    ]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(socket) or server.poll() is not None)
        if server.poll() is not None:
            raise MissingError(f"redis-server ended with status {server.poll()}")
        yield socket
    finally:
        server.terminate()
        server.wait()


def until(condition: Callable[[], bool], patience_s: float = 30.0) -> None:
    """Wait for a condition. Raises TimeoutError."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.002)
