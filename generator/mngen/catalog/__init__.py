"""The instance catalog: facts of EC2 instance types, dated, with their source.

One data file ships with mngen; a spec's folder may hold its own (`mngen-catalog.json`), which
`mngen instances --refresh` writes from EC2's DescribeInstanceTypes and which is committed with
the spec. Look-ups are made offline, in a few milliseconds for all types.

    >>> from mngen.catalog import load_catalog
    >>> load_catalog().require("r5.24xlarge").nr_cpus
    48
"""

from mngen.catalog._load import CATALOG_NAME, Catalog, catalog_path, load_catalog
from mngen.catalog._quotas import Quota, vcpu_quota
from mngen.catalog._types import Architecture, InstanceType, PlacementStrategy, UsageClass

__all__ = [
    "CATALOG_NAME",
    "Architecture",
    "Catalog",
    "InstanceType",
    "PlacementStrategy",
    "Quota",
    "UsageClass",
    "catalog_path",
    "load_catalog",
    "vcpu_quota",
]
