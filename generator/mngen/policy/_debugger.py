"""The debugger: shells in the containers of running jobs, and nothing else.

A shell is root in the container and has the permissions of the job's role, so it is not among the
permissions of submitters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mngen.policy._shared import ecs_clusters
from mngen.policy._statement import Scope, Statement

if TYPE_CHECKING:
    from mngen.cluster import Cluster


def debugger_statements(cluster: Cluster, scope: Scope) -> list[Statement]:
    """Returns the permissions of a user who opens shells; only to look if no job has `shell`.

    A call of ExecuteCommand is for a task and its cluster. Newer versions of the plugin open the
    connection to the session with the user's own permissions. That this needs OpenDataChannel is
    documented for Session Manager, not for ECS Exec; the token of the session decides which one it
    is.
    Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html,
    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html,
    https://github.com/aws/session-manager-plugin (src/communicator/websocketchannel.go)
    """
    opened = any(job.shell for job in cluster.spec.jobs.values())
    names = ecs_clusters(cluster.spec, scope)
    tasks = tuple(scope.arn("ecs", f"task/{name}/*") for name in names)
    clusters = tuple(scope.arn("ecs", f"cluster/{name}") for name in names)
    return [
        # Takes no resources, as for a submitter.
        Statement("Look", ("batch:DescribeJobs",), ("*",), scope.here),
        Statement("Tasks", ("ecs:DescribeTasks",) if opened else (), tasks),
        Statement("Shells", ("ecs:ExecuteCommand",) if opened else (), (*tasks, *clusters)),
        Statement(
            "Channel", ("ssmmessages:OpenDataChannel",) if opened else (), ("*",), scope.here
        ),
    ]
