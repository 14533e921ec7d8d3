"""The house: what imports what, what a command loads, what is shipped, how long a file may be."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import BIN, Shell

ROOT = Path(__file__).parent.parent
TOOLS = ("wk", "ev", "lease", "msg", "run")
SOURCES = sorted(
    path for home in ("tools", "bridges") for path in (ROOT / home).glob("*/coord_*/**/*.py")
)
HEAVY = {
    *(
        "typer",
        "rich",
        "pydantic",
        "orjson",
        "ulid",
        "filelock",
        "git",
        "jsonschema",
        "jinja2",
        "inotify_simple",
    ),
    *("yaml", "json", "datetime", "signal", "contextlib"),
    *("asyncio", "inspect", "subprocess", "typing", "pathlib", "ctypes", "dataclasses", "logging"),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_tool_or_bridge_imports_the_envelope_and_itself_and_the_envelope_no_tool(
    path: Path,
) -> None:
    ours = {name.partition(".")[0] for name in imports(path) if name.startswith("coord_")}
    assert ours <= {"coord_envelope", path.relative_to(ROOT).parts[2]}


def test_files_and_functions_are_short() -> None:
    lengths = [len(path.read_text().splitlines()) for path in SOURCES]
    assert max(lengths) <= 300
    assert statistics.median(lengths) <= 120
    nodes = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())))
    functions = [
        (node.end_lineno or 0) - node.lineno + 1
        for node in nodes
        if isinstance(node, ast.FunctionDef)
    ]
    assert statistics.median(functions) <= 12


CALLS = (
    "ev emit a.b --body '{\"n\":1}' --to agent:qa",
    "ev emit a.b --key k",
    "ev tail --type a.b -n 3",
    "msg send --to tester --subject x --body y",
    "msg recv",
    "msg ack $MAIL",
    "wk new x -p 1 --label y --desc z",
    "wk new x --parent $ITEM",
    "wk show $ITEM",
    "wk ready",
    "wk ready --claim",
    "wk claim $ITEM",
    "wk close $ITEM --note x",
    "lease acquire 'file:src/**' env:a",
    "lease ls file:src/a.py",
    "lease renew $LEASE",
    "lease release $LEASE",
    "run request --key k --timeout 10m --env A=b --work $ITEM -- make -j 4",
    "run show $RUN",
)


@pytest.mark.parametrize("line", CALLS)
def test_a_hot_command_loads_nothing_heavy(shell: Shell, line: str) -> None:
    """From the start of the process to its end: what a module costs, the user waits for."""
    shell.env |= {
        "ITEM": shell("wk new x -o id").out.strip(),
        "LEASE": shell("lease acquire env:b -o id").out.strip(),
        "RUN": shell("run request -o id -- true").out.strip(),
        "MAIL": shell("msg send --to tester --subject x -o id").out.strip(),
    }
    traced = f"{sys.executable} -X importtime"
    bare = shell(f"{traced} -c pass").err
    done = shell(f"{traced} {BIN}/{line}")
    loaded, before = (
        set(re.findall(r"\| +([\w.]+)$", text, re.MULTILINE)) for text in (done.err, bare)
    )
    assert {"coord_kernel.cli.harness", "coord_kernel.cli.argv"} <= loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded - before}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it is shipped, built from what git would commit."""
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    files = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(files, cwd=ROOT, check=True, capture_output=True).stdout
    pack = ["tar", "-C", str(ROOT), "--null", "-T", "-", "-cf", str(source / "s.tar")]
    subprocess.run(pack, input=listed, check=True)
    subprocess.run(["tar", "-xf", "s.tar"], cwd=source, check=True)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_has_every_module_schema_and_man_page(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    packaged = {
        name
        for name in names
        if name.startswith("coord_") and ".dist-info" not in name and ".data" not in name
    }
    expected = {"/".join(path.relative_to(ROOT).parts[2:]) for path in SOURCES}
    assert packaged == expected | {
        f"coord_envelope/schema/{n}.schema.json" for n in ("bodies", "event")
    }
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert shared == {
        "share/man/man1/wk.1",
        "share/man/man1/ev.1",
        "share/man/man1/lease.1",
        "share/man/man1/msg.1",
        "share/man/man1/run.1",
        "share/man/man7/coord.7",
    }


def test_the_installed_wheel_works_without_the_checkout(
    wheel: Path, shell: Shell, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    run = f"{sys.executable} -c 'import coord_ev.cli as c; print(c.__file__, flush=True); c.main()'"
    done = shell(f'{run} emit agent.registered --body \'{{"kind":"ai"}}\'', PYTHONPATH=str(site))
    assert done.out.startswith(str(site))
    assert (
        "'kind' is a required"
        in shell(f"{run} emit agent.registered", PYTHONPATH=str(site), expect=65).err
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_says_its_version(shell: Shell, tool: str) -> None:
    assert re.fullmatch(rf"{tool} \(coord-kernel\) \d+\.\d+\.\d+\n", shell(f"{tool} --version").out)


def test_the_demo_says_that_jq_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "tests/demo.sh")],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "jq is missing" in done.stderr
    assert done.stdout == ""


def test_the_demo_runs() -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    env = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/local/bin",
        "HOME": "/nonexistent",
    }
    done = subprocess.run(
        ["bash", str(ROOT / "tests/demo.sh")], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "done: Write the parser - see src/parser.py" in done.stdout
    assert "builder got 75; the file is grammar" in done.stdout
    assert '"$dup":true' in done.stdout
