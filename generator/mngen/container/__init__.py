"""The container image of the jobs: built, pushed to the deployment's registry, listed.

`mngen container build|push|list` are a function each. docker, podman or buildah builds the image
from the rendered tree's `container` folder. Its digest is recorded beside the rendered Terraform,
so that job definitions run exactly what was pushed. What the engine prints is logged.

    engine = find_engine()
    planned = plan_image(cluster)
    build_image(planned, Path("deploy/container"), engine)
    push_image(planned, registry, engine)
"""

from mngen.container._build import base_image, build_image
from mngen.container._engine import ENGINES, Engine, find_engine
from mngen.container._list import RegistryImage, list_images
from mngen.container._plan import ImagePlan, plan_image
from mngen.container._process import EngineError
from mngen.container._push import Pushed, next_tag, push_image
from mngen.container._registry import Registry, Stored, open_registry

__all__ = [
    "ENGINES",
    "Engine",
    "EngineError",
    "ImagePlan",
    "Pushed",
    "Registry",
    "RegistryImage",
    "Stored",
    "base_image",
    "build_image",
    "find_engine",
    "list_images",
    "next_tag",
    "open_registry",
    "plan_image",
    "push_image",
]
