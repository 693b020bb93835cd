"""The spec: mngen.yaml as typed data, loaded with line and column.

`load` and `load_text` give a `LoadedSpec`; its `require` gives the `Spec` or raises every problem
at once. The types are plain, frozen data: a notebook may build them without any YAML. `schema`
gives the JSON Schema, so that an editor can explain each key. A job with a `definition` is loaded
as a `JobFromFile`, whose other keys follow from that file. `key_changes` compares two specs and
lists for each changed key what that does to an existing deployment.
"""

from mngen._json_text import MAX_BYTES
from mngen.spec._changes import KeyChange, key_changes, keys, written
from mngen.spec._definition import JobDefinition, JobFromFile, need_of
from mngen.spec._document import Document, Path, dotted, parse, read_file
from mngen.spec._effects import UPDATE_KEY, Effect
from mngen.spec._extends import merged
from mngen.spec._initial import create, initial, name_from, scalar
from mngen.spec._load import LoadedSpec, load, load_text
from mngen.spec._model import (
    DEFAULT_CIDR,
    DEFAULT_RETENTION,
    LAUNCHERS_WITHOUT_MPIRUN,
    Budget,
    CancelAfter,
    Capacity,
    ComputeEnvironmentArn,
    Container,
    DenySubmit,
    Efs,
    Environment,
    ExistingGroup,
    Fsx,
    FsxLink,
    FsxType,
    Image,
    Job,
    Mount,
    Network,
    NodeGroup,
    Notify,
    Queue,
    Retried,
    RetryCondition,
    Roles,
    Shares,
    Spec,
    Ssh,
    State,
    Storage,
    Tmpfs,
    Ulimit,
)
from mngen.spec._playbooks import ImageFromFiles
from mngen.spec._registered import property_faults
from mngen.spec._schema import schema

__all__ = [
    "DEFAULT_CIDR",
    "DEFAULT_RETENTION",
    "LAUNCHERS_WITHOUT_MPIRUN",
    "MAX_BYTES",
    "UPDATE_KEY",
    "Budget",
    "CancelAfter",
    "Capacity",
    "ComputeEnvironmentArn",
    "Container",
    "DenySubmit",
    "Document",
    "Effect",
    "Efs",
    "Environment",
    "ExistingGroup",
    "Fsx",
    "FsxLink",
    "FsxType",
    "Image",
    "ImageFromFiles",
    "Job",
    "JobDefinition",
    "JobFromFile",
    "KeyChange",
    "LoadedSpec",
    "Mount",
    "Network",
    "NodeGroup",
    "Notify",
    "Path",
    "Queue",
    "Retried",
    "RetryCondition",
    "Roles",
    "Shares",
    "Spec",
    "Ssh",
    "State",
    "Storage",
    "Tmpfs",
    "Ulimit",
    "create",
    "dotted",
    "initial",
    "key_changes",
    "keys",
    "load",
    "load_text",
    "merged",
    "name_from",
    "need_of",
    "parse",
    "property_faults",
    "read_file",
    "scalar",
    "schema",
    "written",
]
