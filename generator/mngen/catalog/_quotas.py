"""Which EC2 quota of running vCPUs an instance type counts against."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from mngen.catalog._types import InstanceType

SOURCE_URL = (
    "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html"
    "#ec2-on-demand-instances-limits"
)


class Quota(Struct, frozen=True):
    """A quota of the service `ec2`, counted in vCPUs of running instances.

    Attributes:
        code: Its code at Service Quotas, such as `L-1216C47A`.
        name: Its name in the console.
    """

    code: str
    name: str


_STANDARD = Quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
_STANDARD_SPOT = Quota(
    "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
)
_GRAPHICS = Quota("L-DB2E81BA", "Running On-Demand G and VT instances")
_GRAPHICS_SPOT = Quota("L-3819A6DF", "All G and VT Spot Instance Requests")

_ON_DEMAND = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), _STANDARD),
    **dict.fromkeys(("g", "gr", "vt"), _GRAPHICS),
    "dl": Quota("L-6E869C2A", "Running On-Demand DL instances"),
    "f": Quota("L-74FC7D96", "Running On-Demand F instances"),
    "hpc": Quota("L-F7808C92", "Running On-Demand HPC instances"),
    "inf": Quota("L-1945791B", "Running On-Demand Inf instances"),
    "p": Quota("L-417A185B", "Running On-Demand P instances"),
    "trn": Quota("L-2C3B7624", "Running On-Demand Trn instances"),
    "u": Quota("L-43DA4232", "Running On-Demand High Memory instances"),
    "x": Quota("L-7295265B", "Running On-Demand X instances"),
}
_P2_TO_P4_SPOT = Quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests")
# The P family has one Spot quota for its older generations and one for P5; later generations are
# left unknown until AWS documents theirs.
_SPOT = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), _STANDARD_SPOT),
    **dict.fromkeys(("g", "gr", "vt"), _GRAPHICS_SPOT),
    **dict.fromkeys(("p2", "p3", "p4"), _P2_TO_P4_SPOT),
    "dl": Quota("L-85EED4F7", "All DL Spot Instance Requests"),
    "f": Quota("L-88CF9481", "All F Spot Instance Requests"),
    "inf": Quota("L-B5D1601B", "All Inf Spot Instance Requests"),
    "p5": Quota("L-C4BD4855", "All P5 Spot Instance Requests"),
    "trn": Quota("L-6B0D517C", "All Trn Spot Instance Requests"),
    "x": Quota("L-E3A00192", "All X Spot Instance Requests"),
}


def vcpu_quota(instance: InstanceType, *, spot: bool = False) -> Quota | None:
    """Returns the quota that running instances of this type count against.

    Every vCPU of the instance counts, whether or not the image limits them.

    Args:
        instance: The type; the letters before its first digit name its class (`im4gn` -> `im`).
        spot: Whether it is bought on the Spot market, which has separate quotas.

    Returns:
        The quota, or None for a class that has none (Mac: dedicated hosts) or none known.
    """
    found = re.match(r"([a-z]+)(\d*)", instance.family)
    if found is None:
        return None
    letters, generation = found.groups()
    table = _SPOT if spot else _ON_DEMAND
    return table.get(letters) or table.get(letters + generation)
