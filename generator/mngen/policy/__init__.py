"""The least-privilege IAM policy of each part that people have in a deployment.

`policy` is pure: part, cluster and account in, one policy document out; `documents` cuts it to the
length that IAM takes. Five parts: the deployer applies the rendered Terraform, the baker makes
AMIs and container images, the submitter runs jobs, the debugger opens shells in them, and the
importer reads what exists, before there is a spec (`import_documents`), or deletes the old compute
environments (`finish_documents`).
"""

from mngen.policy._deployer import UNSEEN
from mngen.policy._policy import (
    Part,
    account_of,
    documents,
    finish_documents,
    import_documents,
    policy,
)
from mngen.policy._statement import MAX_CHARACTERS, characters, split

__all__ = [
    "MAX_CHARACTERS",
    "UNSEEN",
    "Part",
    "account_of",
    "characters",
    "documents",
    "finish_documents",
    "import_documents",
    "policy",
    "split",
]
