"""ev replay --pos, -n, --grep and --after, and ev emit K=V."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import Json, Shell, git

from coord_ev import place
from coord_kernel.views.arrivals import EPOCH, EPOCHS


def emitted(shell: Shell, *numbers: int) -> None:
    for n in numbers:
        shell(f"ev emit a.b n={n}")


def numbered(shell: Shell, options: str = "") -> list[tuple[int, int]]:
    """(number of arrival, n of the event)."""
    lines = shell(f"ev replay --pos {options}").lines
    return [(line["$pos"], line["body"]["n"]) for line in lines]


def seen(shell: Shell, line: str) -> list[int]:
    return [event["body"]["n"] for event in shell(f"ev {line}").lines]


def test_numbers_rise_by_one_in_order_of_arrival(shell: Shell) -> None:
    emitted(shell, 1, 2)
    before = numbered(shell)
    shell("ev emit a.b n=0", COORD_NOW="2020-01-01T00:00:00Z")  # of a clock that was behind
    after = numbered(shell)
    assert after[:2] == before
    first = before[0][0]
    assert [number - first for number, _ in after] == [0, 1, 2]
    assert first % EPOCH == 1
    assert EPOCH < first < (EPOCHS + 1) * EPOCH < 2**53


def test_a_late_event_with_a_small_id_comes_after_the_numbers_that_were_given(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    git("init", "-q", cwd=tmp_path / "there")
    there = Shell(tmp_path / "there")
    there("ev init")
    there("ev emit a.b n=9", COORD_NOW="2026-01-01T00:00:00Z")
    emitted(shell, 1)
    ((number, _),) = numbered(shell)
    shell(f"ev sync --with {there.cwd / '.coord'}")
    assert seen(shell, "replay") == [9, 1]
    assert numbered(shell) == [(number, 1), (number + 1, 9)]
    assert seen(shell, f"replay --after {number}") == seen(shell, f"tail --after {number}") == [9]


def test_a_reader_goes_on_behind_any_place(shell: Shell) -> None:
    emitted(shell, 1, 2, 3, 4)
    numbers = {n: number for number, n in numbered(shell)}
    event_id = shell("ev replay -n 2 -o id").out.split()[1]
    for options in (f"--after {numbers[2]}", f"--after {event_id}"):
        assert seen(shell, f"replay {options}") == [3, 4]
        assert numbered(shell, options) == [(numbers[3], 3), (numbers[4], 4)]
        assert numbered(shell, f"{options} -n 1") == [(numbers[3], 3)]
    (stream,) = {event["writer"] for event in shell("ev replay").lines}
    assert numbered(shell, f"""--after '{{"{stream}":3}}'""") == [(numbers[4], 4)]
    assert seen(shell, f"replay --after {numbers[4]}") == []


def test_a_number_of_another_epoch_is_bad_data(shell: Shell) -> None:
    emitted(shell, 1, 2)
    ((first, _), (last, _)) = numbered(shell)
    for text in (1234, last + 1, first - 2):
        assert "another epoch" in shell(f"ev replay --after {text}", expect=65).err
    (shell.cwd / ".coord/local/arrivals.sqlite").unlink()
    for line in ("replay", "replay --pos", "tail"):
        assert "another epoch" in shell(f"ev {line} --after {first}", expect=65).err
    assert [n for _, n in numbered(shell)] == [1, 2]


def test_a_copy_of_a_store_has_an_epoch_of_its_own(shell: Shell, tmp_path: Path) -> None:
    emitted(shell, 1)
    ((number, _),) = numbered(shell)
    shutil.copytree(shell.cwd, tmp_path / "copy")
    copy = Shell(tmp_path / "copy")
    assert "another epoch" in copy(f"ev replay --after {number}", expect=65).err
    assert numbered(shell) == [(number, 1)]


def test_numbers_outlive_a_restart_of_the_machine(shell: Shell) -> None:
    emitted(shell, 1)
    before = shell("ev replay --pos", COORD_BOOT="one:1000").lines
    assert shell("ev replay --pos", COORD_BOOT="two:1000").lines == before


def test_what_is_redacted_keeps_its_number_and_not_its_text(shell: Shell) -> None:
    emitted(shell, 1, 2)
    shell("ev redact $(ev replay -n 1 -o id) --reason gone")
    first, second, _ = shell("ev replay --pos").lines
    assert "n" not in first["body"]
    assert second["$pos"] == first["$pos"] + 1


def test_only_with_pos_lines_have_numbers_and_filters_apply(shell: Shell) -> None:
    emitted(shell, 1)
    shell("ev emit c.d n=2")
    assert "$pos" not in shell("ev replay").out
    assert [n for _, n in numbered(shell, "--type c.d")] == [2]
    assert numbered(shell, "--until 2020-01-01") == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("dusk", [1]), ("d.sk|noon", [1, 2]), ("^deep$", [2]), ("note", []), ("zzz", [])],
)
def test_grep_finds_text_of_the_body_at_any_depth(
    shell: Shell, pattern: str, expected: list[int]
) -> None:
    shell("ev emit a.b n=1 note='at dusk'")
    shell("""ev emit a.b --body '{"n":2,"a":[{"b":"deep"},"noon"]}'""")
    assert seen(shell, f"replay --grep '{pattern}'") == expected


def test_a_bad_pattern_is_usage(shell: Shell) -> None:
    assert "regular expression" in shell("ev replay --grep '('", expect=2).err


def test_texts_are_those_of_values_only() -> None:
    assert list(place.texts({"a": "b", "c": [1, None, {"d": ["e"]}]})) == ["b", "e"]


def body(shell: Shell, words: str) -> Json:
    return dict(shell(f"ev emit a.b {words}").one["body"])


def test_fields_of_a_body_are_words(shell: Shell) -> None:
    assert body(shell, "n=12 ok=true off=false name='a b=c' id=007 none= big=1e3") == {
        "n": 12,
        "ok": True,
        "off": False,
        "name": "a b=c",
        "id": "007",
        "none": "",
        "big": "1e3",
    }
    assert body(shell, """--body '{"a":{"b":1}}' n=1""") == {"a": {"b": 1}, "n": 1}
    assert "not K=V" in shell("ev emit a.b nothing", expect=65).err
    assert "given twice" in shell("ev emit a.b n=1 n=2", expect=65).err
    assert shell("ev emit msg.acked kind=done", expect=0).one["body"] == {"kind": "done"}
    assert "kind" in shell("ev emit msg.acked kind=1", expect=65).err
