"""`mngen import --finish`: deletes what is left of the old setup, once nothing uses it.

Batch deletes only an environment that is disabled and in no queue, and does both in the background.
Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteComputeEnvironment.html
"""

from __future__ import annotations

import logging
import time
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING, Any

import msgspec

from mngen._aws import client, translated
from mngen.adoption._account import all_queues, described_environments
from mngen.adoption._deployed import role_name
from mngen.adoption._imports import IMPORTS, targets
from mngen.adoption._obstacles import Seen, activity, obstacles, reason_to_keep
from mngen.adoption._queues import environments_of
from mngen.adoption._record import RECORD, read_record
from mngen.catalog import load_catalog
from mngen.cluster import queue_name
from mngen.errors import InputError, Problem, ToolError
from mngen.rules import require
from mngen.spec import load

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from mypy_boto3_batch.client import BatchClient

    from mngen.adoption._record import OldEnvironment, Record
    from mngen.spec import Spec

_LOG = logging.getLogger(__name__)

_PAUSE = 15  # seconds
_LONGEST_UPDATE = 600
# The AWS provider of Terraform waits as long for the same.
_LONGEST_DELETE = 1200
# An environment that was INVALID before may be so in the first answers after the request.
_LONGEST_INVALID = 60
_CLUSTERS_AT_ONCE = 100
_AGAIN = "run mngen import --finish again: it continues where it stopped"

LONGEST_WAIT = 3600
"""Seconds that `Finish.run` waits for jobs and instances by default."""


class Fate(StrEnum):
    """What happens, or has happened, to a part of the old setup."""

    DELETE = "delete"
    DELETED = "deleted"
    GONE = "gone"
    KEPT = "kept"
    FAILED = "failed"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the old setup.

    Attributes:
        what: What it is, with its name.
        id: The ARN of a compute environment, or the path of a file.
        fate: What happens to it.
        why: Why it is kept, or what failed; empty for the others.
    """

    what: str
    id: str
    fate: Fate
    why: str = ""


class Leftover(msgspec.Struct, frozen=True):
    """What the old setup used, and mngen does not delete.

    Attributes:
        what: What it is, with its name.
        command: What deletes it.
    """

    what: str
    command: str


class Finish:
    """The last stage of an adoption.

    Args:
        file: The spec, with the record beside it.
        out: Folder of the rendered tree.
        take_imports: Whether to delete the import blocks once they are done; not for the emulated
            AWS, which has another Terraform state.
        connect: Makes a client of a service in a region.
        sleep: How to wait for a number of seconds.
        clock: Returns the seconds since a fixed point in time.

    Raises:
        InputError: The spec has errors, or there is no record.
    """

    def __init__(
        self,
        file: Path,
        out: Path,
        *,
        take_imports: bool = True,
        connect: Callable[[str, str], Any] = client,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        loaded = load(file)
        self.spec: Spec = require(loaded, load_catalog(file)).spec
        self.record: Record = read_record(file)
        self._document = loaded.document
        self._file = file
        self._imports = out / IMPORTS
        self._take_imports = take_imports
        self._connect = connect
        self._sleep = sleep
        self._clock = clock

    def plan(self) -> list[Part]:
        """Returns what will happen to each part of the old setup; changes nothing.

        Raises:
            InputError: A queue, or the spec, still lists an old environment; or a queue has no
                other that can run its jobs; carries every such problem.
            ToolError: AWS denies a call, or cannot be reached.
        """
        self._require_account()
        seen = self._see()
        parts = [self._part(each, seen) for each in self.record.environments]
        return [*parts, *self._imports_part()]

    def run(
        self, parts: Collection[Part], *, timeout: float = LONGEST_WAIT
    ) -> Iterator[tuple[Part, tuple[Problem, ...]]]:
        """Deletes the parts that `plan` has, each as soon as no job runs on it.

        One that is still in use, or that AWS does not delete, does not keep the others. Every step
        may be interrupted: another run continues.

        Args:
            parts: What `plan` returned.
            timeout: Seconds to wait for jobs and instances, in all.

        Yields:
            What became of each part that was to be deleted, as soon as it is known, and what
            failed.

        Raises:
            InputError: As for `plan`; others may have changed a queue since.
        """
        olds = {each.arn: each for each in self.record.environments}
        waiting = [each for each in parts if each.fate is Fate.DELETE and each.id in olds]
        end = self._clock() + timeout
        said: dict[str, str] = {}
        while waiting:
            late = self._clock() >= end
            for part in list(waiting):
                old = olds[part.id]
                try:
                    found, busy = self._emptied(old)
                    if busy and late:
                        raise _still_used(old, busy, timeout)
                    if not busy and found.fate is Fate.DELETE:
                        self._delete(old)
                        found = msgspec.structs.replace(found, fate=Fate.DELETED)
                except ToolError as error:
                    waiting.remove(part)
                    yield _failed(part, error)
                    continue
                if not busy:
                    waiting.remove(part)
                    yield found, ()
                elif busy != said.get(old.arn):
                    _LOG.info("waiting for %s, at most %g s in all: %s", old.name, timeout, busy)
                    said[old.arn] = busy
            if waiting:
                self._sleep(min(_PAUSE, max(end - self._clock(), 0)))
        for part in parts:
            if part.fate is Fate.DELETE and part.id not in olds:
                try:
                    yield self._without_imports(part), ()
                except ToolError as error:
                    yield _failed(part, error)

    def leftovers(self, parts: Collection[Part] = ()) -> list[Leftover]:
        """Returns what the old environments used and the spec does not, with commands.

        Args:
            parts: What became of them. What one that failed uses is left out: without its service
                role, AWS Batch cannot delete it.
        """
        failed = {each.id for each in parts if each.fate is Fate.FAILED}
        found = {}
        needed = set()
        for old in self.record.environments:
            for each in _used(old, self.spec):
                found[each.what] = each
                if old.arn in failed:
                    needed.add(each.what)
        return [each for each in found.values() if each.what not in needed]

    @property
    def _batch(self) -> BatchClient:
        made: BatchClient = self._connect("batch", self.spec.region)
        return made

    def _require_account(self) -> None:
        with translated():
            caller = self._connect("sts", self.spec.region).get_caller_identity()["Account"]
        wrong = [
            each.arn
            for each in self.record.environments
            if each.arn.split(":")[3:5] != [self.spec.region, caller]
        ]
        if wrong:
            raise InputError(
                Problem(
                    f"{wrong[0]} is not in account {caller}, region {self.spec.region}",
                    file=str(self._file.parent / RECORD),
                    hint="use the credentials and the spec that it was imported with",
                )
            )

    def _see(self) -> Seen:
        """Returns what AWS shows now.

        Raises:
            InputError: See `plan`.
        """
        batch = self._batch
        names = {queue_name(self.spec, key) for key in self.spec.queues}
        with translated():
            queues = {each["jobQueueName"]: dict(each) for each in all_queues(batch)}
            arns = {each.arn for each in self.record.environments}
            for name in names & queues.keys():
                arns |= set(environments_of(queues[name]))
            environments = {
                each["computeEnvironmentArn"]: dict(each)
                for each in described_environments(batch, sorted(arns))
                if each.get("status") != "DELETED"
            }
            clusters = {
                str(environments[each.arn]["ecsClusterArn"])
                for each in self.record.environments
                if environments.get(each.arn, {}).get("ecsClusterArn")
            }
            seen = Seen(
                queues=queues, environments=environments, clusters=self._clusters(sorted(clusters))
            )
        problems = list(obstacles(self.record, self.spec, self._document, seen))
        if problems:
            raise InputError(*problems)
        return seen

    def _clusters(self, arns: list[str]) -> dict[str, dict[str, Any]]:
        # One that does not exist is left out of the answer: so does that of an invalid environment.
        ecs: Any = self._connect("ecs", self.spec.region) if arns else None
        return {
            each["clusterArn"]: each
            for start in range(0, len(arns), _CLUSTERS_AT_ONCE)
            for each in ecs.describe_clusters(clusters=arns[start : start + _CLUSTERS_AT_ONCE])[
                "clusters"
            ]
        }

    def _part(self, old: OldEnvironment, seen: Seen) -> Part:
        part = Part(what=f"compute environment {old.name}", id=old.arn, fate=Fate.GONE)
        if old.arn not in seen.environments:
            return part
        why = reason_to_keep(old, seen)
        return msgspec.structs.replace(part, fate=Fate.KEPT if why else Fate.DELETE, why=why)

    def _imports_part(self) -> Iterator[Part]:
        """Yields the file with the import blocks, if there is one."""
        from mngen.terraform import Terraform

        try:
            text = self._imports.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"cannot read {self._imports}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InputError(f"{self._imports} is not UTF-8 text") from None
        wanted = targets(text)
        why = ""
        if wanted is None:
            why = "it has more than the blocks of mngen import: delete those by hand"
        elif not self._take_imports:
            why = "the sandbox has another Terraform state"
        else:
            try:
                missing = sorted(set(wanted) - set(Terraform(self._imports.parent).resources()))
            except ToolError as error:
                why = f"the Terraform state cannot be read: {error.problems[0].message}"
            else:
                why = f"{missing[0]} is not imported: run mngen apply" if missing else ""
        yield Part(
            what="Terraform's import blocks",
            id=str(self._imports),
            fate=Fate.KEPT if why else Fate.DELETE,
            why=why,
        )

    def _without_imports(self, part: Part) -> Part:
        """Deletes the file with the import blocks; keeps one that has become another meanwhile."""
        for now in self._imports_part():
            if now.fate is not Fate.DELETE:
                return now
        try:
            self._imports.unlink(missing_ok=True)
        except OSError as error:
            raise ToolError(
                f"cannot delete {self._imports}: {error.strerror}", hint="delete it by hand"
            ) from None
        return msgspec.structs.replace(part, fate=Fate.DELETED)

    def _emptied(self, old: OldEnvironment) -> tuple[Part, str]:
        """Returns what is to happen to an environment now, and what it still has to wait for."""
        seen = self._see()
        part = self._part(old, seen)
        return part, activity(old, seen) if part.fate is Fate.DELETE else ""

    def _delete(self, old: OldEnvironment) -> None:
        """Disables an environment that nothing uses, and deletes it."""
        found = self._described(old)
        if found and found["state"] != "DISABLED" and found["status"] != "DELETING":
            _LOG.info("disabling %s", old.name)
            with translated():
                self._batch.update_compute_environment(computeEnvironment=old.arn, state="DISABLED")
            found = self._disabled(old)
        if found and found["status"] != "DELETING":
            _LOG.info("deleting %s", old.name)
            with translated():
                self._batch.delete_compute_environment(computeEnvironment=old.arn)
        self._gone(old)

    def _disabled(self, old: OldEnvironment) -> dict[str, Any]:
        for _ in range(0, _LONGEST_UPDATE, _PAUSE):
            found = self._described(old)
            if not found or (found["state"] == "DISABLED" and found["status"] != "UPDATING"):
                return found
            self._sleep(_PAUSE)
        raise _timeout(f"{old.name} is not disabled", _LONGEST_UPDATE)

    def _gone(self, old: OldEnvironment) -> None:
        for waited in range(0, _LONGEST_DELETE, _PAUSE):
            found = self._described(old)
            if not found:
                return
            if found["status"] == "INVALID" and waited >= _LONGEST_INVALID:
                raise ToolError(
                    f"AWS Batch cannot delete {old.name}: {found.get('statusReason', '')}",
                    hint=f"correct what it names, often the service role; then {_AGAIN}",
                )
            self._sleep(_PAUSE)
        raise _timeout(f"{old.name} is not deleted", _LONGEST_DELETE)

    def _described(self, old: OldEnvironment) -> dict[str, Any]:
        """Returns an environment as Batch describes it now; empty if it is gone."""
        with translated():
            found = list(described_environments(self._batch, [old.arn]))
        return dict(found[0]) if found and found[0]["status"] != "DELETED" else {}


def _failed(part: Part, error: ToolError) -> tuple[Part, tuple[Problem, ...]]:
    return msgspec.structs.replace(part, fate=Fate.FAILED, why=str(error)), error.problems


def _still_used(old: OldEnvironment, busy: str, seconds: float) -> ToolError:
    return ToolError(
        f"timed out after {seconds:g} s: {old.name} is still in use ({busy})",
        hint="wait for its jobs or cancel them, correct what makes it INVALID, or pass a longer "
        f"--timeout; then {_AGAIN}",
    )


def _timeout(what: str, seconds: int) -> ToolError:
    return ToolError(f"timed out after {seconds // 60} min: {what}", hint=_AGAIN)


def _used(old: OldEnvironment, spec: Spec) -> Iterator[Leftover]:
    region = spec.region
    roles = spec.roles
    images = {each.image for each in spec.environments.values()}
    # The old environment may name a role or profile without its ARN.
    kept = {role_name(each) for each in (roles.instance_profile, roles.service, roles.spot_fleet)}
    for ami in old.amis:
        if ami not in images:
            yield Leftover(
                f"AMI {ami}, if it is yours",
                f"aws ec2 deregister-image --region {region} --image-id {quote(ami)}",
            )
    for template in old.launch_templates:
        key = "id" if template.startswith("lt-") else "name"
        yield Leftover(
            f"launch template {template}",
            f"aws ec2 delete-launch-template --region {region} "
            f"--launch-template-{key} {quote(template)}",
        )
    profile = old.instance_profile
    if profile and role_name(profile) not in kept:
        name = quote(role_name(profile))
        yield Leftover(
            f"instance profile {profile}",
            "aws iam remove-role-from-instance-profile --role-name ROLE "
            f"--instance-profile-name {name}, then aws iam delete-instance-profile "
            f"--instance-profile-name {name}",
        )
    for role in old.roles:
        # AWS makes service-linked roles, and all environments of an account share them.
        if role_name(role) not in kept and "/aws-service-role/" not in role:
            name = quote(role_name(role))
            yield Leftover(
                f"role {role}",
                f"aws iam detach-role-policy --role-name {name} --policy-arn ARN for each policy, "
                f"then aws iam delete-role --role-name {name}",
            )
