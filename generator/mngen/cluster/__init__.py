"""The cluster: the spec joined with the instance catalog, and what a deployment keeps in files.

Every number that nobody should have to compute by hand is computed here, once: the vCPUs that
`max_vcpus` counts and those that the ECS agent counts, the memory that a job can ask for, the
AMI that an environment needs. Rules, templates, images and jobs all read it from here.

Two records stand beside the rendered Terraform, which reads them as variables: the AMI that each
environment starts from and how it was made, and the digest of each container image that was
pushed. A new one is a line that a pull request shows.

The names that AWS and the containers know a deployment by are here too, so that nothing has to
import the rendering for a name. Those load nothing; the rest loads when it is first used.
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.cluster.names import (
    AMIS_FILE,
    BUILDER_LIFETIME,
    BUILDER_USER_DATA,
    DEPLOYMENT_TAG,
    DIGESTS_FILE,
    IMAGE_TAG,
    INPUTS_TAG,
    NR_CPUS_TAG,
    RUN_TAG,
)

if TYPE_CHECKING:
    from mngen.cluster._ami_file import AmiFile, AmiRecord, BakedFrom
    from mngen.cluster._base_image import base_image_parameter
    from mngen.cluster._digest_file import read_digests, record_digest
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
    "AMIS_FILE",
    "BUILDER_LIFETIME",
    "BUILDER_USER_DATA",
    "DEPLOYMENT_TAG",
    "DIGESTS_FILE",
    "FINAL_EXIT_CODES",
    "IMAGE_TAG",
    "INPUTS_FROM_VARIABLE",
    "INPUTS_REGION_VARIABLE",
    "INPUTS_TAG",
    "INPUTS_VARIABLE",
    "KEY_VARIABLES",
    "NR_CPUS_TAG",
    "RUN_TAG",
    "WIRE_UP_VARIABLES",
    "AmiFile",
    "AmiRecord",
    "BakedFrom",
    "Cluster",
    "MachineImage",
    "ResolvedEnvironment",
    "ResolvedJob",
    "ResolvedQueue",
    "base_image_parameter",
    "image_label",
    "job_variables",
    "key_variables",
    "read_digests",
    "record_digest",
    "registered_memory",
    "resolve",
    "retry_conditions",
]
__getattr__ = later(
    __name__,
    {
        "AmiFile": "_ami_file",
        "AmiRecord": "_ami_file",
        "BakedFrom": "_ami_file",
        "Cluster": "_resolve",
        "FINAL_EXIT_CODES": "_retries",
        "INPUTS_FROM_VARIABLE": "_variables",
        "INPUTS_REGION_VARIABLE": "_variables",
        "INPUTS_VARIABLE": "_variables",
        "KEY_VARIABLES": "_variables",
        "MachineImage": "_resolve",
        "ResolvedEnvironment": "_resolve",
        "ResolvedJob": "_resolve",
        "ResolvedQueue": "_resolve",
        "WIRE_UP_VARIABLES": "_variables",
        "base_image_parameter": "_base_image",
        "image_label": "_resolve",
        "job_variables": "_variables",
        "key_variables": "_variables",
        "read_digests": "_digest_file",
        "record_digest": "_digest_file",
        "registered_memory": "_resolve",
        "resolve": "_resolve",
        "retry_conditions": "_retries",
    },
)
