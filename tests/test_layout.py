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
from support import Shell

ROOT = Path(__file__).parent.parent
TOOLS = ("wk", "ev", "lease", "msg", "run")
SOURCES = sorted((ROOT / "tools").glob("*/coord_*/*.py"))
HEAVY = {
    *("typer", "rich", "pydantic", "orjson", "ulid", "filelock", "git", "jsonschema", "jinja2", "inotify_simple"),
    "yaml",
    *("asyncio", "inspect", "subprocess", "typing", "pathlib", "ctypes", "dataclasses", "logging"),
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_tool_imports_the_envelope_and_itself_and_the_envelope_no_tool(path: Path) -> None:
    ours = {name.partition(".")[0] for name in imports(path) if name.startswith("coord_")}
    assert ours <= {"coord_envelope", path.parent.name}


def test_files_and_functions_are_short() -> None:
    lengths = [len(path.read_text().splitlines()) for path in SOURCES]
    assert max(lengths) <= 300
    assert statistics.median(lengths) <= 120
    nodes = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())))
    functions = [(node.end_lineno or 0) - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef)]
    assert statistics.median(functions) <= 12


CALLS = {
    "emit": "coord_ev.cli.emit(Call(), 'a.b', body='{\"n\":1}', to=['agent:qa'])",
    "tail": "coord_ev.cli.tail(Call(), Filter(types=['a.b']), 3)",
    "send": "coord_msg.cli.send(Call(), to=['qa'], subject='x', body='y')",
    "recv": "coord_msg.cli.recv(Call('qa'))",
    "emit --key": "coord_ev.cli.emit(Call(), 'a.b', key='k')",
    "new": "coord_wk.cli.new(Call(), 'x', priority=1, label=['y'], desc='z')",
    "new --parent, show": "coord_wk.cli.new(Call(), 'y', parent=made()); coord_wk.cli.show(Call(), [made()])",
    "ready": "coord_wk.cli.ready(Call()), coord_wk.cli.ready(Call(), claim=True)",
    "claim, close": "coord_wk.cli.claim(Call(), [made()]); coord_wk.cli.close(Call(), [made()], note='x')",
    "acquire": "coord_lease.cli.acquire(Call(), ['file:src/**', 'env:a'])",
    "lease ls": "coord_lease.cli.ls(Call(), ['file:src/a.py'])",
    "renew": "coord_lease.cli.renew(Call(), ['0000'])",
    "release": "coord_lease.cli.release(Call(), ['0000'])",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_hot_command_without_its_parser_loads_nothing_heavy(shell: Shell, name: str) -> None:
    """What Typer's declarations cost is paid by `shell` alone; so a table of argv can replace it (DESIGN 15)."""
    item = shell("wk new x -o id").out.strip()
    code = f"""
import sys
bare = set(sys.modules)
import coord_ev.cli, coord_lease.cli, coord_msg.cli, coord_wk.cli
from coord_envelope import Filter
from coord_envelope.tool import Call
made = lambda: "{item}"
{CALLS[name]}
print(*sorted(({{name.partition('.')[0] for name in set(sys.modules) - bare}})), file=sys.stderr)
"""
    (shell.cwd / "hot.py").write_text(code)
    loaded = shell(f"{sys.executable} -S hot.py", PYTHONPATH=":".join(map(str, (ROOT / "tools").iterdir()))).err.split()
    assert "coord_envelope" in loaded
    assert not HEAVY & set(loaded)


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
        name for name in names if name.startswith("coord_") and ".dist-info" not in name and ".data" not in name
    }
    expected = {f"{path.parent.name}/{path.name}" for path in SOURCES}
    assert packaged == expected | {f"coord_envelope/schema/{n}.schema.json" for n in ("bodies", "event")}
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert shared == {
        "share/man/man1/wk.1",
        "share/man/man1/ev.1",
        "share/man/man1/lease.1",
        "share/man/man1/msg.1",
        "share/man/man7/coord.7",
    }


def test_the_installed_wheel_works_without_the_checkout(wheel: Path, shell: Shell, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    run = f"{sys.executable} -c 'import coord_ev.cli as c; print(c.__file__, flush=True); c.main()'"
    done = shell(f'{run} emit agent.registered --body \'{{"kind":"ai"}}\'', PYTHONPATH=str(site))
    assert done.out.startswith(str(site))
    assert "'kind' is a required" in shell(f"{run} emit agent.registered", PYTHONPATH=str(site), expect=65).err


@pytest.mark.parametrize("tool", ["run"])
def test_a_tool_of_a_later_release_says_so_and_exits_69(shell: Shell, tool: str) -> None:
    done = shell(tool, expect=69)
    assert re.fullmatch(rf"{tool}: .* not there yet; .*\n", done.err)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_says_its_version(shell: Shell, tool: str) -> None:
    assert re.fullmatch(rf"{tool} \(coord-kernel\) \d+\.\d+\.\d+\n", shell(f"{tool} --version").out)


def test_the_demo_says_that_jq_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "tests/demo.sh")], capture_output=True, text=True, env={"PATH": str(tmp_path)}
    )
    assert done.returncode == 1
    assert "jq is missing" in done.stderr
    assert done.stdout == ""


def test_the_demo_runs() -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/local/bin", "HOME": "/nonexistent"}
    done = subprocess.run(["bash", str(ROOT / "tests/demo.sh")], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "done: Write the parser - see src/parser.py" in done.stdout
    assert "builder got 75; the file is grammar" in done.stdout
    assert '"$dup":true' in done.stdout
