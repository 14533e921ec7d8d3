"""How an installed command starts its interpreter: tools/start, under each name of a command."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from support import Shell

ROOT = Path(__file__).parent.parent
CLI = """
import sys
def main():
    print(sys.flags.no_site, sys.flags.safe_path, *sys.argv[1:])
"""


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """A virtual environment with `wk` and a package of that name that prints how it was started."""
    home = tmp_path / "venv"
    site = home / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    (site / "coord_wk").mkdir(parents=True)
    (site / "coord_wk/__init__.py").write_text("")
    (site / "coord_wk/cli.py").write_text(CLI)
    (home / "bin").mkdir()
    base = Path(sys.executable).resolve()
    (home / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (home / "bin/python").symlink_to(base)
    shutil.copy(ROOT / "tools/start", home / "bin/wk")
    return home / "bin"


FAST, USUAL = "1 True a\n", "0 False a\n"


@pytest.mark.parametrize(
    "line",
    [
        "{bin}/wk a",
        "cd {bin} && ./wk a",
        "cd {bin}/.. && bin/wk a",
        "cd {bin} && PATH=:$PATH wk a",
        "cd {bin} && sh wk a",
    ],
)
def test_a_command_of_a_virtual_environment_starts_without_site(
    shell: Shell, bin: Path, line: str
) -> None:
    assert shell(line.format(bin=bin)).out == FAST


def test_a_link_to_a_command_is_the_command(shell: Shell, bin: Path) -> None:
    """As pipx and uv make them, also with another name, in a chain and relative."""
    (bin.parent / "wk-1").symlink_to("bin/wk")
    (bin.parent.parent / "w k").symlink_to("venv/wk-1")
    assert shell(f"'{bin.parent.parent}/w k' a").out == FAST


def test_who_sets_PYTHONPATH_wants_the_usual_start(shell: Shell, bin: Path) -> None:  # noqa: N802
    (bin / "sitecustomize.py").write_text("print('first')")
    assert shell(f"{bin}/wk a", PYTHONPATH=str(bin)).out == "first\n" + USUAL


def test_packages_that_only_site_finds_are_found(shell: Shell, bin: Path, tmp_path: Path) -> None:
    """Of this project, installed editable, without `site`; of others, when they are imported."""
    package, other = next(bin.parent.glob("lib/*/site-packages/coord_wk")), tmp_path / "other"
    other.mkdir()
    (other / "only_of_site.py").write_text("")
    (package.parent / "other.pth").write_text(f"{other}\n")
    package.rename(tmp_path / "coord_wk")
    (package.parent / "_coord_kernel.pth").write_text(f"/nowhere\n{tmp_path}")
    assert shell(f"{bin}/wk a").out == FAST
    (tmp_path / "coord_wk/cli.py").write_text("import only_of_site\n" + CLI)
    assert shell(f"{bin}/wk a").out == FAST


def test_outside_of_a_virtual_environment_it_has_the_interpreter_of_the_installer(
    shell: Shell, bin: Path
) -> None:
    (bin.parent / "pyvenv.cfg").unlink()
    (bin / "coord").write_text(f"#!{bin}/own-python\n")
    (bin / "own-python").write_text(f'#!/bin/sh\necho own\nexec {sys.executable} "$@"\n')
    (bin / "own-python").chmod(0o755)
    site = next(bin.parent.glob("lib/*/site-packages"))
    assert shell(f"{bin}/wk a", PYTHONPATH=str(site)).out == "own\n" + USUAL


def test_a_broken_environment_is_one_line_that_says_what_is_missing(
    shell: Shell, bin: Path
) -> None:
    shutil.rmtree(next(bin.parent.glob("lib/*/site-packages/coord_wk")))
    done = shell(f"{bin}/wk --version", expect=69)
    assert done.err.startswith("wk: No module named 'coord_wk'; install coord-kernel again, for ")
    assert done.err.count("\n") == 1
    os.unlink(bin / "python")
    done = shell(f"{bin}/wk --version", expect=69)
    assert done.err == f"wk: {bin}/python: no such program; install coord-kernel again\n"


def test_each_command_is_the_one_script() -> None:
    for name in ("wk", "ev", "lease", "msg", "run"):
        assert (ROOT / "tools" / name / name).resolve() == ROOT / "tools/start"
    assert (ROOT / "bridges/hooks/coord-hooks").resolve() == ROOT / "tools/start"
