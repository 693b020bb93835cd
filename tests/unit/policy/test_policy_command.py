"""The command: what it prints where, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from mngen.cli.policy import RoleName, policy
from mngen.errors import InputError
from mngen.policy import Part

ACCOUNT = "123456789012"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

app = typer.Typer()
app.command()(policy)


def run(*arguments: str, example: str = "tutorial") -> Result:
    file = str(EXAMPLES / f"{example}.yaml")
    return CliRunner().invoke(app, [*arguments, "--file", file])


def test_the_command_knows_every_part() -> None:
    assert [part.value for part in RoleName] == [part.value for part in Part]


def test_one_document_is_all_of_standard_output() -> None:
    result = run("submitter", "--account", ACCOUNT)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["Version"] == "2012-10-17"
    assert result.stderr == "tutorial-submitter: 2540 characters\n"


def test_several_documents_are_numbered_and_each_can_be_had_alone() -> None:
    both = run("deployer", "--account", ACCOUNT)
    first = run("deployer", "--account", ACCOUNT, "--document", "1")
    second = run("deployer", "--account", ACCOUNT, "--document", "2")
    assert both.stdout == first.stdout + second.stdout
    assert "tutorial-deployer-1: document 1 of 2, " in both.stderr
    assert "tutorial-deployer-2: document 2 of 2, " in both.stderr
    assert second.stderr.startswith("tutorial-deployer-2: document 2 of 2, ")
    assert json.loads(second.stdout)["Statement"]


def test_the_importer_needs_no_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["importer", "--account", ACCOUNT, "--region", "cn-north-1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    (systems,) = [
        each for each in json.loads(result.stdout)["Statement"] if each["Sid"] == "FileSystems"
    ]
    assert systems["Resource"] == [
        f"arn:aws-cn:elasticfilesystem:cn-north-1:{ACCOUNT}:file-system/*"
    ]
    assert result.stderr.startswith("mngen-importer: ")
    without = CliRunner().invoke(app, ["importer", "--region", "us-east-1"])
    assert isinstance(without.exception, InputError)
    assert "pass --account ID; `aws sts" in str(without.exception.problems[0].hint)
    wrong = CliRunner().invoke(app, ["importer", "--region", "us-east-1", "--account", "12"])
    assert isinstance(wrong.exception, InputError)
    assert 'invalid AWS account "12"' in str(wrong.exception)


def test_region_is_only_for_the_importer() -> None:
    assert run("baker", "--account", ACCOUNT, "--region", "us-east-1").exit_code == 2


def test_json_is_always_a_list() -> None:
    for part, count in (("deployer", 2), ("submitter", 1)):
        result = run(part, "--account", ACCOUNT, "--format", "json")
        assert len(json.loads(result.stdout)) == count
        assert result.stderr == ""


def test_a_document_that_there_is_not_is_refused() -> None:
    result = run("deployer", "--account", ACCOUNT, "--document", "3")
    assert isinstance(result.exception, InputError)
    assert "--document must be between 1 and 2" in str(result.exception)
    assert result.stdout == ""


def test_the_account_is_asked_for_where_the_spec_has_none() -> None:
    result = run("deployer")
    assert isinstance(result.exception, InputError)
    assert "--account" in str(result.exception.problems[0].hint)


def test_the_specs_account_is_taken() -> None:
    result = run("baker", example="existing-network")
    assert "arn:aws:ssm:eu-central-1::parameter" in result.stdout
    assert f":{ACCOUNT}:" in result.stdout


def test_all_errors_of_the_spec_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mngen.yaml"
    file.write_text("name: X\nregion: nowhere\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["deployer", "--file", str(file), "--account", ACCOUNT])
    assert isinstance(result.exception, InputError)
    assert {"name", "region"} <= {problem.path for problem in result.exception.problems}


@pytest.mark.parametrize("arguments", [("nobody",), ()])
def test_a_part_that_there_is_not_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
