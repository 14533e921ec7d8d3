"""How an installed command starts its interpreter: tools/start, under each name of a command."""

from __future__ import annotations

import marshal
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


# ---- what each start loads is in one file

MODULES = """
import os, sys, time
from coord_wk import other
def main():
    print(other.VALUE, other.__spec__.loader.get_code(other.__name__) is not None, other.__file__)
"""


@pytest.fixture
def package(bin: Path) -> Path:
    """The package of `wk`, with a module beside `cli`."""
    package = next(bin.parent.glob("lib/*/site-packages/coord_wk"))
    (package / "cli.py").write_text(MODULES)
    (package / "other.py").write_text("VALUE = 'one'\n")
    return package


def kept(package: Path) -> list[Path]:
    return [*(package.parent / "__pycache__").glob("coord.wk.*")]


def test_the_second_start_takes_all_modules_from_one_file(
    shell: Shell, bin: Path, package: Path
) -> None:
    said = f"one True {package}/other.py\n"
    assert shell(f"{bin}/wk").out == said
    [file] = kept(package)
    shutil.rmtree(package / "__pycache__")
    assert shell(f"{bin}/wk").out == said
    assert not (package / "__pycache__/cli").exists()
    assert [*package.glob("__pycache__/cli.*")] == []  # no module was loaded by itself
    assert kept(package) == [file]


def test_a_changed_source_file_is_loaded_and_kept(shell: Shell, bin: Path, package: Path) -> None:
    for second, value in enumerate(("one", "two", "six")):  # of one size: the time says it
        (package / "other.py").write_text(f"VALUE = {value!r}\n")
        os.utime(package / "other.py", (second, second))
        for _ in range(2):
            assert shell(f"{bin}/wk").out.startswith(f"{value} ")
    (package / "other.py").unlink()
    done = shell(f"{bin}/wk", expect=69)
    assert "cannot import name 'other'" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("cut", [0, 1, 7, 100, -1])
def test_a_damaged_file_of_modules_is_written_again(
    shell: Shell, bin: Path, package: Path, cut: int
) -> None:
    said = shell(f"{bin}/wk").out
    [file] = kept(package)
    whole = file.read_bytes()
    for damage in (whole[:cut], b"", b"x" * 10, b"N"):
        file.write_bytes(damage)
        assert shell(f"{bin}/wk").out == said
        assert marshal.loads(file.read_bytes()) == marshal.loads(whole)


def test_of_another_environment_or_python_it_is_not_taken(
    shell: Shell, bin: Path, package: Path
) -> None:
    said = shell(f"{bin}/wk").out
    [file] = kept(package)
    stamp, rows = marshal.loads(file.read_bytes())
    hostile = compile("VALUE = 'hostile'", "x", "exec")
    for other in ([b"\0\0\0\0", *stamp[1:]], [*stamp, "/nowhere"]):
        changed = [(*row[:5], hostile) for row in rows]
        file.write_bytes(marshal.dumps((other, changed)))
        assert shell(f"{bin}/wk").out == said
    assert marshal.loads(file.read_bytes())[0] == stamp


def test_a_full_disk_leaves_nothing_behind(shell: Shell, bin: Path, package: Path) -> None:
    (package / "other.py").write_text(f"VALUE = 'one'\nTEXT = {'x' * 9_000!r}\n")
    for _ in range(2):
        assert "one True" in shell(f"ulimit -f 4; {bin}/wk").out
        assert kept(package) == []


def test_what_one_optimized_is_not_for_all(shell: Shell, bin: Path, package: Path) -> None:
    (package / "other.py").write_text("VALUE = 'one' if __debug__ else 'none'\n")
    for value, optimize in (("none", "1"), ("one", ""), ("none", "1"), ("one", "")):
        shutil.rmtree(package / "__pycache__", ignore_errors=True)
        assert shell(f"{bin}/wk", PYTHONOPTIMIZE=optimize).out.startswith(f"{value} ")


def test_packages_that_only_site_finds_are_not_kept(
    shell: Shell, bin: Path, package: Path, tmp_path: Path
) -> None:
    (package.parent / "other.pth").write_text(f"{tmp_path}\n")
    package.rename(tmp_path / "coord_wk")
    for _ in range(2):
        assert shell(f"{bin}/wk").out.startswith("one ")
        assert kept(package) == []


def test_where_nothing_may_be_written_it_starts_without(
    shell: Shell, bin: Path, package: Path
) -> None:
    (package.parent / "__pycache__").write_text("no directory")
    for _ in range(2):
        assert shell(f"{bin}/wk").out.startswith("one ")
    (package.parent / "__pycache__").unlink()
    assert shell(f"{bin}/wk", PYTHONDONTWRITEBYTECODE="1").out.startswith("one ")
    assert kept(package) == []


def test_a_module_that_fails_says_so_as_without_the_file(
    shell: Shell, bin: Path, package: Path
) -> None:
    (package / "other.py").write_text(
        "import os\nVALUE = 'one'\nif 'FAIL' in os.environ:\n    raise ImportError('no luck')\n"
    )
    shell(f"{bin}/wk")
    done = shell(f"{bin}/wk", FAIL="1", expect=69)
    assert done.err.startswith("wk: no luck; install coord-kernel again")
    assert shell(f"{bin}/wk").out.startswith("one ")


def test_starts_at_once_leave_one_whole_file(shell: Shell, bin: Path, package: Path) -> None:
    out = shell(f"for n in 1 2 3 4 5 6 7 8; do {bin}/wk & done; wait").out
    assert out.count("other.py\n") == 8
    [file] = kept(package)
    _, rows = marshal.loads(file.read_bytes())
    assert [row[0] for row in rows] == ["coord_wk", "coord_wk.other", "coord_wk.cli"]


def test_each_command_is_the_one_script() -> None:
    for name in ("wk", "ev", "lease", "msg", "run"):
        assert (ROOT / "tools" / name / name).resolve() == ROOT / "tools/start"
    assert (ROOT / "bridges/hooks/coord-hooks").resolve() == ROOT / "tools/start"
