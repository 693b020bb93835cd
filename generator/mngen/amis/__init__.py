"""The record of the machine images: which AMI each environment starts from, and how it was made.

One file beside the rendered Terraform, which Terraform reads as a variable: a new image is a line
that a pull request shows. Terraform takes the ids; the rest of a record is for mngen and people.
"""

from mngen._tags import IMAGE_TAG
from mngen.amis._base import base_image_parameter
from mngen.amis._file import AMIS_FILE, AmiFile, AmiRecord, BakedFrom
from mngen.amis._tags import (
    BUILDER_LIFETIME,
    BUILDER_USER_DATA,
    INPUTS_TAG,
    NR_CPUS_TAG,
    RUN_TAG,
)

__all__ = [
    "AMIS_FILE",
    "BUILDER_LIFETIME",
    "BUILDER_USER_DATA",
    "IMAGE_TAG",
    "INPUTS_TAG",
    "NR_CPUS_TAG",
    "RUN_TAG",
    "AmiFile",
    "AmiRecord",
    "BakedFrom",
    "base_image_parameter",
]
