"""What AWS has of a deployment: its account and network, definitions, environments, instances.

`Account` is the account and region of a cluster, where each fact is asked for once; `Target` is
where a job would go. Rules judge by what these show; jobs are submitted and explained by it.
"""

from mngen.account._account import Account
from mngen.account._arrays import array_of, index_of, is_to_come, size_of
from mngen.account._definition import (
    EFA_DEVICE,
    SCRATCH_VOLUME,
    differences_of,
    environment_wanted,
    image_wanted,
    newest_definition,
)
from mngen.account._environment import fault_of, image_of, stem_of
from mngen.account._instances import instances_of
from mngen.account._policies import concerns, covers, holds, principals, services, statements
from mngen.account._quota import largest_quota, quota_value
from mngen.account._reservations import Reservation, utc
from mngen.account._spot import spot_history
from mngen.account._subscriptions import subscriptions
from mngen.account._target import Intent, Target

__all__ = [
    "EFA_DEVICE",
    "SCRATCH_VOLUME",
    "Account",
    "Intent",
    "Reservation",
    "Target",
    "array_of",
    "concerns",
    "covers",
    "differences_of",
    "environment_wanted",
    "fault_of",
    "holds",
    "image_of",
    "image_wanted",
    "index_of",
    "instances_of",
    "is_to_come",
    "largest_quota",
    "newest_definition",
    "principals",
    "quota_value",
    "services",
    "size_of",
    "spot_history",
    "statements",
    "stem_of",
    "subscriptions",
    "utc",
]
