"""The gaps of the smaller services: EFS, Service Quotas and IAM."""

from __future__ import annotations

import json
import secrets
from copy import copy
from typing import Any

from moto.efs.exceptions import FileSystemNotFound
from moto.efs.models import EFSBackend, FileSystem
from moto.efs.responses import EFSResponse
from moto.iam.exceptions import DeleteConflictException
from moto.iam.models import SERVICE_NAME_CONVERSION, IAMBackend
from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import servicequotas_backends
from moto.servicequotas.responses import ServiceQuotasResponse

from mngen.sandbox.emulator._patch import patch, patch_table

_DELETE_POLICY: Any = IAMBackend.delete_policy
_MAKE_ACCESS_POINT: Any = EFSBackend.create_access_point
_MAKE_MANAGED_POLICIES: Any = vars(IAMBackend)["_init_aws_policies"]

_JSON = {"Content-Type": "application/json"}

_DEFAULT_VCPUS = {"L-1216C47A": 5.0, "L-34B43A08": 5.0}
"""What AWS gives a new account: some vCPUs of the standard families, none of the others."""

_GRANTED_VCPUS = 4096.0
"""What the sandbox's account has, an account in use: enough for every example."""

VCPU_QUOTAS = {
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-3819A6DF": "All G and VT Spot Instance Requests",
    "L-417A185B": "Running On-Demand P instances",
    "L-7212CCBC": "All P4, P3 and P2 Spot Instance Requests",
    "L-C4BD4855": "All P5 Spot Instance Requests",
    "L-74FC7D96": "Running On-Demand F instances",
    "L-88CF9481": "All F Spot Instance Requests",
    "L-1945791B": "Running On-Demand Inf instances",
    "L-B5D1601B": "All Inf Spot Instance Requests",
    "L-2C3B7624": "Running On-Demand Trn instances",
    "L-6B0D517C": "All Trn Spot Instance Requests",
    "L-7295265B": "Running On-Demand X instances",
    "L-E3A00192": "All X Spot Instance Requests",
    "L-43DA4232": "Running On-Demand High Memory instances",
    "L-6E869C2A": "Running On-Demand DL instances",
    "L-85EED4F7": "All DL Spot Instance Requests",
    "L-F7808C92": "Running On-Demand HPC instances",
}
"""EC2's vCPU quotas by code; each one bounds the sum of vCPUs of its families in a region."""


_managed_policies: dict[tuple[str, str], list[Any]] = {}


class EfsActions:
    """The EFS actions that moto lacks."""

    efs_backend: Any
    _get_param: Any

    def update_file_system(self) -> tuple[str, dict[str, Any]]:
        """Changes the throughput mode; EFS answers 202 with the file system."""
        system = _file_system(self.efs_backend, self._get_param("FileSystemId"))
        mode = self._get_param("ThroughputMode")
        if mode:
            system.throughput_mode = mode
        system.provisioned_throughput_in_mibps = (
            self._get_param("ProvisionedThroughputInMibps")
            if system.throughput_mode == "provisioned"
            else None
        )
        return json.dumps(system.info_json()), {**_JSON, "status": 202}

    def put_backup_policy(self) -> tuple[str, dict[str, Any]]:
        """Switches automatic backups on or off."""
        system = _file_system(self.efs_backend, self._get_param("FileSystemId"))
        policy = self._get_param("BackupPolicy")
        system.automatic_backups = policy["Status"] in ("ENABLED", "ENABLING")
        return json.dumps({"BackupPolicy": _backup_policy(system)}), dict(_JSON)

    def describe_backup_policy(self) -> tuple[str, dict[str, Any]]:
        """Answers DISABLED for a file system without backups, where moto answers not found."""
        system = _file_system(self.efs_backend, self._get_param("FileSystemId"))
        return json.dumps({"BackupPolicy": _backup_policy(system)}), dict(_JSON)

    def delete_file_system_policy(self) -> tuple[str, dict[str, Any]]:
        """Removes the resource policy."""
        system = _file_system(self.efs_backend, self._get_param("FileSystemId"))
        system.file_system_policy = None
        return "", {**_JSON, "status": 200}


class AccessPoints:
    """Access points, which moto makes on file systems that do not exist, with too short an id."""

    file_systems_by_id: dict[str, Any]
    access_points: dict[str, Any]

    def create_access_point(self, client_token: str, **wanted: Any) -> Any:
        """Makes one, with an id as EFS gives them.

        Source: https://docs.aws.amazon.com/efs/latest/ug/API_CreateAccessPoint.html
        """
        _file_system(self, wanted["file_system_id"])
        made = _MAKE_ACCESS_POINT(self, client_token, **wanted)
        short = made.access_point_id
        made.access_point_id = f"fsap-{secrets.token_hex(9)[1:]}"
        made.access_point_arn = made.access_point_arn.replace(short, made.access_point_id)
        self.access_points[made.access_point_id] = self.access_points.pop(short)
        return made


class ManagedPolicies:
    """AWS's 1,500 managed policies, which take moto a tenth of a second after each reset."""

    account_id: str
    region_name: str

    def _init_aws_policies(self) -> list[Any]:
        """Makes them once, and gives out copies: what is attached is counted in each."""
        key = (self.account_id, self.region_name)
        if key not in _managed_policies:
            _managed_policies[key] = _MAKE_MANAGED_POLICIES(self)
        return [copy(policy) for policy in _managed_policies[key]]


class AttachedPolicies:
    """Managed policies, which moto deletes while they are attached."""

    managed_policies: dict[str, Any]

    def delete_policy(self, policy_arn: str) -> None:
        """Deletes a policy, unless a role, group or user has it.

        Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html
        """
        policy = self.managed_policies.get(policy_arn)
        if policy is not None and policy.attachment_count:
            raise DeleteConflictException("Cannot delete a policy attached to entities.")
        _DELETE_POLICY(self, policy_arn)


class Backups:
    """The switch that moto's file system keeps to itself."""

    _backup: bool

    @property
    def automatic_backups(self) -> bool:
        """Whether the file system is backed up automatically."""
        return bool(self._backup)

    @automatic_backups.setter
    def automatic_backups(self, enabled: bool) -> None:
        self._backup = enabled


class QuotaActions:
    """The vCPU quotas of EC2; moto knows only those of VPC."""

    backend: Any
    body: Any
    region: str
    current_account: str
    partition: str

    def get_service_quota(self) -> str:
        """Returns the quota that applies to the account."""
        request = json.loads(self.body)
        service, code = request["ServiceCode"], request["QuotaCode"]
        if service != "ec2":
            quota = self.backend.get_service_quota(service_code=service, quota_code=code)
            return json.dumps({"Quota": quota})
        return json.dumps({"Quota": self._quota(code, self._granted().get(code, _GRANTED_VCPUS))})

    def list_service_quotas(self) -> str:
        """Returns all quotas that apply to the account for a service."""
        if json.loads(self.body)["ServiceCode"] != "ec2":
            return self.list_aws_default_service_quotas()
        granted = self._granted()
        return json.dumps(
            {"Quotas": [self._quota(c, granted.get(c, _GRANTED_VCPUS)) for c in VCPU_QUOTAS]}
        )

    def get_aws_default_service_quota(self) -> str:
        """Returns what AWS gives a new account."""
        request = json.loads(self.body)
        if request["ServiceCode"] != "ec2":
            return self.get_service_quota()
        return json.dumps({"Quota": self._default(request["QuotaCode"])})

    def list_aws_default_service_quotas(self) -> str:
        """Returns what AWS gives a new account for a service."""
        service = json.loads(self.body)["ServiceCode"]
        if service == "ec2":
            quotas = [self._default(code) for code in VCPU_QUOTAS]
        else:
            quotas = self.backend.list_aws_default_service_quotas(service)
        return json.dumps({"Quotas": quotas})

    def request_service_quota_increase(self) -> str:
        """Grants the value at once, also a lower one: this is how a rehearsal sets a quota."""
        request = json.loads(self.body)
        code = request["QuotaCode"]
        self._quota(code, 0.0)
        self._granted()[code] = float(request["DesiredValue"])
        return json.dumps(
            {
                "RequestedQuota": {
                    "Id": f"sandbox-{code}",
                    "ServiceCode": request["ServiceCode"],
                    "QuotaCode": code,
                    "DesiredValue": float(request["DesiredValue"]),
                    "Status": "APPROVED",
                }
            }
        )

    def _default(self, code: str) -> dict[str, Any]:
        return self._quota(code, _DEFAULT_VCPUS.get(code, 0.0))

    def _granted(self) -> dict[str, float]:
        granted: dict[str, float] = self.backend.__dict__.setdefault("granted_vcpus", {})
        return granted

    def _quota(self, code: str, value: float) -> dict[str, Any]:
        if code not in VCPU_QUOTAS:
            raise NoSuchResource
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:{self.partition}:servicequotas:{self.region}:{self.current_account}"
            f":ec2/{code}",
            "QuotaCode": code,
            "QuotaName": VCPU_QUOTAS[code],
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def granted_vcpus(account: str, region: str, code: str) -> float:
    """Returns the vCPU quota of an account in a region."""
    granted = servicequotas_backends[account][region].__dict__.get("granted_vcpus", {})
    return float(granted.get(code, _GRANTED_VCPUS))


def _file_system(backend: Any, identifier: str) -> Any:
    if identifier not in backend.file_systems_by_id:
        raise FileSystemNotFound(identifier)
    return backend.file_systems_by_id[identifier]


def _backup_policy(system: Any) -> dict[str, str]:
    return {"Status": "ENABLED" if system.automatic_backups else "DISABLED"}


def close() -> None:
    """Closes the gaps of the smaller services."""
    # moto would name Batch's service-linked role AWSServiceRoleForbatch.
    patch_table(SERVICE_NAME_CONVERSION, "batch", "Batch")
    patch(FileSystem, Backups, adds=("automatic_backups",))
    patch(
        EFSResponse,
        EfsActions,
        adds=(
            "update_file_system",
            "put_backup_policy",
            "delete_file_system_policy",
        ),
    )
    patch(EFSBackend, AccessPoints)
    patch(IAMBackend, ManagedPolicies)
    patch(IAMBackend, AttachedPolicies)
    patch(
        ServiceQuotasResponse,
        QuotaActions,
        adds=(
            "list_service_quotas",
            "get_aws_default_service_quota",
            "request_service_quota_increase",
            "_default",
            "_granted",
            "_quota",
        ),
    )
