"""No text makes a traceback: what is not one sound YAML document is refused where it goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mngen.errors import InputError, Problem
from mngen.spec import load, load_text, scalar
from mngen.spec._document import _most_levels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def problems(raw: bytes) -> tuple[Problem, ...]:
    """Load a text and return everything that is said about it."""
    try:
        return load_text(raw).problems
    except InputError as error:
        return error.problems


@given(
    st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans() | st.none()
)
@example("on")
@example("1.5")
@example("a\x7f\x85\u2028\ufeff\uffff\U0001f30a")
def test_scalar_reads_back_as_its_value(value: object) -> None:
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        assert yaml.load(scalar(value), loader) == value


def multiplied(times: int) -> bytes:
    """A text whose aliases stand for ten to the power of `times` values."""
    lines = (
        f"a{step}: &a{step} [{', '.join([f'*a{step - 1}'] * 10)}]" for step in range(1, times + 1)
    )
    return "\n".join(["a0: &a0 [x]", *lines]).encode()


def chained(times: int) -> bytes:
    """A text that is flat, and deep in what its aliases stand for."""
    return "\n".join(
        ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, times))]
    ).encode()


def merged(times: int) -> bytes:
    """The same with merge keys, whose lists PyYAML would build before anyone could count."""
    text = "&a0 {x: 1}"
    for step in range(1, times + 1):
        text = f"&a{step} {{<<: [{text}{f', *a{step - 1}' * 400}]}}"
    return text.encode()


@pytest.mark.parametrize(
    ("raw", "line", "column", "message"),
    [
        pytest.param(b"name: a\n\tregion: b", 2, 1, "not valid YAML", id="tab"),
        pytest.param(b"name: 'a\nregion: b\n", 3, 1, "that starts on line 1", id="open quote"),
        pytest.param(b"name: a: b", 1, 8, "mapping values are not allowed", id="colon"),
        pytest.param(b"name: @a", 1, 7, "not valid YAML", id="reserved"),
        pytest.param(b"a: 1\n---\nb: 2\n", 2, 1, "but found another document", id="two documents"),
        pytest.param(b"name: *a", 1, 7, "undefined alias", id="alias of nothing"),
        pytest.param(b"a: 1\n" + b"[" * 200_000, 2, 1026, "not valid YAML", id="brackets as key"),
        pytest.param(b"[" * 200_000, 1, 51, "deeper than 50 levels", id="200,000 brackets"),
        pytest.param(b"- " * 200_000, 1, 101, "deeper than 50 levels", id="200,000 dashes"),
        pytest.param(b"[\r" * 60, 51, 1, "deeper than 50 levels", id="deep with old line ends"),
        pytest.param(b"{? " * 60, 1, 151, "deeper than 50 levels", id="deep keys"),
        pytest.param(multiplied(9), 1, 1, "multiply too far", id="multiplying aliases"),
        pytest.param(merged(3), 1, 1, "multiply too far", id="multiplying merges"),
        pytest.param(chained(60), 1, 1, "too deep", id="chain of aliases"),
        pytest.param(b"a: &a [*a]", 1, 1, "too deep", id="alias within itself"),
        pytest.param(b"a: &a {b: *a}", 1, 1, "too deep", id="mapping within itself"),
        pytest.param(b"&a {<<: *a}", 1, 1, "too deep", id="merge with itself"),
        pytest.param(b"<<: 3", 1, 5, "for merging", id="merge of a number"),
        pytest.param(b"name: !!python/object:os.x {}", 1, 7, "tag", id="object of Python"),
        pytest.param(b"name: !!python/name:os.x ''", 1, 7, "not valid YAML", id="name of Python"),
        pytest.param(b"network: !mine {vpc: new}", 1, 10, "the tag `!mine`", id="own tag"),
        pytest.param(b"name: !!set {a, b}", 1, 7, "the tag", id="set"),
        pytest.param(b"name: !!bool foo", 1, 7, "not a sound bool", id="false bool"),
        pytest.param(b'name: !!int ""', 1, 7, "not a sound int", id="empty int"),
        pytest.param(b"name: !!timestamp x", 1, 7, "not a sound timestamp", id="false timestamp"),
        pytest.param(b"name: !!float x", 1, 7, "not a sound float", id="false float"),
        pytest.param(b"name: 2026-13-45", 1, 7, "not a sound timestamp", id="no such month"),
        pytest.param(b"name: " + b"9" * 5000, 1, 7, "not a sound int", id="endless number"),
        pytest.param("name: !!binary é".encode(), 1, 7, "base64", id="false base64"),
        pytest.param(b"name: =", 1, 7, "not valid YAML", id="equals sign"),
        pytest.param(b"name: a\nregion: \xff", 2, 9, "not UTF-8", id="not UTF-8"),
        pytest.param("ä: a\nü: é".encode() + b"\xff", 2, 5, "not UTF-8", id="half UTF-8"),
        pytest.param(b"\xef\xbb\xbfa: \xff", 1, 4, "not UTF-8", id="not UTF-8 after a BOM"),
        pytest.param("name: a".encode("utf-16"), 1, 1, "not UTF-8", id="UTF-16"),
        pytest.param(b"name: a\nb: \x00", 2, 4, "control characters", id="NUL"),
        pytest.param(b"name: \x1b[31m", 1, 7, "control characters", id="escape"),
        pytest.param(b'name: "\\ud800"', 1, 10, "Unicode", id="half a character"),
        pytest.param(b"%YAML 9.9\n---\nname: a", 1, 1, "not valid YAML", id="YAML 9.9"),
        pytest.param(b"? [a]\n: b", 1, 3, "a key must be text", id="a list as key"),
        pytest.param(b"name: a\nname: b", 2, 1, "first is on line 1", id="twice"),
        pytest.param(b"tags: {a: x, a: y}", 1, 14, "first is on line 1", id="twice in a line"),
        pytest.param(b"a: 1\ra: 2", 2, 1, "first is on line 1", id="twice, old line ends"),
        pytest.param(
            "a: 'x\u2028\u2028\u2028'\nb: 1\nb: 2".encode(), 6, 1, "line 5", id="odd line ends"
        ),
        pytest.param(b'name: "\\0"', 1, 7, "control character U+0000", id="NUL in quotes"),
        pytest.param(b'tags: {"\\a": x}', 1, 8, "control character U+0007", id="bell in a key"),
        pytest.param("name: a\ufeffb".encode(), 1, 7, "character U+FEFF", id="BOM within"),
        pytest.param("name: e\u0301".encode(), 1, 7, "composed form (NFC)", id="decomposed"),
        pytest.param("tags: {e\u0301: x}".encode(), 1, 8, "(NFC)", id="decomposed key"),
    ],
)
def test_what_is_wrong_with_the_text_is_said_where_it_is(
    raw: bytes, line: int, column: int, message: str
) -> None:
    begun = time.monotonic()
    found = [problem for problem in problems(raw) if message in problem.message]
    assert len(found) == 1, [problem.message for problem in problems(raw)]
    position = found[0].position
    assert position is not None
    assert (position.line, position.column) == (line, column)
    assert found[0].source_line is not None
    assert time.monotonic() - begun < 5


NESTED: dict[str, Callable[[int], str]] = {
    "keys": lambda levels: "\n".join(f"{' ' * level}a:" for level in range(levels)),
    "lists below their keys": lambda levels: "\n".join(
        f"{'  ' * (level // 2)}{'- ' if level % 2 else 'a:'}" for level in range(levels)
    ),
    "dashes": lambda levels: "- " * levels + "a",
    "question marks": lambda levels: "? " * levels + "a",
    "anchors": lambda levels: "\n".join(f"{' ' * level}a: &a{level}" for level in range(levels)),
    "brackets": lambda levels: "[" * levels + "]" * levels,
    "braces": lambda levels: "{a: " * levels + "}" * levels,
    "mappings of one key": lambda levels: (
        "- " * (levels % 2) + "[a: " * (levels // 2) + "]" * (levels // 2)
    ),
    "both": lambda levels: (
        "- " * (levels // 2) + "[" * (levels - levels // 2) + "]" * (levels - levels // 2)
    ),
}


@pytest.mark.parametrize("levels", [50, 51, 90, 300])
@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_fifty_levels_are_taken_in_whatever_form(
    form: str, levels: int, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mngen.spec._document._SafeLoader", getattr(yaml, loader))
    text = NESTED[form](levels)
    found = [each for each in problems(text.encode()) if "levels" in each.message]
    assert len(found) == (levels > 50)
    assert _most_levels(text) >= levels


# libyaml passes over one at the start of each line; the composer would exhaust the C stack.
def test_marks_of_byte_order_hide_no_levels() -> None:
    (problem,) = problems(("a:\n\ufeff" + "- " * 200_000 + "a").encode())
    assert "levels" in problem.message


@pytest.mark.parametrize(
    "raw",
    [
        b"a: {b: /efs/{job}, c: 1}",
        b"a: {b: {job}/x}",
        b"a: {\n  b: /efs/{job}/x,\n  c: 1}",
        b"a: [run, --to=/efs/{job}]",
        b"a: {job}/x",
        b"jobs: {a: {queue: q, command: [run, '{job}', {job}]}}",
        b"jobs: {a: {queue: q, outputs: {job}, command: [run]}}",
    ],
)
def test_a_word_in_braces_outside_quotes_is_named(raw: bytes) -> None:
    hints = [problem.hint or "" for problem in problems(raw)]
    assert any("{job}" in each and "in quotes" in each for each in hints), hints


def test_other_braces_are_not_blamed_for_what_is_wrong() -> None:
    (problem,) = problems(b"a: {b: '{job}', c: [x, y}\n")
    assert problem.message.startswith("not valid YAML")
    assert problem.hint is None


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"# nothing\n", b"~", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_called_empty(raw: bytes) -> None:
    (problem,) = problems(raw)
    assert problem.message == "mngen.yaml is empty"
    assert problem.hint is not None


@pytest.mark.parametrize("raw", [b"hello", b"[1]", b"1", b"- name: a"])
def test_what_is_no_mapping_is_told_its_keys(raw: bytes) -> None:
    (problem,) = problems(raw)
    assert problem.message.startswith("the spec must be a mapping with keys such as name, region")


SOUND = """\
name: test
region: us-east-1
environments:
  r5: {instance: r5.large, max_nodes: 1}
queues:
  q: {environments: [r5]}
"""


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(SOUND.encode(), id="as it is"),
        pytest.param(SOUND.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(SOUND.replace("\n", "\r").encode(), id="CR"),
        pytest.param(b"\xef\xbb\xbf" + SOUND.encode(), id="BOM"),
        pytest.param(b"%YAML 1.1\n---\n" + SOUND.encode() + b"...\n", id="markers"),
        pytest.param(SOUND.replace("max_nodes: 1", "<<: {max_nodes: 1}").encode(), id="merge"),
        pytest.param(SOUND.replace("test", "&x test").encode(), id="anchor"),
        pytest.param(SOUND.rstrip().encode(), id="no last line end"),
    ],
)
def test_forms_of_the_same_spec(raw: bytes) -> None:
    assert load_text(raw).require() == load_text(SOUND.encode()).require()


def test_keys_are_text_whatever_yaml_makes_of_them() -> None:
    tags = "tags: {1: a, yes: b, null: c, 2026-01-01: d, 1.5: e}\n"
    spec = load_text((SOUND + tags).encode()).require()
    assert spec.tags == {"1": "a", "yes": "b", "null": "c", "2026-01-01": "d", "1.5": "e"}


def test_a_merge_keeps_what_the_mapping_says_itself() -> None:
    text = SOUND.replace("r5: {", "r5: &r5 {").replace(
        "queues:", "  m5: {<<: *r5, max_nodes: 7}\nqueues:"
    )
    spec = load_text(text.encode()).require()
    assert spec.environments["m5"].instance == "r5.large"
    assert spec.environments["m5"].max_nodes == 7


def test_crlf_leaves_no_trace_in_what_is_shown() -> None:
    (first, *_) = problems(b"name: A B\r\nregion: us-east-1\r\n")
    assert first.source_line == "name: A B"


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="ignore")))
@example(b"a: !!int 0b")
@example(b"a: 1:2:3:99999999999999999999")
@example(b"? ")
@example(b"- : -")
def test_no_bytes_make_a_traceback(raw: bytes) -> None:
    assert problems(raw)


@given(st.lists(st.sampled_from([*"{}[]:,-?&*!|>'\"%@`#\n\t ~<", "a", "<<", "!!int", "*a", "&a"])))
def test_no_yaml_makes_a_traceback(parts: list[str]) -> None:
    assert problems("".join(parts).encode())


def test_a_large_file_is_refused() -> None:
    (problem,) = problems(b"#" * (10 * 1024 * 1024 + 1))
    assert "larger than 10 MiB" in problem.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file") as caught:
        load(tmp_path / "mngen.yaml")
    assert caught.value.problems[0].hint is not None


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        load(tmp_path)


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Not a directory"):
        load(tmp_path / "file" / "mngen.yaml")


def test_a_device_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="larger than 10 MiB"):
        load(tmp_path / "endless")


def test_a_file_without_permission(tmp_path: Path) -> None:
    spec = tmp_path / "mngen.yaml"
    spec.write_text(SOUND, encoding="utf-8")
    spec.chmod(0)
    tmp_path.chmod(0o755)
    script = (
        "import sys; from pathlib import Path\n"
        "from mngen.errors import InputError\n"
        "from mngen.spec._load import load\n"
        "try: load(Path('mngen.yaml'))\n"
        "except InputError as error: print(error)\n"
    )
    # Root may read everything, so whoever is root becomes nobody after the imports.
    if os.geteuid() == 0:
        script = script.replace("try:", "import os, mngen.errors; os.setuid(65534)\ntry:", 1)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "cannot read mngen.yaml: Permission denied\n"


def test_threads_may_load_the_first_specs_at_the_same_time() -> None:
    """As a notebook may; without a lock, msgspec ends the process with a segmentation fault."""
    script = """
import sys, threading
from mngen.spec import load_text

sys.setswitchinterval(1e-6)
start = threading.Barrier(8)

def load():
    start.wait()
    load_text(sys.argv[1].encode()).require()

threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    spec = "name: a\nregion: us-east-1\nenvironments: {e: {instance: r5.large, max_nodes: 2}}\n"
    done = subprocess.run(
        [sys.executable, "-c", script, f"{spec}queues: {{q: {{environments: [e]}}}}\n"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
