"""Rendering: a cluster into the text of every file, and that text onto the disk.

`render` is pure: `cluster -> {path: text}`; `mngen.rules.open_cluster` gives the cluster of a file.
`Deployment` is the tree on disk: it compares, and writes all or nothing.
"""

from mngen.render._disk import MANIFEST, Changes, Deployment
from mngen.render._hcl import quoted as hcl_string
from mngen.render._render import (
    PROVIDER_RANGES,
    Tree,
    render,
)

__all__ = [
    "MANIFEST",
    "PROVIDER_RANGES",
    "Changes",
    "Deployment",
    "Tree",
    "hcl_string",
    "render",
]
