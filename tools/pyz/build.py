"""Make coord.pyz: the tools and what they need in one file that needs only Python and git.

    python tools/pyz/build.py FILE [PLATFORM...]

The archive holds the packages as pip installs them, the commands and the manual pages. Compiled
packages are those of each Python in PYTHONS on each PLATFORM (a tag of pip's, such as
manylinux2014_aarch64), by default of this machine; their files have names of their own, so all of
them stand in one tree, and unpacking takes those of the Python at hand.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from itertools import product
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NATIVE = {"orjson": "orjson", "rpds-py": "rpds"}
"""Distributions whose compiled part is needed; of others Python code does the same."""
EPOCH = (1980, 1, 1, 0, 0, 0)


def main(target: str, *platforms: str) -> None:
    """Write the file; print its size and for what it is."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        options = ["--prefix", str(tree), "--ignore-installed", "--no-compile"]
        pip("install", *options, "--no-build-isolation", str(ROOT))
        packages = next(tree.glob("lib/python3.*/site-packages"))
        for file in packages.rglob("*.so"):
            file.unlink()
        wheels = Path(scratch, "wheels")
        for requirement in natives(distributions(path=[str(packages)])):
            for python, platform in product(PYTHONS, platforms or [""]):
                download(requirement, python, platform, wheels)
        entries = dict(contents(tree, packages, wheels))
    write(Path(target), entries)
    size = os.path.getsize(target) / 1e6
    suffixes = {m[1] for name in entries if (m := re.search(r"/orjson\.(.*)\.so$", name))}
    print(f"{target}: {size:.1f} MB, for {', '.join(sorted(suffixes))}")


def natives(installed: Iterable[Distribution]) -> Iterator[str]:
    for distribution in installed:
        if distribution.metadata["Name"] in NATIVE:
            yield f"{distribution.metadata['Name']}=={distribution.version}"


def download(requirement: str, python: str, platform: str, into: Path) -> None:
    """The wheel for a Python; with platform "" for this machine. Of several pip takes only one."""
    options = ["--no-deps", "--only-binary=:all:", "--python-version", python, "--dest", str(into)]
    pip("download", *options, *(["--platform", platform] if platform else []), requirement)


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *words[1:]], check=True)


def contents(tree: Path, packages: Path, wheels: Path) -> Iterator[tuple[str, bytes]]:
    """Name in the archive → bytes."""
    yield "__main__.py", (HERE / "__main__.py").read_bytes()
    for file in sorted(packages.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield f"packages/{file.relative_to(packages)}", file.read_bytes()
    for wheel in sorted(wheels.iterdir()):
        with zipfile.ZipFile(wheel) as packed:
            for name in packed.namelist():
                if name.endswith(".so") and name.split("/")[0] in NATIVE.values():
                    yield f"packages/{name}", packed.read(name)
    for file in sorted((tree / "share").rglob("*")):
        if file.is_file():
            yield str(file.relative_to(tree)), file.read_bytes()
    for file in sorted((tree / "bin").iterdir()):
        text = file.read_bytes()
        if b"coord" in text:  # ours, not those of what it stands on
            yield f"bin/{file.name}", re.sub(rb"\A#!.*/python.*", b"#!@PYTHON@", text)


def write(target: Path, entries: dict[str, bytes]) -> None:
    """The same entries make the same bytes."""
    digest = hashlib.sha256()
    for name, data in entries.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    build = digest.hexdigest()[:16]
    head = (HERE / "head.sh").read_bytes().replace(b"@BUILD@", build.encode())
    making = target.with_name(f".{target.name}")
    making.write_bytes(head)
    with zipfile.ZipFile(making, "a", zipfile.ZIP_DEFLATED) as packed:
        for name, data in {**entries, "build": build.encode()}.items():
            packed.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    making.chmod(0o755)
    making.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
