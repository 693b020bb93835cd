"""Pushing the image to the deployment's repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mngen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from mngen.container._engine import Engine
    from mngen.container._plan import ImagePlan
    from mngen.container._registry import Registry, Stored

_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is in the repository.

    Attributes:
        tag: Its tag.
        digest: `sha256:…`.
        reference: What a container runtime pulls it by: repository and digest.
        new: False where the very image had been pushed before.
    """

    tag: str
    digest: str
    reference: str
    new: bool


def push_image(
    plan: ImagePlan, registry: Registry, engine: Engine, *, emulated: bool = False
) -> Pushed:
    """Pushes an image that was built on this machine; what the engine prints is logged.

    Safe to repeat: what is in the repository already is not pushed again.

    Args:
        plan: See `plan_image`.
        registry: See `open_registry`.
        engine: The engine that built it.
        emulated: Whether the registry is the sandbox's, which keeps manifests and no layers.

    Raises:
        InputError: The image is not built, or its tag names another image in the repository.
        ToolError: AWS or the engine refused.
        InterruptedRunError: Ctrl-C or SIGTERM; the engine has ended.
    """
    here = engine.image_id(plan.reference)
    if here is None:
        raise InputError(
            f"{engine.name} has no image {plan.reference}",
            hint="run `mngen container build`, or pass --engine if another engine built it",
        )
    stored = registry.find(plan.tag)
    if stored is not None:
        if here not in registry.identities(stored):
            raise _taken(plan, registry, stored)
        return _pushed(plan, registry, stored.digest, new=False)
    if emulated:
        digest = registry.put(plan.tag, engine.manifest(plan.reference))
    else:
        user, password = registry.login()
        with engine.logged_in(registry.host, user, password) as session:
            digest = session.push(plan.reference, f"{registry.url}:{plan.tag}")
    return _pushed(plan, registry, digest, new=True)


def next_tag(tag: str, taken: Collection[str] = ()) -> str:
    """Returns the tag that comes after one: its last number plus one, as `v1.10` after `v1.9`.

    Args:
        tag: A tag; one without a number gets `-2`.
        taken: Tags that are not free.
    """
    match = _LAST_NUMBER.match(tag)
    before, number, after = match.groups() if match else (f"{tag}-", "1", "")
    following = int(number) + 1
    while (name := f"{before}{following:0{len(number)}}{after}") in taken:
        following += 1
    return name


def _taken(plan: ImagePlan, registry: Registry, stored: Stored) -> InputError:
    used = {tag for image in registry.images() for tag in image.tags}
    when = f", pushed {stored.pushed:%Y-%m-%d %H:%M}" if stored.pushed else ""
    return InputError(
        f"the tag `{plan.tag}` already names another image ({stored.digest[:19]}{when}), and tags "
        "are immutable",
        hint=f"set `tag: {next_tag(plan.tag, used)}` under `container:` in the spec, then run "
        "`mngen container build` and `mngen container push`",
    )


def _pushed(plan: ImagePlan, registry: Registry, digest: str, *, new: bool) -> Pushed:
    return Pushed(plan.tag, digest, f"{registry.url}@{digest}", new)
