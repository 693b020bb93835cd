"""What jobs can cost, what a deployment costs while none runs, and what jobs did cost.

`estimate` is pure: a cluster and a price table in, an `Estimate` out, whose lines `mngen check`,
`plan` and `submit` show. So are `report` and `job_report`: the time that jobs used instances, as
`mngen.jobs` reads it, in, and what that cost, out. All prices are on demand, dated, and of the
region; one that is not known is None, never 0.

    >>> from mngen.catalog import load_prices
    >>> from mngen.cost import estimate
    >>> from mngen.rules import open_cluster
    >>> estimate(open_cluster("mngen.yaml"), load_prices()).lines()    # doctest: +SKIP
    ['price: at most mpi-example 12.10 USD (2 x r5.24xlarge x 1 h); on demand in us-east-1, …']
"""

from mngen.cost._estimate import (
    Bound,
    Estimate,
    bound_of,
    estimate,
    estimate_of,
    no_prices,
    recorded_cluster,
)
from mngen.cost._spent import By, JobReport, Report, Row, Spent, job_report, report
from mngen.cost._standing import Standing

__all__ = [
    "Bound",
    "By",
    "Estimate",
    "JobReport",
    "Report",
    "Row",
    "Spent",
    "Standing",
    "bound_of",
    "estimate",
    "estimate_of",
    "job_report",
    "no_prices",
    "recorded_cluster",
    "report",
]
