"""AMIs: what `mngen bake` and `mngen ami` are made of.

An image is made on a small builder: launched from the ECS-optimized AMI, configured by the
playbooks over SSH, verified, stopped, imaged, terminated. Two engines do that, Packer and
one that needs nothing but boto3 and Ansible, with the same result. Everything that a bake starts
carries its tags from the first request on, so that what a killed one left is found again.

    result = bake_file("mngen.yaml", types=("r5.24xlarge",))

`Baking` is the same in steps: what there is to bake, then the bake.
"""

from typing import TYPE_CHECKING

from mngen._later import later
from mngen.images._digest import playbooks_digest
from mngen.images._plan import BakePlan, Kept, Target, chosen_images
from mngen.images._site import Site
from mngen.images._stale import stale_images

if TYPE_CHECKING:
    from mngen.images._bake import BakeResult, Options, Outcome, bake
    from mngen.images._baking import Baking, bake_file, require_rendered
    from mngen.images._cancel import Cancel
    from mngen.images._engines import choose_engine
    from mngen.images._images import Listed, list_images, prunable, prune
    from mngen.images._leftovers import Leftover, end_leftovers, find_leftovers
    from mngen.images._survey import Survey, look

__all__ = [
    "BakePlan",
    "BakeResult",
    "Baking",
    "Cancel",
    "Kept",
    "Leftover",
    "Listed",
    "Options",
    "Outcome",
    "Site",
    "Survey",
    "Target",
    "bake",
    "bake_file",
    "choose_engine",
    "chosen_images",
    "end_leftovers",
    "find_leftovers",
    "list_images",
    "look",
    "playbooks_digest",
    "prunable",
    "prune",
    "require_rendered",
    "stale_images",
]
# What `render` does without.
__getattr__ = later(
    __name__,
    {
        "BakeResult": "_bake",
        "Baking": "_baking",
        "Cancel": "_cancel",
        "Leftover": "_leftovers",
        "Listed": "_images",
        "Options": "_bake",
        "Outcome": "_bake",
        "Survey": "_survey",
        "bake": "_bake",
        "bake_file": "_baking",
        "choose_engine": "_engines",
        "end_leftovers": "_leftovers",
        "find_leftovers": "_leftovers",
        "list_images": "_images",
        "look": "_survey",
        "prunable": "_images",
        "prune": "_images",
        "require_rendered": "_baking",
    },
)
