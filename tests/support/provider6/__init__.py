"""Real Terraform core against the schema of AWS provider 6.62, without that provider.

`provider6` runs a stand-in that serves the schema and yields the environment to run `terraform` in;
the others return what Terraform reports about a folder. `extract_schema.py` made the schema
file.
"""

from tests.support.provider6.rig import (
    Diagnostic,
    Plan,
    RigError,
    apply,
    destroy,
    made,
    outputs,
    pending,
    plan,
    provider6,
    use_local_backend,
    validate,
)

__all__ = [
    "Diagnostic",
    "Plan",
    "RigError",
    "apply",
    "destroy",
    "made",
    "outputs",
    "pending",
    "plan",
    "provider6",
    "use_local_backend",
    "validate",
]
