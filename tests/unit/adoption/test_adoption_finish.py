"""The last stage: old compute environments are deleted once nothing uses them, and only then."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from mngen.adoption import (
    LONGEST_WAIT,
    RECORD,
    Adoption,
    Fate,
    Finish,
    Part,
    Wishes,
    adopt,
    read_account,
    read_record,
    save,
)
from mngen.adoption._imports import imports_text, targets
from mngen.adoption._queues import MappedQueue
from mngen.catalog import load_catalog
from mngen.cli._finish import finish as run_finish
from mngen.cli._options import Format
from mngen.errors import InputError, MngenError, Problem, ToolError
from tests.support.adoption import ARN, DEFINITION, ENVIRONMENT, QUEUE, REGION, Account, described
from tests.support.cli import mngen_here
from tests.support.old_setup import OldSetup

OLD = "TSUNAMI_ON_DEMAND_MAXCPU_12"
OLD_ARN = f"{ARN}compute-environment/{OLD}"
NEW_ARN = f"{ARN}compute-environment/tsunami-{OLD}-0123"
QUEUE_NAME = "TsunamiQueue_MAX_12"
LEGACY = f'    legacy: ["{OLD_ARN}"]'


def account(**rest: Any) -> tuple[dict[str, Any], dict[str, Any], OldSetup]:
    """An account after stage 3's apply: the queue has only the new environment."""
    old, queue, _ = described(ENVIRONMENT, QUEUE, DEFINITION)
    new = copy.deepcopy(old)
    new.update(computeEnvironmentArn=NEW_ARN, computeEnvironmentName=f"tsunami-{OLD}-0123")
    new.update(ecsClusterArn=f"{new['ecsClusterArn']}-new", uuid="new")
    queue["computeEnvironmentOrder"] = [{"order": 0, "computeEnvironment": NEW_ARN}]
    return old, queue, OldSetup([old, new], [queue], **rest)


@pytest.fixture(scope="module")
def imported() -> Adoption:
    """What an import makes of the account; the same for all tests."""
    before = Account(*([each] for each in described(ENVIRONMENT, QUEUE, DEFINITION)))
    found = read_account(region=REGION, connect=before.connect)
    return adopt(found, Wishes(name="tsunami"), load_catalog(Path("mngen.yaml")))


@pytest.fixture
def file(tmp_path: Path, imported: Adoption) -> Path:
    """A spec that was imported, without `legacy`, and the record beside it."""
    spec = tmp_path / "mngen.yaml"
    save(imported, spec, tmp_path / "deploy")
    text = spec.read_text(encoding="utf-8")
    assert LEGACY in text
    spec.write_text(text.replace(f"{LEGACY}\n", ""), encoding="utf-8")
    (tmp_path / "deploy/terraform/imports.tf").unlink()
    return spec


def finish(file: Path, setup: OldSetup) -> Finish:
    return Finish(
        file,
        file.parent / "deploy",
        connect=setup.connect,
        sleep=setup.sleep,
        clock=lambda: setup.now,
    )


def run(file: Path, setup: OldSetup, timeout: float = LONGEST_WAIT) -> list[Part]:
    """What became of each part, in the order of the plan; a failure is raised."""
    work = finish(file, setup)
    parts = {each.id: each for each in work.plan()}
    problems: list[Problem] = []
    for part, failed in work.run(parts.values(), timeout=timeout):
        parts[part.id] = part
        problems += failed
    if problems:
        raise ToolError(*problems)
    return list(parts.values())


def fates(file: Path, setup: OldSetup, timeout: float = LONGEST_WAIT) -> list[Fate]:
    return [each.fate for each in run(file, setup, timeout)]


def refused(file: Path, setup: OldSetup) -> MngenError:
    before = copy.deepcopy(setup.environments)
    with pytest.raises(InputError) as caught:
        fates(file, setup)
    assert setup.environments == before
    return caught.value


def test_old_environment_is_disabled_and_deleted_once_it_is_empty(file: Path) -> None:
    old, _, setup = account(containers={OLD_ARN: 100})
    old["computeResources"]["desiredvCpus"] = 96
    (part,) = finish(file, setup).plan()
    assert (part.id, part.fate) == (OLD_ARN, Fate.DELETE)
    assert setup.names() == [OLD, f"tsunami-{OLD}-0123"]
    assert fates(file, setup) == [Fate.DELETED]
    assert setup.names() == [f"tsunami-{OLD}-0123"]
    changes = [each for each in setup.calls if not each.startswith(("Describe", "Get"))]
    assert changes == ["UpdateComputeEnvironment", "DeleteComputeEnvironment"]
    # Its last container ended before it was disabled, and the rest took twice as long as Batch did.
    assert setup.now >= 100 + 2 * 40


def test_second_run_has_nothing_to_do(file: Path) -> None:
    _, _, setup = account()
    assert fates(file, setup) == [Fate.DELETED]
    setup.calls.clear()
    assert fates(file, setup) == [Fate.GONE]
    assert not [each for each in setup.calls if not each.startswith(("Describe", "Get"))]


@pytest.mark.parametrize("seconds", [0, 30, 60, 90, 120])
def test_interrupted_run_is_continued_by_another(file: Path, seconds: float) -> None:
    old, _, setup = account(containers={OLD_ARN: 30})
    old["computeResources"]["desiredvCpus"] = 24

    def interrupt() -> None:
        raise KeyboardInterrupt

    setup.at[seconds] = interrupt
    with pytest.raises(KeyboardInterrupt):
        fates(file, setup)
    assert OLD in setup.names()
    assert fates(file, setup) == [Fate.DELETED]
    assert OLD not in setup.names()


def test_idle_instances_that_the_environment_always_keeps_are_not_waited_for(file: Path) -> None:
    # Half of an instance cannot be terminated.
    for least in (24, 12):
        old, _, setup = account()
        old["computeResources"] |= {"minvCpus": least, "desiredvCpus": 24}
        assert fates(file, setup) == [Fate.DELETED]
    old, _, setup = account(containers={OLD_ARN: 60})
    old["computeResources"] |= {"minvCpus": 24, "desiredvCpus": 24}
    assert fates(file, setup) == [Fate.DELETED]
    assert setup.now >= 60


def test_what_is_wrong_with_an_environment_that_does_not_get_empty_is_reported(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, _, setup = account(containers={OLD_ARN: 30})
    old["computeResources"]["desiredvCpus"] = 24
    old |= {"status": "INVALID", "statusReason": "CLIENT_ERROR - no role"}
    with caplog.at_level("INFO", "mngen"):
        assert fates(file, setup) == [Fate.DELETED]
    assert "30 containers of jobs, 24 vCPUs, it is INVALID: CLIENT_ERROR - no role" in caplog.text


def test_import_blocks_that_another_import_wrote_meanwhile_stay(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports = file.parent / "deploy/terraform/imports.tf"
    texts = [
        imports_text(
            [MappedQueue(name=name, key=name, arn=name, environments=[], legacy=[])], [], ""
        )
        for name in ("q", "other")
    ]
    imports.write_text(texts[0], encoding="utf-8")
    monkeypatch.setattr(
        "mngen.terraform.Terraform.resources",
        lambda _: ["module.queue_q[0].aws_batch_job_queue.this"],
    )
    old, _, setup = account(containers={OLD_ARN: 100})
    old["computeResources"]["desiredvCpus"] = 24

    def another_import() -> None:
        imports.write_text(texts[1], encoding="utf-8")

    setup.at[50] = another_import
    parts = finish(file, setup).plan()
    assert [each.fate for each in parts] == [Fate.DELETE, Fate.DELETE]
    first, second = run(file, setup)
    assert (first.fate, second.fate) == (Fate.DELETED, Fate.KEPT)
    assert "module.queue_other[0].aws_batch_job_queue.this is not imported" in second.why
    assert imports.read_text(encoding="utf-8") == texts[1]


def test_import_blocks_that_cannot_be_read_are_named(file: Path) -> None:
    imports = file.parent / "deploy/terraform/imports.tf"
    imports.write_bytes(b"\xff")
    _, _, setup = account()
    assert refused(file, setup).problems[0].message == f"{imports} is not UTF-8 text"
    imports.unlink()
    imports.mkdir()
    assert refused(file, setup).problems[0].message == f"cannot read {imports}: Is a directory"


def test_spec_that_lists_it_is_refused_at_its_line(file: Path) -> None:
    _, queue, setup = account()
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("    protect: true\n", f"    protect: true\n{LEGACY}\n"), "utf-8")
    line = file.read_text(encoding="utf-8").splitlines().index(LEGACY) + 1
    # Whether or not the queue lists it in AWS: the next apply would put it there.
    for order in ([NEW_ARN], [NEW_ARN, OLD_ARN]):
        queue["computeEnvironmentOrder"] = [
            {"order": number, "computeEnvironment": each} for number, each in enumerate(order)
        ]
        (problem,) = refused(file, setup).problems
        assert QUEUE_NAME in problem.message
        assert OLD in problem.message
        assert problem.position is not None
        assert problem.position.line == line
        assert problem.hint == "remove this entry, then run mngen apply"


def test_queue_in_aws_that_lists_it_is_refused(file: Path) -> None:
    _, queue, setup = account()
    queue["computeEnvironmentOrder"].append({"order": 1, "computeEnvironment": OLD_ARN})
    (problem,) = refused(file, setup).problems
    assert QUEUE_NAME in problem.message
    assert problem.path == f"queues.{QUEUE_NAME}"
    assert problem.hint == "run mngen apply"


def test_queue_outside_the_spec_that_lists_it_is_refused(file: Path) -> None:
    _, queue, setup = account()
    other = {**queue, "jobQueueName": "other", "computeEnvironmentOrder": []}
    other["computeEnvironmentOrder"] = [{"order": 1, "computeEnvironment": OLD_ARN}]
    setup.queues.append(other)
    (problem,) = refused(file, setup).problems
    assert "the job queue other still has" in problem.message
    assert "update-job-queue" in str(problem.hint)


def test_queue_that_takes_it_back_meanwhile_stops_the_run(file: Path) -> None:
    old, queue, setup = account(containers={OLD_ARN: 100})
    old["computeResources"]["desiredvCpus"] = 24
    setup.at[50] = lambda: queue["computeEnvironmentOrder"].append(
        {"order": 1, "computeEnvironment": OLD_ARN}
    )
    with pytest.raises(InputError, match=QUEUE_NAME):
        fates(file, setup)
    assert old["state"] == "ENABLED"


def test_without_a_queue_or_another_environment_nothing_is_deleted(file: Path) -> None:
    _, queue, setup = account()
    setup.environments[1] |= {"status": "INVALID", "statusReason": "CLIENT_ERROR - no role"}
    (problem,) = refused(file, setup).problems
    assert f"in place of {OLD}" in problem.message
    assert "INVALID: CLIENT_ERROR - no role" in problem.message
    setup.queues.remove(queue)
    (problem,) = refused(file, setup).problems
    assert f"there is no job queue {QUEUE_NAME} in AWS" in problem.message
    assert problem.hint == "run mngen bake and mngen apply"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tags": {"aws:cloudformation:stack-name": "cluster"}}, "CloudFormation stack cluster"),
        ({"tags": {"mngen:deployment": "tsunami"}}, "mngen created it"),
        ({"uuid": "made later"}, "created again since"),
    ],
)
def test_what_is_not_the_old_environment_is_kept(
    file: Path, change: dict[str, Any], why: str
) -> None:
    old, _, setup = account()
    old.update(change)
    (part,) = finish(file, setup).plan()
    assert part.fate is Fate.KEPT
    assert why in part.why
    assert fates(file, setup) == [Fate.KEPT]
    assert OLD in setup.names()


def test_environment_of_another_configuration_is_kept(file: Path) -> None:
    record = file.parent / RECORD
    data = json.loads(record.read_bytes())
    data["environments"][0]["managed_elsewhere"] = True
    record.write_text(json.dumps(data), encoding="utf-8")
    _, _, setup = account()
    assert fates(file, setup) == [Fate.KEPT]


def test_other_credentials_do_not_look_like_a_deleted_environment(file: Path) -> None:
    record = file.parent / RECORD
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace(":210987654321:", ":111111111111:"), encoding="utf-8")
    _, _, setup = account()
    with pytest.raises(InputError, match="is not in account 210987654321, region eu-west-1"):
        fates(file, setup)


def test_environment_that_batch_cannot_delete_is_reported(file: Path) -> None:
    _, _, setup = account(undeletable=(OLD_ARN,))
    with pytest.raises(ToolError, match="CLIENT_ERROR - no permission") as caught:
        fates(file, setup)
    assert "mngen import --finish" in str(caught.value.problems[0].hint)
    _, _, setup = account(slow=1e9)
    with pytest.raises(ToolError, match="timed out after 10 min"):
        fates(file, setup)


def two(file: Path, setup: OldSetup) -> dict[str, Any]:
    """Adds a second old environment, with an AMI of its own, and returns it."""
    second = copy.deepcopy(setup.environments[0])
    second.update(computeEnvironmentArn=f"{OLD_ARN}-2", computeEnvironmentName=f"{OLD}-2")
    second.update(ecsClusterArn=f"{second['ecsClusterArn']}-2")
    setup.environments.append(second)
    record = file.parent / RECORD
    data = json.loads(record.read_bytes())
    (old,) = data["environments"]
    used = {"amis": [*old["amis"], "ami-00000000000000002"]}
    data["environments"].append({**old, **used, "arn": f"{OLD_ARN}-2"})
    record.write_text(json.dumps(data), encoding="utf-8")
    return second


def test_one_that_stays_in_use_is_not_waited_for_without_end_and_does_not_keep_the_rest(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, _, setup = account(containers={OLD_ARN: 10_000})
    old["computeResources"]["desiredvCpus"] = 24
    two(file, setup)
    work = finish(file, setup)
    done = []
    with caplog.at_level("INFO", "mngen"):
        for part, problems in work.run(work.plan(), timeout=600):
            done.append((part.fate, part.id))
            # The other one is gone long before.
            assert setup.now < 200 or (problems and setup.now == 600)
    assert done == [(Fate.DELETED, f"{OLD_ARN}-2"), (Fate.FAILED, OLD_ARN)]
    (problem,) = problems
    assert f"timed out after 600 s: {OLD} is still in use (9400 containers" in problem.message
    assert "--timeout" in str(problem.hint)
    assert "at most 600 s in all: 10000 containers of jobs" in caplog.text
    assert old["state"] == "ENABLED"
    # By default, an hour.
    old, _, setup = account(containers={OLD_ARN: 10_000})
    old["computeResources"]["desiredvCpus"] = 24
    with pytest.raises(ToolError, match="timed out after 3600 s"):
        fates(file, setup)
    assert 3600 <= setup.now < 3700


def test_instances_of_an_invalid_environment_are_not_waited_for_without_end(file: Path) -> None:
    old, _, setup = account(stuck=(OLD_ARN,))
    old["computeResources"]["desiredvCpus"] = 24
    old |= {"status": "INVALID", "statusReason": "CLIENT_ERROR - no role"}
    two(file, setup).update(status="VALID")
    work = finish(file, setup)
    done = [(part.fate, part.why) for part, _ in work.run(work.plan(), timeout=100)]
    assert [fate for fate, _ in done] == [Fate.DELETED, Fate.FAILED]
    assert "(24 vCPUs, it is INVALID: CLIENT_ERROR - no role)" in done[1][1]


def test_the_limit_of_the_command_is_that_of_the_waiting(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _, setup = account(stuck=(OLD_ARN,))
    old["computeResources"]["desiredvCpus"] = 24
    monkeypatch.setattr("mngen.adoption.Finish", lambda *_, **__: finish(file, setup))
    with pytest.raises(ToolError, match="timed out after 30 s") as caught:
        run_finish(
            file,
            file.parent,
            yes=True,
            dry_run=False,
            sandbox=False,
            output_format=Format.PRETTY,
            timeout=30,
        )
    assert caught.value.exit_code == 3
    assert setup.now == 30


@pytest.mark.parametrize("seconds", [0, 15, 100])
def test_a_limit_that_is_long_enough_changes_nothing(file: Path, seconds: int) -> None:
    old, _, setup = account(containers={OLD_ARN: seconds})
    old["computeResources"]["desiredvCpus"] = 24 if seconds else 0
    assert fates(file, setup, timeout=seconds + 20) == [Fate.DELETED]


@pytest.mark.parametrize("output_format", list(Format))
def test_one_that_cannot_be_deleted_does_not_keep_the_rest(
    output_format: Format,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, _, setup = account(undeletable=(OLD_ARN,))
    two(file, setup)
    imports = file.parent / "deploy/terraform/imports.tf"
    taken = MappedQueue(name="q", key="q", arn="q", environments=[], legacy=[])
    imports.write_text(imports_text([taken], [], ""), encoding="utf-8")
    monkeypatch.setattr(
        "mngen.terraform.Terraform.resources",
        lambda _: ["module.queue_q[0].aws_batch_job_queue.this"],
    )
    monkeypatch.setattr("mngen.adoption.Finish", lambda *_, **__: finish(file, setup))
    # The next run meets the same, and finds the rest gone.
    for rest in ("deleted", "gone"):
        with pytest.raises(ToolError) as caught:
            run_finish(
                file,
                file.parent,
                yes=True,
                dry_run=False,
                sandbox=False,
                output_format=output_format,
            )
        assert caught.value.exit_code == 3
        (problem,) = caught.value.problems
        reason = f"AWS Batch cannot delete {OLD}: CLIENT_ERROR - no permission"
        assert problem.message == reason
        assert "mngen import --finish" in str(problem.hint)
        shown = capsys.readouterr()
        # Also where the run is interrupted later.
        said = shown.out if output_format is Format.PRETTY else shown.err
        assert f"failed: compute environment {OLD} ({OLD_ARN}): {reason}" in said
        # Not the role that it may need to be deleted.
        if output_format is Format.PRETTY:
            assert f"{rest}: compute environment {OLD}-2 ({OLD_ARN}-2)" in shown.out
            assert "AMI ami-00000000000000002" in shown.out
            assert "AWSBatchServiceRole" not in shown.out
            assert "no longer needed" not in shown.err
        else:
            report = json.loads(shown.out)
            fates = [(each["fate"], each["why"]) for each in report["parts"]]
            assert fates[:2] == [("failed", reason), (rest, "")]
            assert [each["what"] for each in report["left"]] == [
                "AMI ami-00000000000000002, if it is yours"
            ]
        assert setup.names() == [OLD, f"tsunami-{OLD}-0123"]
        assert not imports.exists()


def test_what_the_old_one_used_is_listed_unless_the_spec_uses_it(file: Path) -> None:
    _, _, setup = account()
    left = {each.what: each.command for each in finish(file, setup).leftovers()}
    assert list(left) == [
        "AMI ami-0123456789abcdef0, if it is yours",
        "role arn:aws:iam::210987654321:role/AWSBatchServiceRole",
    ]
    assert "--region eu-west-1 --image-id ami-0123456789abcdef0" in next(iter(left.values()))
    text = file.read_text(encoding="utf-8")
    assert "# image: ami-0123456789abcdef0" in text
    file.write_text(text.replace("# image: ami-", "image: ami-"), encoding="utf-8")
    assert not any("AMI" in each.what for each in finish(file, setup).leftovers())


def test_record_names_what_the_queue_had(file: Path) -> None:
    (old,) = read_record(file).environments
    assert (old.arn, old.uuid, old.queues) == (OLD_ARN, "7f4e", (QUEUE_NAME,))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"environments": []}', '{"environments": [{"arn": "x"}]}']
)
def test_damaged_record_is_refused(file: Path, text: str) -> None:
    (file.parent / RECORD).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a record of mngen import"):
        read_record(file)


def test_only_the_blocks_of_an_import_are_recognized() -> None:
    queue = MappedQueue(name="q", key="q", arn=f"{ARN}job-queue/q", environments=[], legacy=[])
    text = imports_text([queue], [], "repo")
    assert targets(text) == [
        "module.queue_q[0].aws_batch_job_queue.this",
        "module.registry.aws_ecr_repository.this",
    ]
    assert targets(text + 'import {\n  to = x.y\n  id = "z"\n}\n') is not None
    assert targets(text + "# mine\n") is None
    assert targets("resource {}\n") is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--finish", "--from-account"),
        ("--finish", "--queue", "q"),
        ("--from-account", "--yes"),
        ("--from-account", "--timeout", "60"),
        ("--finish", "--timeout", "-1"),
    ],
)
def test_options_of_an_import_are_not_for_its_end(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    assert mngen_here("import", *arguments, cwd=tmp_path).returncode == 2


def test_without_a_terminal_it_is_not_asked(file: Path) -> None:
    done = mngen_here("import", "--finish", cwd=file.parent)
    assert done.returncode == 1
    assert "not a terminal: pass --yes to confirm" in done.stderr
    (file.parent / RECORD).unlink()
    done = mngen_here("import", "--finish", "--yes", cwd=file.parent)
    assert done.returncode == 1
    assert f"there is no {RECORD}" in done.stderr


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("output_format", list(Format))
def test_a_person_sees_what_would_be_deleted_before_the_question(
    output_format: Format,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, _, setup = account()
    monkeypatch.setattr("mngen.adoption.Finish", lambda *_, **__: finish(file, setup))
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    with pytest.raises(typer.Exit):
        run_finish(
            file, file.parent, yes=False, dry_run=False, sandbox=False, output_format=output_format
        )
    shown = capsys.readouterr()
    line = f"delete: compute environment {OLD} ({OLD_ARN})"
    asked = "Delete these, as soon as no job runs on them?"
    if output_format is Format.PRETTY:
        assert line in shown.out
    else:
        # Standard output is for one JSON document.
        assert not shown.out.strip()
        assert line in shown.err.partition(asked)[0]
    assert "Nothing was changed." in shown.err.partition(asked)[2]
    assert OLD in setup.names()
