"""Judges a spec by every rule that needs no AWS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from mngen.errors import InputError, Problem, Severity
from mngen.rules.checks._judge import at_level, chosen, in_order, make_problem
from mngen.rules.spec import SPEC_RULES
from mngen.rules.spec._subject import make_subject
from mngen.spec import written

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from mngen.catalog import Catalog
    from mngen.cluster import Cluster
    from mngen.rules._rule import Match
    from mngen.rules.spec._rule import SpecRule
    from mngen.rules.spec._subject import Subject
    from mngen.spec import LoadedSpec, Path, Spec

    Found = tuple[type[SpecRule], Match]
    _Line = tuple[str | None, int]

# Types that differ in all that a rule can look at: with EFA and without, of one thread a core and
# of two, with and without placement groups, Spot, GPUs, several cards.
_UNLIKE = ("c5n.18xlarge", "t4g.micro", "hpc7a.96xlarge", "p5.48xlarge", "m4.large")


def check(
    loaded: LoadedSpec,
    catalog: Catalog,
    *,
    skip: Collection[str] = (),
    level: Severity | None = None,
) -> list[Problem]:
    """Returns everything that is wrong with a spec, as far as it can be known without AWS.

    Args:
        loaded: The spec, sound or not.
        catalog: The instance types.
        skip: Ids of rules to leave out.
        level: The least severity to report; None for all.

    Returns:
        The faults of the shape and those that the rules found, in the order of the file.

    Raises:
        InputError: `skip` names a rule that there is not.
    """
    problems, _ = _judge(loaded, catalog, skip)
    return at_level(problems, level)


def require(
    loaded: LoadedSpec,
    catalog: Catalog,
    *,
    skip: Collection[str] = (),
    warn: Callable[[Problem], None] | None = None,
) -> Cluster:
    """Returns the cluster of a spec without errors.

    Args:
        loaded: The spec.
        catalog: The instance types.
        skip: Ids of rules to leave out.
        warn: Is called with each warning, in the order of the file.

    Raises:
        InputError: The spec has errors; carries all of them.
    """
    problems, subject = _judge(loaded, catalog, skip)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors or subject is None:
        raise InputError(*errors)
    if warn is not None:
        for problem in problems:
            if problem.severity is Severity.WARNING:
                warn(problem)
    return subject.cluster


def _judge(
    loaded: LoadedSpec, catalog: Catalog, skip: Collection[str]
) -> tuple[list[Problem], Subject | None]:
    rules = chosen(SPEC_RULES, skip)
    if loaded.spec is None:
        return list(loaded.problems), None
    subject = make_subject(loaded.spec, catalog, loaded.dropped)
    problems = list(loaded.problems)
    secret_lines: set[_Line] = set()
    found = _matches(rules, subject)
    found += _beside_unknown_types(rules, loaded.spec, catalog, loaded.dropped, found)
    for rule, match in found:
        problem = make_problem(rule, match, loaded.document, loaded.spec)
        problems.append(problem)
        if match.secret and problem.position is not None:
            secret_lines.add((problem.file, problem.position.line))
    problems.sort(key=in_order)
    # Another problem on the line of a secret must not show it either.
    return [_hidden(problem, secret_lines) for problem in problems], subject


def _matches(rules: Sequence[type[SpecRule]], subject: Subject) -> list[Found]:
    found = [(rule, match) for rule in rules for match in rule.matches(subject)]
    return [*found, *_in_groups(rules, subject)]


def _in_groups(rules: Sequence[type[SpecRule]], subject: Subject) -> Iterator[Found]:
    """Yields what is wrong with the keys of node groups.

    Each rule about a job judges each group as a job: with the keys of the group, and else those of
    the job, of which the rule has judged the values before.
    """
    for name, job in subject.spec.jobs.items():
        for group, part in job.parts.items():
            if group is None or ("jobs", name) in subject.sections:
                continue
            alone = msgspec.structs.replace(subject.spec, jobs={name: part})
            own = written(job.groups[group])
            # Of another meaning than the key of the job.
            del own["nodes"]
            of_part = make_subject(alone, subject.catalog, subject.dropped)
            for rule in rules:
                for match in rule.matches(of_part):
                    of_job, below = match.path[:2], match.path[2:]
                    if of_job == ("jobs", name) and _is_there(own, below):
                        path = (*of_job, "groups", group, *below)
                        yield rule, msgspec.structs.replace(match, path=path)


def _is_there(keys: Any, path: Sequence[str | int]) -> bool:
    """Whether a path below a node group leads to what the group has itself."""
    if not path:
        return False
    for part in path:
        if isinstance(keys, dict):
            if part not in keys:
                return False
            keys = keys[part]
    return True


def _beside_unknown_types(
    rules: Sequence[type[SpecRule]],
    spec: Spec,
    catalog: Catalog,
    dropped: frozenset[Path],
    found: list[Found],
) -> list[Found]:
    """Returns what is wrong besides with environments of a type that the catalog does not have.

    Such an environment cannot be resolved, so the rules have not seen it, its queues and its jobs.
    They are judged with one known type after another in its place: what holds with every one of
    them, in the same words, is not the type's doing.
    """
    unknown = [
        name
        for name, each in spec.environments.items()
        if any(kind not in catalog for kind in each.types)
    ]
    if not unknown or not len(catalog):
        return []
    # The first and the last type of the catalog, should it lack all of the others.
    stand_ins = [name for name in _UNLIKE if name in catalog] or catalog.names[:1]
    judged: list[list[Found]] = []
    for instance in (*stand_ins, catalog.names[-1]):
        environments = {
            name: msgspec.structs.replace(each, instance=instance, alternatives=())
            if name in unknown
            else each
            for name, each in spec.environments.items()
        }
        changed = msgspec.structs.replace(spec, environments=environments)
        judged.append(_matches(rules, make_subject(changed, catalog, dropped)))
    return [
        each
        for each in judged[0]
        if each not in found and all(each in others for others in judged[1:])
    ]


def _hidden(problem: Problem, lines: set[_Line]) -> Problem:
    if problem.position is None or (problem.file, problem.position.line) not in lines:
        return problem
    return replace(problem, source_line=None)
