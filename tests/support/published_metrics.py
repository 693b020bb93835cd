"""The metrics that AWS documents, as far as a dashboard of a deployment has to do with them.

By namespace the only dimension that all of them have, and for each metric the statistics that its
page lists as valid or useful; where a page lists none, any.
"""

from __future__ import annotations

_ANY = frozenset({"Average", "Maximum", "Minimum", "SampleCount", "Sum"})
_LEVELS = _ANY - {"SampleCount", "Sum"}

PUBLISHED: dict[str, tuple[str, dict[str, frozenset[str]]]] = {
    # https://docs.aws.amazon.com/batch/latest/userguide/using_cloudwatch_metrics.html, without
    # those of service jobs.
    "AWS/Batch": (
        "JobQueueName",
        dict.fromkeys(
            (
                "JobAttemptDuration",
                "JobAttemptExecutionDuration",
                "JobAttemptRunnableToStartingDuration",
                "JobAttemptStartingToRunningDuration",
                "JobSubmittedToFirstStartingDuration",
                "JobSubmittedToRunnableDuration",
                "JobsCancelled",
                "JobsMovedToFailed",
                "JobsMovedToPending",
                "JobsMovedToRunnable",
                "JobsMovedToRunning",
                "JobsMovedToStarting",
                "JobsMovedToSucceeded",
                "JobsRetried",
                "JobsSubmitted",
                "JobsTerminated",
            ),
            _ANY,
        ),
    ),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html, those of
    # clusters.
    "AWS/ECS": (
        "ClusterName",
        dict.fromkeys(
            ("CPUReservation", "CPUUtilization", "MemoryReservation", "MemoryUtilization"), _LEVELS
        ),
    ),
    # https://docs.aws.amazon.com/efs/latest/ug/efs-metrics.html
    "AWS/EFS": (
        "FileSystemId",
        {
            "BurstCreditBalance": _LEVELS,
            "ClientConnections": frozenset({"Sum"}),
            "DataReadIOBytes": _ANY,
            "DataWriteIOBytes": _ANY,
            "MeteredIOBytes": _ANY,
            "PercentIOLimit": _LEVELS,
            "PermittedThroughput": _LEVELS,
            "TotalIOBytes": _ANY,
        },
    ),
    # https://docs.aws.amazon.com/fsx/latest/LustreGuide/fs-metrics.html
    "AWS/FSx": (
        "FileSystemId",
        dict.fromkeys(("DataReadBytes", "DataWriteBytes", "FreeDataStorageCapacity"), _ANY),
    ),
    # https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
    "AWS/NATGateway": (
        "NatGatewayId",
        {
            "BytesInFromDestination": frozenset({"Sum"}),
            "BytesOutToDestination": frozenset({"Sum"}),
            "ErrorPortAllocation": frozenset({"Sum"}),
            "PacketsDropCount": frozenset({"Sum"}),
        },
    ),
}
