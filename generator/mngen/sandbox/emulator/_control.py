"""What AWS has no call for: how the applications of the emulated jobs behave.

`POST /_mngen/batch` with a JSON object sets it; every key is optional:

- `region`: whose jobs, `us-east-1` by default;
- `forward`: by how many seconds Batch's clock moves forward at once, so that jobs which take that
  long end: it is ahead of the real one from then on (see `batch/_clock`);
- `present`: true: it shows the real time again, and all that has happened moves into the past by as
  much as it was ahead, up to the next quarter of a second: before a look by the real clock;
- `exhausted`: instance types of which EC2 has none left, or names of environments that get none;
- `blocked`: why a queue is blocked, by its name: a code of the guide's, such as `UNDETERMINED`;
- `unjoined`: environments whose instances are started for a job and do not join its cluster, by
  name: an object with any of `console` (what they wrote to their console), `joined` and
  `disconnected` (how many join all the same, and how many of those have an agent without a
  connection), `age` (for how many seconds they run already), `lifetime` (after how many seconds
  each is gone, and replaced), `reason` (EC2's code for that), `profile` (false: they have none),
  `image` (another AMI) and `group` (name of their Auto Scaling group; empty for none). Each request
  replaces what was asked before, and terminates its instances;
- `start_seconds`, `run_seconds`: how long jobs take that do not set it themselves;
- `jobs`: by id, any of `hold` (a state that the job does not leave, or null), `seconds`, `exits`,
  `node_exits`, `reason`, `lost` (whether attempts end with the loss of the host), `unpulled` (how
  many attempts fail since their image cannot be pulled), `agent` (the state of the agent of ECS
  Exec in running containers: `PENDING`, `RUNNING` or `STOPPED`), and `log`: lines to
  write now, by node index;
- `nr_cpus`: the kernel's limit of AMIs that were not baked in the sandbox, by their IDs;
- `lacking`: the services that zones lack, by zone: endpoint services by their short name, such as
  `ecs-agent`, and `efs`;
- `reservations`: capacity reservations by id, with any of `starts` and `ends` (in seconds since the
  epoch), `state` (one that does not follow from them), `owner` (an account that shares it) and
  `elsewhere` (instances in it that no environment of this account has);
- `cost_tags`: the keys of tags that AWS Billing knows, each `Active` or `Inactive`; null for an
  account for which another one pays;
- `spent`: what budgets have spent this month, by their names, in their unit;
- `copies`: how many jobs there are to be like one that has ended, with its tags and times, by its
  id: what takes too long to submit one by one;
- `forget`: ids of jobs of which Batch knows nothing any more, as a week after their end; of an
  array, its children too.

A job's own environment can set `MNGEN_SANDBOX_HOLD`, `MNGEN_SANDBOX_SECONDS` and
`MNGEN_SANDBOX_EXIT` (codes of the attempts, with commas).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mngen.sandbox._environment import ACCOUNT_ID

if TYPE_CHECKING:
    from mngen.sandbox.batch._job import Job, Jobs

PATH = "/_mngen/batch"


def control(body: bytes) -> bytes:
    """Does what a request to the control asks for, and returns the answer.

    Raises:
        ValueError: It is not such a request.
        TypeError: It asks of an environment what there is not.
        KeyError: It names a job that there is not.
    """
    from moto.batch.models import batch_backends

    from mngen.sandbox.batch._actions import tick
    from mngen.sandbox.batch._reasons import REASONS
    from mngen.sandbox.batch._unjoined import Unjoined, drop
    from mngen.sandbox.emulator._reservations import set_reservations
    from mngen.sandbox.emulator._zones import let_zones_lack

    wishes: dict[str, Any] = json.loads(body)
    backend: Any = batch_backends[ACCOUNT_ID][wishes.get("region", "us-east-1")]
    state = tick(backend)
    _move_clock(backend, state.jobs, wishes)
    if "nr_cpus" in wishes:
        state.kernel_limits |= {ami: int(limit) for ami, limit in wishes["nr_cpus"].items()}
    if "lacking" in wishes:
        let_zones_lack(wishes.get("region", "us-east-1"), wishes["lacking"])
    if "reservations" in wishes:
        set_reservations(backend.ec2_backend, wishes["reservations"])
    _bill(wishes)
    if "exhausted" in wishes:
        state.exhausted = set(wishes["exhausted"])
    if "blocked" in wishes:
        unknown = {*wishes["blocked"].values()} - {*REASONS}
        if unknown:
            raise ValueError(f"no such reason: {', '.join(sorted(unknown))}")
        state.blocked = dict(wishes["blocked"])
    if "unjoined" in wishes:
        for each in state.unjoined.values():
            drop(each)
        state.unjoined = {name: Unjoined(**wish) for name, wish in wishes["unjoined"].items()}
    state.start_seconds = float(wishes.get("start_seconds", state.start_seconds))
    state.run_seconds = float(wishes.get("run_seconds", state.run_seconds))
    for identifier, wish in wishes.get("jobs", {}).items():
        _direct(backend, state.jobs[identifier], wish)
    for identifier, count in wishes.get("copies", {}).items():
        _copy(backend, state.jobs, identifier, int(count))
    for identifier in wishes.get("forget", ()):
        _forget(state.jobs, identifier)
    return b"{}"


def _move_clock(backend: Any, jobs: Jobs, wishes: dict[str, Any]) -> None:
    from mngen.sandbox.batch._actions import tick
    from mngen.sandbox.batch._clock import clock_of, return_to_present

    if "forward" in wishes:
        clock_of(backend).forward(float(wishes["forward"]))
        tick(backend)
    if wishes.get("present"):
        return_to_present(backend, jobs.values())


def _forget(jobs: Jobs, identifier: str) -> None:
    for child in jobs[identifier].children:
        del jobs[child.id]
    del jobs[identifier]


def _bill(wishes: dict[str, Any]) -> None:
    """Sets what AWS Billing knows."""
    from moto.budgets.models import budgets_backends
    from moto.ce.models import ce_backends

    from mngen.sandbox.emulator._budget_actions import spend
    from mngen.sandbox.emulator._cost_tags import set_cost_tags

    if "cost_tags" in wishes:
        set_cost_tags(ce_backends[ACCOUNT_ID]["aws"], wishes["cost_tags"])
    spend(budgets_backends[ACCOUNT_ID]["aws"], ACCOUNT_ID, wishes.get("spent", {}))


def _copy(backend: Any, jobs: Jobs, identifier: str, count: int) -> None:
    """Adds jobs that are like one that has ended; not for arrays."""
    from dataclasses import replace
    from uuid import uuid4

    like = jobs[identifier]
    if not like.ended:
        raise ValueError(f"job {identifier} has not ended")
    if like.children or like.parent:
        raise ValueError(f"job {identifier} is an array or a child of one")
    tags = backend.list_tags_for_resource(like.arn)
    for _ in range(count):
        name = str(uuid4())
        copy = replace(like, id=name, arn=like.arn.replace(identifier, name))
        jobs[name] = copy
        backend.tag_resource(copy.arn, tags)


def _direct(backend: Any, job: Job, wish: dict[str, Any]) -> None:
    from mngen.sandbox.batch._clock import clock_of
    from mngen.sandbox.batch._logs import BEGINNING_SECONDS, put

    script, now = job.script, clock_of(backend).now()
    if "hold" in wish:
        script.hold, script.released = wish["hold"], now
    script.seconds = float(wish.get("seconds", script.seconds))
    script.exits = tuple(wish.get("exits", script.exits))
    script.reason = wish.get("reason", script.reason)
    script.lost = bool(wish.get("lost", script.lost))
    script.unpulled = int(wish.get("unpulled", script.unpulled))
    script.agent = str(wish.get("agent", script.agent))
    for node, code in wish.get("node_exits", {}).items():
        script.node_exits[int(node)] = int(code)
    for node, lines in wish.get("log", {}).items():
        # Not between the first lines: a reader that has them reads on behind the last one.
        when = max(now, job.attempts[-1].started + BEGINNING_SECONDS)
        put(backend, job, int(node), len(job.attempts) - 1, ((when, line) for line in lines))
