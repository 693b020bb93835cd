"""An account with compute environments that are to be deleted, and Batch as it takes its time.

What it refuses, and the states in between, are those of the API reference: an environment is
UPDATING after a change and DELETING after a deletion, and one that is enabled or in a queue is not
deleted. Sources: https://docs.aws.amazon.com/batch/latest/APIReference/API_DeleteComputeEnvironment.html
https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeEnvironmentDetail.html
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Cluster.html
Parameters are checked with botocore's own description of the services.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from tests.support.adoption import Account

if TYPE_CHECKING:
    from collections.abc import Callable

_VCPUS = 24
"""Of an instance."""


class OldSetup(Account):
    """An account whose environments change state as time goes by, which only `sleep` makes pass.

    Args:
        environments: Compute environments, as described.
        queues: Job queues.
        containers: How many containers run in each, by ARN; each second ends one.
        slow: Seconds that an update or a deletion takes.
        undeletable: ARNs of environments that Batch cannot tear down.
        stuck: ARNs of environments whose instances Batch cannot terminate.

    Attributes:
        at: What happens at a second, such as a change by others.
    """

    def __init__(
        self,
        environments: list[dict[str, Any]],
        queues: list[dict[str, Any]],
        *,
        containers: dict[str, int] | None = None,
        slow: float = 40,
        undeletable: tuple[str, ...] = (),
        stuck: tuple[str, ...] = (),
    ) -> None:
        super().__init__(environments, queues, [])
        self.environments = environments
        self.queues = queues
        self.now = 0.0
        self.at: dict[float, Callable[[], None]] = {}
        self._containers = dict(containers or {})
        self._slow = slow
        self._undeletable = undeletable
        self._stuck = stuck
        self._due: dict[str, float] = {}

    def connect(self, service: str, region: str) -> Any:
        """Returns a client whose requests are checked, and answered here."""
        client = super().connect(service, region)
        client._make_api_call = lambda operation, arguments: self._checked(
            client, operation, arguments
        )
        return client

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
        for when in sorted(each for each in self.at if each <= self.now):
            self.at.pop(when)()
        for arn in self._containers:
            self._containers[arn] = max(0, self._containers[arn] - int(seconds))
        for each in list(self.environments):
            arn = each["computeEnvironmentArn"]
            if not self._containers.get(arn) and arn not in self._stuck:
                resources = each["computeResources"]
                # No instance is terminated in part.
                instances = -(-resources.get("minvCpus", 0) // _VCPUS)
                resources["desiredvCpus"] = instances * _VCPUS
            if self._due.get(arn, self.now + 1) <= self.now:
                del self._due[arn]
                if each["status"] == "DELETING" and arn not in self._undeletable:
                    self.environments.remove(each)
                elif each["status"] == "DELETING":
                    each.update(status="INVALID", statusReason="CLIENT_ERROR - no permission")
                else:
                    each["status"] = "VALID"

    def names(self) -> list[str]:
        """Returns the names of the environments that exist."""
        return [each["computeEnvironmentName"] for each in self.environments]

    def _checked(self, client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        validate_parameters(
            arguments, client.meta.service_model.operation_model(operation).input_shape
        )
        if operation in ("UpdateComputeEnvironment", "DeleteComputeEnvironment"):
            self.calls.append(operation)
            return self._change(operation, arguments)
        if operation == "DescribeClusters":
            self.calls.append(operation)
            return {"clusters": [each for each in self._clusters() if _named(each, arguments)]}
        return copy.deepcopy(self._answer(operation, arguments))

    def _clusters(self) -> list[dict[str, Any]]:
        return [
            {
                "clusterArn": each["ecsClusterArn"],
                "runningTasksCount": self._containers.get(each["computeEnvironmentArn"], 0),
                "pendingTasksCount": 0,
            }
            for each in self.environments
        ]

    def _change(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        arn = arguments["computeEnvironment"]
        (found,) = [each for each in self.environments if each["computeEnvironmentArn"] == arn]
        if found["status"] in ("UPDATING", "DELETING"):
            raise _refused(operation, "Cannot change, resource is being modified.")
        if operation == "UpdateComputeEnvironment":
            found.update(state=arguments["state"], status="UPDATING")
        elif found["state"] != "DISABLED":
            raise _refused(
                operation, "Cannot delete, compute environment must be in DISABLED state"
            )
        elif any(arn in str(each["computeEnvironmentOrder"]) for each in self.queues):
            raise _refused(operation, "Cannot delete, found existing JobQueue relationship")
        else:
            found["status"] = "DELETING"
        self._due[arn] = self.now + self._slow
        return {}


def _named(cluster: dict[str, Any], arguments: dict[str, Any]) -> bool:
    return cluster["clusterArn"] in arguments["clusters"]


def _refused(operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ClientException", "Message": message}}, operation)
