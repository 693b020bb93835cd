"""The cluster: the spec joined with the instance catalog.

Every number that nobody should have to compute by hand is computed here, once: the vCPUs that
`max_vcpus` counts and those that the ECS agent counts, the memory that a job can ask for, the
machine image that an environment needs. Rules, templates, images and jobs all read it from here.
"""

from mngen.cluster._resolve import (
    Cluster,
    MachineImage,
    ResolvedEnvironment,
    ResolvedJob,
    ResolvedQueue,
    image_label,
    registered_memory,
    resolve,
)
from mngen.cluster._retries import FINAL_EXIT_CODES, retry_conditions
from mngen.cluster._variables import (
    INPUTS_FROM_VARIABLE,
    INPUTS_REGION_VARIABLE,
    INPUTS_VARIABLE,
    KEY_VARIABLES,
    WIRE_UP_VARIABLES,
    job_variables,
    key_variables,
)

__all__ = [
    "FINAL_EXIT_CODES",
    "INPUTS_FROM_VARIABLE",
    "INPUTS_REGION_VARIABLE",
    "INPUTS_VARIABLE",
    "KEY_VARIABLES",
    "WIRE_UP_VARIABLES",
    "Cluster",
    "MachineImage",
    "ResolvedEnvironment",
    "ResolvedJob",
    "ResolvedQueue",
    "image_label",
    "job_variables",
    "key_variables",
    "registered_memory",
    "resolve",
    "retry_conditions",
]
