"""What jobs can cost, what a deployment costs while none runs, and what jobs did cost.

`estimate` is pure: a cluster and a price table in, an `Estimate` out, whose lines `mngen check`,
`plan` and `submit` show. So are `report` and `job_report`: the time that jobs used instances, as
`mngen.jobs` reads it, in, and what that cost, out. `keep` writes finished jobs into a file, since
AWS Batch forgets them, and `weeks_of` and `to_svg` draw costs by week. All prices are on demand,
dated, and of the region; one that is not known is None, never 0.

    >>> from mngen.catalog import load_prices
    >>> from mngen.cost import estimate
    >>> from mngen.rules import open_cluster
    >>> estimate(open_cluster("mngen.yaml"), load_prices()).lines()    # doctest: +SKIP
    ['price: at most mpi-example 12.10 USD (2 x r5.24xlarge x 1 h); on demand in us-east-1, …']
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.cost._compare import compare, price_note
from mngen.cost._estimate import (
    Bound,
    Estimate,
    bound_of,
    estimate,
    estimate_of,
    no_prices,
    recorded_cluster,
)
from mngen.cost._spent import (
    By,
    JobReport,
    Report,
    Row,
    Spent,
    costs_of,
    job_report,
    report,
    summed,
)
from mngen.cost._standing import Standing

if TYPE_CHECKING:
    from mngen.cost._kept import Kept, KeptJob, Origin, keep, spent_when_kept
    from mngen.cost._picture import Weeks, to_svg, weeks_of
    from mngen.cost._places import LocalFile, Place, S3Object, place_of
    from mngen.cost._spot import SPOT_DAYS, SpotPrice, spot_prices, spot_types

__all__ = [
    "SPOT_DAYS",
    "Bound",
    "By",
    "Estimate",
    "JobReport",
    "Kept",
    "KeptJob",
    "LocalFile",
    "Origin",
    "Place",
    "Report",
    "Row",
    "S3Object",
    "Spent",
    "SpotPrice",
    "Standing",
    "Weeks",
    "bound_of",
    "compare",
    "costs_of",
    "estimate",
    "estimate_of",
    "job_report",
    "keep",
    "no_prices",
    "place_of",
    "price_note",
    "recorded_cluster",
    "report",
    "spent_when_kept",
    "spot_prices",
    "spot_types",
    "summed",
    "to_svg",
    "weeks_of",
]

# What `check`, `plan` and `submit` do without.
__getattr__ = later(
    __name__,
    {
        "Kept": "_kept",
        "KeptJob": "_kept",
        "LocalFile": "_places",
        "Origin": "_kept",
        "Place": "_places",
        "S3Object": "_places",
        "SPOT_DAYS": "_spot",
        "SpotPrice": "_spot",
        "Weeks": "_picture",
        "keep": "_kept",
        "place_of": "_places",
        "spent_when_kept": "_kept",
        "spot_prices": "_spot",
        "spot_types": "_spot",
        "to_svg": "_picture",
        "weeks_of": "_picture",
    },
)
