"""Rules that ask AWS whether the budget can deny submissions, and whether it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mngen._budget_action import attached_to, detach_command, execute_command, named_in
from mngen.cluster import DEPLOYMENT_TAG, denied_submitters, names
from mngen.errors import Severity
from mngen.rules._rule import Match
from mngen.rules.account._rule import AwsRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mngen.account import Account

_ACTIVATE = (
    "`aws ce update-cost-allocation-tags-status --cost-allocation-tags-status "
    f"TagKey={DEPLOYMENT_TAG},Status=Active`"
)
_NOT_DETACHED = (
    "AWS Budgets could not detach the policy from everyone: submissions may be denied",
    "to try again",
    "REVERSE",
)
_STATES = {
    "EXECUTION_SUCCESS": (
        "costs exceeded the percentage: submissions are denied",
        "to allow them again",
        "REVERSE",
    ),
    "EXECUTION_FAILURE": (
        "costs exceeded the percentage, and AWS Budgets could not attach the policy to everyone",
        "correct in IAM what MN264 reports, then try again",
        "RETRY",
    ),
    "REVERSE_SUCCESS": (
        "the action was reversed: submissions are not denied for the rest of the month",
        "to deny them again above the percentage",
        "RESET",
    ),
    "REVERSE_FAILURE": _NOT_DETACHED,
    "RESET_FAILURE": _NOT_DETACHED,
}
"""What the states of an action mean, what can be done, and how AWS Budgets calls that."""

_EXECUTED = frozenset({"EXECUTION_FAILURE", "EXECUTION_SUCCESS"})


class DeniedExist(AwsRule):
    id = "MN264"
    title = "Who `budget.deny_submit` names must exist and take another policy"
    why = (
        "AWS Budgets attaches a policy to each role, group and user, with a role that may do so "
        "for their paths and names alone. The action fails for one that does not exist or has "
        "another path, or that has as many managed policies as the account's quota allows."
    )
    remedy = "correct the path or the name, or detach a policy from it"
    source_url = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"
    manual_test = "aws iam list-attached-role-policies --role-name ROLE"
    calls = (
        "iam:GetAccountSummary",
        "iam:GetGroup",
        "iam:GetRole",
        "iam:GetUser",
        "iam:ListAttachedGroupPolicies",
        "iam:ListAttachedRolePolicies",
        "iam:ListAttachedUserPolicies",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        denied = denied_submitters(spec)
        if denied is None:
            return
        iam: Any = account.client("iam")
        summary = iam.get_account_summary()["SummaryMap"]
        named = denied.policy.rpartition("/")[2] if denied.policy else ""
        own = named or names.deny_submit_policy(spec.name)
        for kind, given in denied.by_kind.items():
            quota = summary[f"AttachedPoliciesPer{kind.capitalize()}Quota"]
            for index, each in enumerate(given):
                path = ("budget", "deny_submit", f"{kind}s", index)
                name = each.rpartition("/")[2]
                found = _path_and_policies(iam, kind, name)
                if found is None:
                    yield Match(path, f"there is no {kind} `{name}` in the account")
                    continue
                there, attached = found
                given_path = f"/{each.removesuffix(name)}"
                # A role that the spec names may have other rights.
                if there != given_path and denied.role is None:
                    yield Match(
                        path,
                        f"the {kind} `{name}` has the path `{there}`, not `{given_path}`",
                        f"write `{there[1:]}{name}`",
                    )
                others = [policy for policy in attached if not policy.startswith(own)]
                if len(others) >= quota:
                    yield Match(
                        path,
                        f"the {kind} `{name}` has {len(others)} managed policies, and the quota "
                        f"is {quota}",
                    )


def _path_and_policies(iam: Any, kind: str, name: str) -> tuple[str, list[str]] | None:
    """Returns the path of a role, group or user, and the names of its managed policies.

    IAM is asked by the name without the path. None if there is no such one.
    """
    readers = {"role": iam.get_role, "group": iam.get_group, "user": iam.get_user}
    key = kind.capitalize()
    asked = {f"{key}Name": name}
    pages = iam.get_paginator(f"list_attached_{kind}_policies")
    try:
        path = readers[kind](**asked)[key]["Path"]
        policies = [
            each["PolicyName"]
            for page in pages.paginate(**asked)
            for each in page["AttachedPolicies"]
        ]
    except iam.exceptions.NoSuchEntityException:
        return None
    return path, policies


class SubmissionsOpen(AwsRule):
    id = "MN265"
    severity = Severity.WARNING
    title = "The action of `budget.deny_submit` should wait for its percentage"
    why = (
        "Once costs exceed the percentage, AWS Budgets denies submissions. An action that was "
        "reversed is not evaluated for the rest of the month, unless it is reset."
    )
    remedy = "see `aws budgets describe-budget-action-histories`"
    source_url = (
        "https://docs.aws.amazon.com/cost-management/latest/userguide/budgets-action-review.html"
    )
    manual_test = (
        "aws budgets describe-budget-actions-for-budget --account-id ACCOUNT "
        "--budget-name mngen-NAME-REGION --query 'Actions[].[ActionId,Status]'"
    )
    calls = (
        "budgets:DescribeBudgetActionsForBudget",
        "iam:ListEntitiesForPolicy",
        "sts:GetCallerIdentity",
    )

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        spec = account.cluster.spec
        denied = denied_submitters(spec)
        if denied is None:
            return
        budgets: Any = account.client("budgets")
        own = account.client("sts").get_caller_identity()["Account"]
        budget = names.budget(spec.name, spec.region)
        try:
            found = budgets.describe_budget_actions_for_budget(AccountId=own, BudgetName=budget)
        except budgets.exceptions.NotFoundException:
            # Nothing is applied yet.
            return
        path = ("budget", "deny_submit")
        policy = denied.policy or f":policy/{names.deny_submit_policy(spec.name)}"
        actions = [each for each in found["Actions"] if policy in _policy_of(each)]
        if not actions:
            yield Match(path, f"the budget `{budget}` has no action", "run `mngen apply`")
        for action in actions:
            if action["Status"] not in _STATES:
                continue
            message, hint, wish = _STATES[action["Status"]]
            command = execute_command(own, budget, action["ActionId"], wish)
            if action["Status"] in _EXECUTED:
                attached = {*attached_to(account.client("iam"), _policy_of(action))}
                more, then = _missed(action, attached)
                message, command = message + more, command + then
            yield Match(path, message, f"{hint}: `{command}`")


def _policy_of(action: dict[str, Any]) -> str:
    """Returns the policy that an action attaches; empty for one that attaches none."""
    definition: dict[str, str] = action["Definition"].get("IamActionDefinition", {})
    return definition.get("PolicyArn", "")


def _missed(action: dict[str, Any], attached: set[tuple[str, str]]) -> tuple[str, str]:
    """Returns how message and command of an executed action end if someone lacks its policy.

    Args:
        action: The action, as AWS Budgets describes it.
        attached: Who has its policy.
    """
    named = named_in(action["Definition"]["IamActionDefinition"])
    missed, denied = sorted(named - attached), sorted(named & attached)
    if not missed:
        return "", ""
    message = f"; not denied: {_listed(missed)}"
    if action["Status"] == "EXECUTION_SUCCESS":
        return message, "`; to deny all, execute it again with `RESET_BUDGET_ACTION"
    if not denied:
        return message, ""
    commands = "`, `".join(detach_command(*each, _policy_of(action)) for each in denied)
    return f"{message}; denied: {_listed(denied)}", f"`; to allow them to submit: `{commands}"


def _listed(principals: list[tuple[str, str]]) -> str:
    return ", ".join(f"{kind} `{name}`" for kind, name in principals)


class TagActive(AwsRule):
    id = "MN266"
    severity = Severity.WARNING
    title = f"The tag `{DEPLOYMENT_TAG}` should be active for cost allocation"
    why = (
        "AWS Billing finds the costs of a deployment by this tag. Until the tag is active in the "
        "account that pays, the budget stays at 0: no alert is sent, and nothing is denied."
    )
    remedy = f"activate it: {_ACTIVATE}"
    source_url = "https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html"
    manual_test = f"aws ce list-cost-allocation-tags --tag-keys {DEPLOYMENT_TAG}"
    calls = ("ce:ListCostAllocationTags",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.cluster.spec.budget is None or account.cost_tag.denied:
            return
        match account.cost_tag.status:
            case "Active":
                return
            case None:
                yield Match(
                    ("budget",),
                    f"AWS Billing does not know the tag `{DEPLOYMENT_TAG}` yet",
                    f"up to 24 hours after the first apply, activate it: {_ACTIVATE}",
                    key=True,
                )
            case _:
                yield Match(
                    ("budget",),
                    f"the tag `{DEPLOYMENT_TAG}` is not active: the budget counts nothing",
                    key=True,
                )


class TagVisible(AwsRule):
    id = "MN267"
    severity = Severity.INFO
    title = f"The account that pays should have activated the tag `{DEPLOYMENT_TAG}`"
    why = (
        "AWS Billing shows the cost allocation tags to the account that pays alone: the management "
        "account of an organization, or an account without one."
    )
    remedy = f"ask the owner of the account that pays for {_ACTIVATE}"
    source_url = "https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html"
    manual_test = f"aws ce list-cost-allocation-tags --tag-keys {DEPLOYMENT_TAG}"
    calls = ("ce:ListCostAllocationTags",)

    @classmethod
    def matches(cls, account: Account) -> Iterator[Match]:
        if account.cluster.spec.budget is not None and account.cost_tag.denied:
            yield Match(
                ("budget",),
                "AWS does not show this account whether the budget counts anything: "
                f"{account.cost_tag.denied}",
                key=True,
            )
