"""Runs the playbook on a builder."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mngen import parts
from mngen.cluster import OWN_FOLDER, OWN_PLAYBOOKS, PRELOAD_PLAYBOOK, STAGES_AFTER_OWN
from mngen.errors import InterruptedRunError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mngen.images._job import Job

SECONDS_TO_CONNECT = 60

# Ansible refuses to run where the locale is not in UTF-8, as with LC_ALL=C, or is not installed, as
# one that ssh passed on. macOS has no C.UTF-8.
# Source: https://github.com/ansible/ansible/blob/devel/lib/ansible/cli/__init__.py
LOCALE = {"LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"}


def ssh_options(control: Path) -> str:
    """Returns OpenSSH's options for the way to one builder.

    A builder's host key is made at its first boot, so there is nothing to compare it with. One
    connection serves all tasks, and its socket is this bake's own: one that was kept from an
    earlier builder at the same address would reach the wrong machine.

    Args:
        control: A folder for the socket, whose path is short.
    """
    return (
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={control}/%C "
        "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
    )


_FAILED = ("runner_on_failed", "runner_on_unreachable")
_PLAYBOOK = "image.yml"
# Without these, a playbook that Ansible cannot read fails without a reason: no task has failed.
_ERROR = re.compile(r"^(?:\[ERROR\]:|ERROR!) *(.+)", re.MULTILINE)
_COMMAND_FAILED = "non-zero return code"
_LAST_LINES = 5
# What ssh adds to the errors of a command on a terminal, where the module `raw` runs its own: all
# that they write is their output.
# Source: https://github.com/openssh/openssh-portable (clientloop.c, mux.c)
_CLOSED = re.compile(r"^(Shared connection|Connection) to \S+ closed\.\r?$", re.MULTILINE)


def find_ansible() -> str:
    """Returns the path of `ansible-playbook`: the one installed with mngen, or that on PATH.

    Raises:
        ToolError: There is none.
    """
    parts.require("playbook")
    return parts.find(parts.PARTS["ansible"]).where


def play(job: Job, *, host: str, user: str, key: Path, proxy: str | None = None) -> None:
    """Runs the playbooks on one machine; their output goes to the job's log.

    Args:
        job: The job.
        host: Address or instance id.
        user: Who may log in and become root.
        key: The private key.
        proxy: OpenSSH's ProxyCommand; None for none.

    Raises:
        ToolError: A task failed; has its name and its output.
        InterruptedRunError: The user interrupted.
    """
    private = job.folder / "ansible"
    private.mkdir(mode=0o700)
    made_of = job.target.baked_from
    for file, tags in playbook_runs(made_of.own_playbooks, preload=bool(made_of.preload)):
        _play_one(job, file, tags, private, host=host, user=user, key=key, proxy=proxy)


def playbook_runs(own: Sequence[str], *, preload: bool = False) -> list[tuple[str, dict[str, str]]]:
    """Returns the playbooks of a bake in their order, each with the choice of its tags.

    Args:
        own: The playbooks of the spec, which run between two parts of mngen's.
        preload: Whether the AMI gets container images, while Docker waits for no file system yet.

    Returns:
        Files below `playbooks/`, and the arguments of ansible-runner for their tags.
    """
    before: list[tuple[str, dict[str, str]]] = [(PRELOAD_PLAYBOOK, {})] if preload else []
    if not own:
        return [*before, (_PLAYBOOK, {})]
    return [
        *before,
        (_PLAYBOOK, {"skip_tags": STAGES_AFTER_OWN}),
        *((f"{OWN_FOLDER}/{file}", {}) for file in own),
        (_PLAYBOOK, {"tags": STAGES_AFTER_OWN}),
    ]


def own_place(task_path: str) -> str:
    """Returns where in the spec's playbooks a task is, such as `bake/site.yml:12`.

    Args:
        task_path: The file and line that Ansible shows, in the copy of the playbooks for one bake.

    Returns:
        An empty string for a task of mngen's own.
    """
    return task_path.partition(f"/{OWN_PLAYBOOKS}/")[2]


def _play_one(
    job: Job,
    file: str,
    tags: Mapping[str, str],
    private: Path,
    *,
    host: str,
    user: str,
    key: Path,
    proxy: str | None,
) -> None:
    import ansible_runner

    failures: list[str] = []
    errors: list[str] = []
    program = Path(find_ansible())
    with tempfile.TemporaryDirectory(prefix="mngen-") as control, job.log.open("a") as log:
        options = ssh_options(Path(control)) + (f' -o ProxyCommand="{proxy}"' if proxy else "")

        def take(event: dict[str, Any]) -> bool:
            if event.get("stdout"):
                log.write(event["stdout"] + "\n")
                log.flush()
                errors.extend(_ERROR.findall(event["stdout"]))
            data = event.get("event_data", {})
            if event.get("event") == "playbook_on_task_start":
                job.show(str(data.get("task", "")))
            elif event.get("event") in _FAILED and not data.get("ignore_errors"):
                failures.append(_failure(data))
            return False

        result = ansible_runner.run(
            private_data_dir=str(private),
            playbook=str(job.run.templates / "playbooks" / file),
            **tags,
            inventory={
                "all": {
                    "hosts": {
                        job.target.image.label: {
                            "ansible_host": host,
                            "ansible_port": job.run.ssh_port,
                            "ansible_user": user,
                            "ansible_ssh_private_key_file": str(key),
                            "ansible_ssh_args": options,
                        }
                    }
                }
            },
            extravars=dict(job.variables),
            envvars={
                "ANSIBLE_HOST_KEY_CHECKING": "False",
                "ANSIBLE_NOCOLOR": "1",
                # Amazon Linux lets sudo run without a terminal.
                "ANSIBLE_PIPELINING": "True",
                "ANSIBLE_TIMEOUT": str(SECONDS_TO_CONNECT),
                **LOCALE,
                "PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            },
            event_handler=take,
            cancel_callback=lambda: job.run.cancel.wanted,
            quiet=True,
        )
    if job.run.cancel.wanted:
        raise InterruptedRunError("interrupted")
    if result.status != "successful":
        said = next(iter([*failures[-1:], *errors, f"it ended as `{result.status}`"]))
        raise ToolError(f"the playbook failed: {said}")


def _failure(data: dict[str, Any]) -> str:
    said = reason(data.get("res") or {}) or "no reason given"
    return f"{task_named(str(data.get('task', 'a task')), str(data.get('task_path', '')))}: {said}"


def task_named(task: str, task_path: str) -> str:
    """Returns a task's name, with its place if it is one of the spec's playbooks."""
    place = own_place(task_path)
    return f"{task} ({place})" if place else task


def reason(result: dict[str, Any]) -> str:
    """Returns why a task failed, from its result; empty for no reason.

    The message for a command is only that its exit code is not 0: the last lines of its output
    replace it.
    Source: https://github.com/ansible/ansible/blob/v2.19.0/lib/ansible/modules/command.py
    """
    errors = _CLOSED.sub("", str(result.get("stderr") or "")).strip()
    written = errors or str(result.get("stdout") or "").strip()
    if written and result.get("msg") == _COMMAND_FAILED:
        return "\n".join(written.splitlines()[-_LAST_LINES:])
    return str(result.get("msg") or written).strip()
