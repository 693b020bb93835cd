"""The cluster: the spec joined with the instance catalog, and what a deployment keeps in files.

Every number that a user would otherwise compute by hand is computed here, once: the vCPUs that
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
    CPUS_CHECK_VARIABLE,
    CPUS_VARIABLE,
    DEPLOYMENT_TAG,
    DIGESTS_FILE,
    IMAGE_TAG,
    INPUTS_FROM_VARIABLE,
    INPUTS_REGION_VARIABLE,
    INPUTS_TAG,
    INPUTS_VARIABLE,
    KEY_VARIABLES,
    NR_CPUS_TAG,
    REGION_TAG,
    RENDEZVOUS_VARIABLE,
    RUN_TAG,
    SHARED_VARIABLE,
    SUBMISSION_TAG,
    SUBMITTER_TAG,
    TAG_PREFIX,
    UNFINISHED_FILE,
    VARIABLE_PREFIX,
    WAIT_VARIABLE,
    WIRE_UP_VARIABLES,
    aws_name,
    inputs_prefix,
)

if TYPE_CHECKING:
    from mngen.cluster._ami_file import AmiFile, AmiRecord, BakedFrom
    from mngen.cluster._base_image import (
        base_image_parameter,
        base_kind,
        batch_image_type,
        gpus_served,
    )
    from mngen.cluster._deployment import (
        creates_roles,
        creates_spot_fleet_role,
        definition_name,
        deployment_tags,
        efa_installer,
        grants_mount,
        log_group_name,
        nat_zone,
        queue_name,
        recorded_spec,
        repository_name,
        zone_numbers,
    )
    from mngen.cluster._digest_file import DigestFile
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
        default_ranks,
        job_variables,
        key_variables,
        registered_ranks,
    )

__all__ = [
    "AMIS_FILE",
    "BUILDER_LIFETIME",
    "BUILDER_USER_DATA",
    "CPUS_CHECK_VARIABLE",
    "CPUS_VARIABLE",
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
    "REGION_TAG",
    "RENDEZVOUS_VARIABLE",
    "RUN_TAG",
    "SHARED_VARIABLE",
    "SUBMISSION_TAG",
    "SUBMITTER_TAG",
    "TAG_PREFIX",
    "UNFINISHED_FILE",
    "VARIABLE_PREFIX",
    "WAIT_VARIABLE",
    "WIRE_UP_VARIABLES",
    "AmiFile",
    "AmiRecord",
    "BakedFrom",
    "Cluster",
    "DigestFile",
    "MachineImage",
    "ResolvedEnvironment",
    "ResolvedJob",
    "ResolvedQueue",
    "aws_name",
    "base_image_parameter",
    "base_kind",
    "batch_image_type",
    "creates_roles",
    "creates_spot_fleet_role",
    "default_ranks",
    "definition_name",
    "deployment_tags",
    "efa_installer",
    "gpus_served",
    "grants_mount",
    "image_label",
    "inputs_prefix",
    "job_variables",
    "key_variables",
    "log_group_name",
    "nat_zone",
    "queue_name",
    "recorded_spec",
    "registered_memory",
    "registered_ranks",
    "repository_name",
    "resolve",
    "retry_conditions",
    "zone_numbers",
]
__getattr__ = later(
    __name__,
    {
        "AmiFile": "_ami_file",
        "AmiRecord": "_ami_file",
        "BakedFrom": "_ami_file",
        "Cluster": "_resolve",
        "DigestFile": "_digest_file",
        "FINAL_EXIT_CODES": "_retries",
        "MachineImage": "_resolve",
        "ResolvedEnvironment": "_resolve",
        "ResolvedJob": "_resolve",
        "ResolvedQueue": "_resolve",
        "base_image_parameter": "_base_image",
        "base_kind": "_base_image",
        "batch_image_type": "_base_image",
        "gpus_served": "_base_image",
        "image_label": "_resolve",
        "creates_roles": "_deployment",
        "creates_spot_fleet_role": "_deployment",
        "definition_name": "_deployment",
        "deployment_tags": "_deployment",
        "efa_installer": "_deployment",
        "grants_mount": "_deployment",
        "default_ranks": "_variables",
        "job_variables": "_variables",
        "key_variables": "_variables",
        "registered_ranks": "_variables",
        "log_group_name": "_deployment",
        "nat_zone": "_deployment",
        "queue_name": "_deployment",
        "recorded_spec": "_deployment",
        "registered_memory": "_resolve",
        "repository_name": "_deployment",
        "resolve": "_resolve",
        "retry_conditions": "_retries",
        "zone_numbers": "_deployment",
    },
)
