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


ROOMS = (
    "rules",
    "store",
    "streams",
    "views",
    "proc",
    "journal",
    "sync",
    "bus",
    "controller",
    "cli",
)
"""The rooms of the kernel, from the top floor down."""
PUBLIC = {
    "coord_wk": ("items", "desk"),
    "coord_ev": ("fold",),
    "coord_lease": ("fold", "board"),
    "coord_msg": ("mail",),
    "coord_run": ("jobs",),
    "coord_agents": ("duties",),
}
"""What a bridge may import of each tool: its fold and its queries, and wk's desk, which writes.
Of coord-agent what is left for a session: the patrol plans by it."""
SHARED = {"coord_shop"}
"""Packages of bridges that other bridges import: several screens show one model."""
FAST = {"_json", "_signal", "_socket", "_sqlite3"}
"""Private modules of the standard library, which only `coord_envelope.platform` may import."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[2:]).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports: at the top, in a function, for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


ARROWS = {name: set(imports(path)) & MODULES.keys() - {name} for name, path in MODULES.items()}


def floor(module: str) -> int:
    """0 for the envelope, then the rooms of the kernel in order, then its face, then all others."""
    home, _, rest = module.partition(".")
    if home == "coord_envelope":
        return 0
    if home != "coord_kernel":
        return len(ROOMS) + 2
    return ROOMS.index(rest.partition(".")[0]) + 1 if rest else len(ROOMS) + 1


def test_every_arrow_between_homes_and_rooms_runs_down() -> None:
    up = [
        f"{name} -> {target}"
        for name, targets in ARROWS.items()
        for target in targets
        if floor(target) > floor(name)
    ]
    assert not up


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name: set(targets) for name, targets in ARROWS.items()}
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, "these are in a circle, or import one"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_tool_imports_no_other_tool_and_a_bridge_only_its_public_module(path: Path) -> None:
    home, name = path.relative_to(ROOT).parts[0], name_of(path).partition(".")[0]
    foreign = {
        module
        for module in imports(path)
        if module.startswith("coord_")
        and module.partition(".")[0] not in ("coord_envelope", "coord_kernel", name)
    }
    if home == "bridges":
        foreign = {module for module in foreign if module.partition(".")[0] not in SHARED}
    public = {f"{tool}.{module}" for tool, modules in PUBLIC.items() for module in modules}
    assert foreign <= (public if home == "bridges" else set())


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_one_module_imports_private_modules_of_the_standard_library(path: Path) -> None:
    if name_of(path) != "coord_envelope.platform":
        assert not FAST & set(imports(path))


def test_the_envelope_opens_no_file_but_its_schema() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "tools/envelope"):
            called = {
                ast.unparse(node.func)
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call)
            }
            opens = called & {"open", "os.open", "os.fdopen", "io.open", "os.mkdir", "os.unlink"}
            assert opens == ({"open"} if path.name == "bodies.py" else set()), path


def test_files_and_functions_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert not [path for path, length in lengths.items() if length > 400]
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    assert statistics.median((one.end_lineno or 0) - one.lineno + 1 for one in functions) <= 12
    assert len([one for one in functions if parameters(one) > 5]) < 15


def parameters(function: ast.FunctionDef) -> int:
    """How many a caller may give."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    bound = names[:1] in (["self"], ["cls"])
    return len(names) - bound + len(function.args.kwonlyargs)


def test_no_line_is_longer_than_100_characters() -> None:
    assert not [
        f"{path}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > 100
    ]


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
    assert {"coord_kernel.cli.process", "coord_kernel.cli.argv"} <= loaded
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
        f"coord_envelope/schema/{n}.schema.json" for n in ("bodies", "event", "userland")
    } | {"coord_agents/presets.toml"} | {
        f"coord_hooks/plugins/{name}" for name in ("opencode.js", "pi.ts")
    } | {
        f"coord_web/{path.parent.name}/{path.name}"
        for path in (ROOT / "bridges/web/coord_web").glob("*/*")
        if path.suffix in (".html", ".css", ".js", ".svg")
    }
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    assert shared == {
        "share/man/man1/wk.1",
        "share/man/man1/ev.1",
        "share/man/man1/lease.1",
        "share/man/man1/msg.1",
        "share/man/man1/run.1",
        "share/man/man1/coord-acp.1",
        "share/man/man1/coord-agent.1",
        "share/man/man1/coord.1",
        "share/man/man1/coord-hooks.1",
        "share/man/man1/coord-lsp.1",
        "share/man/man1/coord-mcp.1",
        "share/man/man1/coord-top.1",
        "share/man/man1/coord-bd.1",
        "share/man/man1/coord-tbd.1",
        "share/man/man1/coord-gc.1",
        "share/man/man1/coord-kwike.1",
        "share/man/man7/coord.7",
        "share/man/man1/coord-commons.1",
        "share/man/man1/coord-flow.1",
        "share/man/man8/coord-cron.8",
        "share/man/man8/coord-dispatch.8",
        "share/man/man8/coord-notify.8",
        "share/man/man8/coord-otel.8",
        "share/man/man8/coord-land.8",
        "share/man/man8/coord-patrol.8",
        "share/man/man8/coord-slack.8",
        "share/man/man8/coord-relay.8",
        "share/man/man8/coord-web.8",
        "share/man/man8/coord-webhook.8",
        "share/man/man8/coord-github.8",
    }
    scripts = {name.partition(".data/scripts/")[2] for name in names if ".data/scripts/" in name}
    assert scripts - {""} == {
        *TOOLS,
        "coord-hooks",
        "coord-bd",
        "coord-tbd",
        "coord-gc",
        "coord-kwike",
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
    assert "done: Write the parser\nmsg-" in done.stdout, "the mail came"
    assert "\n  see src/parser.py\n" in done.stdout
    assert "builder got 75; the file is grammar" in done.stdout
    assert '"$dup":true' in done.stdout
