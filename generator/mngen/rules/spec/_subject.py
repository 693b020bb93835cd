"""What the rules judge: a spec, and the cluster that its sound part resolves to.

A value that the loader refused must not make a rule complain about what stands in its place.
So only environments, queues and jobs without any such value, and whose references hold, become
part of `Subject.cluster`; a rule that compares values works on that. A rule that looks at one
value alone, such as a reference, works on `Subject.spec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mngen.cluster import Cluster, resolve
from mngen.spec import Network, Roles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.catalog import Catalog
    from mngen.cluster import ResolvedEnvironment, ResolvedJob, ResolvedQueue
    from mngen.spec import Path, Spec


class Subject(msgspec.Struct, frozen=True):
    """What the rules judge.

    Attributes:
        spec: The spec, without what the loader refused.
        catalog: The instance types.
        cluster: What the environments, queues and jobs that are sound in themselves resolve to.
        dropped: Paths that the loader left out of `spec`.
        sections: The top-level sections and the entries (`("queues", "mpi")`) in which something
            was left out.
    """

    spec: Spec
    catalog: Catalog
    cluster: Cluster
    dropped: frozenset[Path]
    sections: frozenset[Path]

    @property
    def environments(self) -> tuple[ResolvedEnvironment, ...]:
        """The environments that can be judged."""
        return self.cluster.environments

    @property
    def queues(self) -> tuple[ResolvedQueue, ...]:
        """The queues that can be judged, with their environments."""
        return self.cluster.queues

    @property
    def jobs(self) -> tuple[ResolvedJob, ...]:
        """The jobs that can be judged, with their queue and its environments."""
        return self.cluster.jobs

    @property
    def network(self) -> Iterator[Network]:
        """The network, where nothing was left out of it; else nothing."""
        if self.sound("network"):
            yield self.spec.network

    @property
    def roles(self) -> Iterator[Roles]:
        """The roles, where nothing was left out of them; else nothing."""
        if self.sound("roles"):
            yield self.spec.roles

    def sound(self, *path: str) -> bool:
        """Whether neither this top-level section or entry nor a part of it was left out."""
        return path not in self.sections


def make_subject(spec: Spec, catalog: Catalog, dropped: frozenset[Path] = frozenset()) -> Subject:
    """Prepares a spec for the rules."""
    sections = frozenset(path[:length] for path in dropped for length in (1, 2) if path)
    return Subject(
        spec, catalog, resolve(_judgeable(spec, catalog, sections), catalog), dropped, sections
    )


def _judgeable(spec: Spec, catalog: Catalog, sections: frozenset[Path]) -> Spec:
    """Returns the spec without the entries that no rule could judge fairly."""
    environments = {
        name: environment
        for name, environment in spec.environments.items()
        if all(each in catalog for each in environment.types)
        and ("environments", name) not in sections
    }
    queues = {
        name: queue
        for name, queue in spec.queues.items()
        if all(each in environments for each in queue.environments)
        and ("queues", name) not in sections
    }
    jobs = {
        name: job
        for name, job in spec.jobs.items()
        if job.queue in queues and ("jobs", name) not in sections
    }
    network = Network() if ("network",) in sections else spec.network
    if (environments, queues, jobs, network) == (
        spec.environments,
        spec.queues,
        spec.jobs,
        spec.network,
    ):
        return spec
    return msgspec.structs.replace(
        spec, environments=environments, queues=queues, jobs=jobs, network=network
    )
