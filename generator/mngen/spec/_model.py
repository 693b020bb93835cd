"""The words of mngen.yaml as typed data.

Every class is a frozen `msgspec.Struct`; the `Meta` of a field carries what the JSON Schema, the
editor and the error message show about it. A limit that AWS documents is written here, once, so
that the loader refuses what AWS would refuse. What needs two fields or the instance catalog to
judge is a rule (see `mngen.rules`), not a type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from mngen.spec._effects import Effect, affects

if TYPE_CHECKING:
    from collections.abc import Mapping


def _text(description: str, says: str, *, pattern: str, examples: tuple[str, ...] = ()) -> Meta:
    """Describes a string: for the schema by its pattern, for a person by `says`."""
    extra: dict[str, Any] | None = {"examples": list(examples)} if examples else None
    return Meta(
        pattern=pattern,
        description=description,
        extra_json_schema=extra,
        extra={"says": says},
    )


def _id(prefix: str) -> str:
    return rf"^{prefix}-[0-9a-f]{{8,17}}\Z"


_ARN = r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):"
ROLE_ARN = _ARN + r"role/[A-Za-z0-9+=,.@_/-]{1,512}"
"""How the ARN of a role looks, but for what follows it."""
_GROUP_ARN = r"arn:aws[a-z-]*:resource-groups:[a-z0-9-]+:[0-9]{12}:group/"
_GROUP_NAME = r"([A-Za-z0-9_.-]{1,300}|[A-Za-z0-9_.-]{1,150}/[a-z0-9]{26})"
_BATCH_ARN = r"^arn:aws[a-z-]*:batch:[a-z0-9-]+:[0-9]{12}:"


def _key(description: str) -> Meta:
    return _text(
        description,
        "the ARN of a KMS key",
        pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-z0-9-]{8,64}\Z",
        examples=("arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",),
    )


def _mount_point(example: str) -> Meta:
    return _text(
        "Where the file system is mounted, on the host and in the container.",
        f"an absolute path of letters, digits and . _ - /, such as {example}",
        pattern=r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}){1,8}\Z",
    )


DeploymentName = Annotated[
    str,
    _text(
        "Name of the deployment; every resource is named after it.",
        "1 to 24 lower-case letters and digits, single hyphens between, starting with a letter",
        # 24 leaves room for the suffixes within the 38 characters of an IAM role's name prefix;
        # the characters are those of an ECR namespace, the narrowest of all that carry the name.
        pattern=r"^(?=.{1,24}\Z)[a-z]+(-?[a-z0-9]+)*\Z",
        examples=("seismic",),
    ),
]
ResourceName = Annotated[
    str,
    _text(
        "A name that AWS Batch takes.",
        "1 to 64 letters, digits, hyphens and underscores, starting with a letter or digit",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z",
    ),
]
AwsName = Annotated[
    str,
    _text(
        "A name in AWS Batch that does not start with the deployment's.",
        "1 to 128 letters, digits, hyphens and underscores, starting with a letter or digit",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}\Z",
    ),
]
RegionName = Annotated[
    str,
    _text(
        "AWS region of everything in the deployment.",
        "the name of an AWS region, such as us-east-1",
        pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}\Z",
        examples=("us-east-1", "eu-central-1"),
    ),
]
ZoneName = Annotated[
    str,
    _text(
        "An availability zone.",
        "the name of an availability zone, such as us-east-1a",
        pattern=r"^[a-z]{2,4}(-[a-z0-9]+)+-[0-9]{1,2}[a-z]\Z",
        examples=("us-east-1a",),
    ),
]
InstanceTypeName = Annotated[
    str,
    _text(
        "An EC2 instance type; `mngen instances` lists them.",
        "an EC2 instance type, such as r5.12xlarge",
        pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+\Z",
        examples=("r5.12xlarge", "hpc7a.96xlarge"),
    ),
]
DEFAULT_CIDR = "10.0.0.0/16"
"""The range of a new VPC, unless the spec has another one."""

Cidr = Annotated[
    str,
    _text(
        "An IPv4 range in CIDR notation.",
        "an IPv4 range in CIDR notation, such as 10.0.0.0/16",
        pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}\Z",
        examples=("10.0.0.0/16",),
    ),
]
SubnetId = Annotated[
    str, _text("A subnet.", "a subnet id, such as subnet-0123456789abcdef0", pattern=_id("subnet"))
]
RouteTableId = Annotated[
    str,
    _text("A route table.", "a route table id, such as rtb-0123456789abcdef0", pattern=_id("rtb")),
]
SecurityGroupId = Annotated[
    str,
    _text(
        "A security group.",
        "a security group id, such as sg-0123456789abcdef0",
        pattern=_id("sg"),
    ),
]
FileSystemId = Annotated[
    str,
    _text(
        "An existing file system, used instead of a new one.",
        "a file system id, such as fs-0123456789abcdef0",
        pattern=_id("fs"),
    ),
]
ReservationId = Annotated[
    str,
    _text(
        "A capacity reservation.",
        "the id of a capacity reservation, such as cr-0123456789abcdef0",
        pattern=_id("cr"),
    ),
]
RoleArn = Annotated[
    str,
    _text(
        "ARN of an IAM role.",
        "the ARN of an IAM role",
        pattern=ROLE_ARN + r"\Z",
    ),
]
PolicyArn = Annotated[
    str,
    _text(
        "ARN of an IAM policy.",
        "the ARN of an IAM policy, such as arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        pattern=_ARN + r"policy/[A-Za-z0-9+=,.@_/-]{1,256}\Z",
    ),
]
ComputeEnvironmentArn = Annotated[
    str,
    _text(
        "ARN of a compute environment.",
        "the ARN of a compute environment of AWS Batch",
        pattern=rf"{_BATCH_ARN}compute-environment/[A-Za-z0-9][A-Za-z0-9_-]{{0,127}}\Z",
        examples=("arn:aws:batch:us-east-1:123456789012:compute-environment/old",),
    ),
]
SchedulingPolicyArn = Annotated[
    str,
    _text(
        "ARN of a scheduling policy.",
        "the ARN of a scheduling policy of AWS Batch",
        pattern=rf"{_BATCH_ARN}scheduling-policy/[A-Za-z0-9][A-Za-z0-9_-]{{0,127}}\Z",
        examples=("arn:aws:batch:us-east-1:123456789012:scheduling-policy/fair",),
    ),
]
Share = Annotated[
    str,
    _text(
        "A share identifier, such as a user or a group, or how some begin, with * at the end.",
        "1 to 255 letters and digits, the last of which may be *",
        # Source: the AWS provider's check (internal/service/batch/validate.go), and
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_ShareAttributes.html
        pattern=r"^[0-9A-Za-z]{1,254}[0-9A-Za-z*]?\Z",
        examples=("alice", "physics*"),
    ),
]
PackageName = Annotated[
    str,
    _text(
        "A package of Amazon Linux, or of a repository that the base AMI has.",
        "the name of a package, such as htop, optionally with its version: letters, digits and "
        ". _ + : ~ ^ -",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:~^-]{0,127}\Z",
        examples=("htop",),
    ),
]
PlaybookPath = Annotated[
    str,
    _text(
        "A playbook by its path from the spec.",
        "the path of a playbook in a folder below the spec's, such as bake/site.yml",
        # Names that mean the same on a command line, in HCL and to Ansible.
        pattern=r"^(?=.{1,255}\Z)([A-Za-z0-9_][A-Za-z0-9._-]*/)+[A-Za-z0-9_][A-Za-z0-9._-]*\.ya?ml\Z",
        examples=("bake/site.yml",),
    ),
]
EndpointService = Literal[
    "s3",
    "ecr.api",
    "ecr.dkr",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "logs",
    "secretsmanager",
    "ssm",
    "ssmmessages",
    "ec2messages",
]
Command = Annotated[
    tuple[str, ...],
    Meta(
        description="Program and arguments; never passed through a shell. Required without "
        "`definition`.",
        min_length=1,
    ),
]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every mapping in the spec: unknown keys are errors."""

    @classmethod
    def needed(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the keys that are required because of those given, or missing."""
        del given
        return ()


LogGroupName = Annotated[
    str,
    _text(
        "A log group of CloudWatch Logs.",
        "the name of a log group: 1 to 512 letters, digits and . _ - / #",
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
        pattern=r"^[A-Za-z0-9._/#-]{1,512}\Z",
        examples=("/aws/batch/job",),
    ),
]
BucketName = Annotated[
    str,
    _text(
        "An existing S3 bucket.",
        "the name of an S3 bucket: 3 to 63 lower-case letters, digits, dots and hyphens",
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z",
    ),
]


class State(Section, frozen=True, kw_only=True):
    """Where Terraform keeps its state: an S3 bucket, locked by a lock file beside the state."""

    bucket: Annotated[BucketName, affects(Effect.INIT)]
    key: Annotated[
        Annotated[
            str,
            _text(
                "Object key of the state. Default: mngen/<name>/terraform.tfstate.",
                "1 to 512 letters, digits and . _ - /, not starting with /",
                pattern=r"^[A-Za-z0-9._-][A-Za-z0-9._/-]{0,511}\Z",
            ),
        ]
        | None,
        affects(Effect.INIT),
    ] = None
    region: Annotated[RegionName | None, affects(Effect.INIT)] = None


class Ssh(Section, frozen=True, kw_only=True):
    """SSH to the nodes; off unless this is written."""

    key_pair: Annotated[
        str,
        _text(
            "Name of an existing EC2 key pair.",
            "the name of an EC2 key pair: 1 to 255 printable ASCII characters",
            pattern=r"^[!-~]([ -~]{0,253}[!-~])?\Z",
        ),
        affects(Effect.INSTANCES),
    ]
    from_: Annotated[
        tuple[Cidr, ...],
        Meta(description="IPv4 ranges that may connect to port 22.", min_length=1, max_length=50),
        affects(Effect.IN_PLACE),
    ] = field(name="from")


class Network(Section, frozen=True, kw_only=True):
    """Where the nodes live: the default VPC, an existing one, or a new one."""

    vpc: Annotated[
        str,
        _text(
            "`default`: the account's default VPC. `new`: a new VPC with private subnets. "
            "An id: that VPC, with `subnets`.",
            "`default`, `new` or a VPC id, such as vpc-0123456789abcdef0",
            pattern=r"^(default|new|vpc-[0-9a-f]{8,17})\Z",
        ),
        affects(Effect.NETWORK),
    ] = "default"
    cidr: Annotated[
        Annotated[
            Cidr, Meta(description=f"Range of a new VPC, /16 to /22. Default: {DEFAULT_CIDR}.")
        ]
        | None,
        affects(Effect.NETWORK),
    ] = None
    zones: Annotated[
        tuple[ZoneName, ...],
        Meta(
            description="Availability zones to use, at most 6. Default: all that the default VPC "
            "or the subnets have; a new VPC needs them named.",
            max_length=6,
        ),
        affects(Effect.SUBNETS, Effect.INSTANCES),
    ] = ()
    subnets: Annotated[
        tuple[SubnetId, ...],
        Meta(description="Subnets of an existing VPC; the nodes are placed in these."),
        affects(Effect.SUBNETS, Effect.INSTANCES),
    ] = ()
    route_tables: Annotated[
        tuple[RouteTableId, ...],
        Meta(
            description="Route tables of an existing VPC that get the route to the S3 endpoint. "
            "Default: the VPC's main route table.",
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    nat: Annotated[
        Annotated[
            bool,
            Meta(description="A NAT gateway for a new VPC's private subnets. Default: true."),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    endpoints: Annotated[
        tuple[EndpointService, ...],
        Meta(
            description="AWS services reached through VPC endpoints: s3 by a gateway, which is "
            "free; the others by interfaces, which are billed by the hour and zone. A VPC takes "
            "each only once: `[]` if another deployment has made them.",
        ),
        affects(Effect.IN_PLACE),
    ] = ("s3",)
    security_groups: Annotated[
        tuple[SecurityGroupId, ...],
        Meta(description="Existing security groups to add to the nodes, at most 4.", max_length=4),
        affects(Effect.INSTANCES),
    ] = ()
    ssh: Ssh | None = None


class Efs(Section, frozen=True, kw_only=True):
    """The file system that all nodes share."""

    mount: Annotated[
        str,
        _mount_point("/efs"),
        affects(Effect.BAKE, Effect.JOBS),
    ] = "/efs"
    id: Annotated[
        FileSystemId | None,
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = None
    security_group: Annotated[
        Annotated[
            SecurityGroupId,
            Meta(
                description="Security group of an existing file system's mount targets, to which "
                "a rule is added that lets the nodes in.",
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    tls: Annotated[
        bool,
        Meta(
            description="Encrypt the traffic: amazon-efs-utils with TLS. false: plain NFS 4.1.",
        ),
        affects(Effect.BAKE),
    ] = True
    iam: Annotated[
        bool,
        Meta(
            description="Mount with the instance's IAM role, as the policy of an existing file "
            "system may require. Needs `tls`. The roles that mngen creates get the permissions; "
            "those of a `roles.instance_profile` of your own need them from you.",
        ),
        affects(Effect.BAKE, Effect.IN_PLACE),
    ] = False
    access_point: Annotated[
        Annotated[
            str,
            _text(
                "Access point through which an existing file system is mounted. Needs `tls`. "
                "Its root folder is what nodes see; a POSIX user that it enforces owns all that "
                "jobs write.",
                "an access point id, such as fsap-0123456789abcdef0",
                pattern=r"^fsap-[0-9a-f]{17}\Z",
            ),
        ]
        | None,
        affects(Effect.BAKE, Effect.IN_PLACE),
    ] = None
    kms_key: Annotated[
        Annotated[
            str,
            _key(
                "Key that encrypts a new file system. Default: the key that AWS manages for EFS. "
                "Its policy must let you use it through EFS.",
            ),
        ]
        | None,
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = None
    throughput: Annotated[
        Literal["bursting", "elastic"],
        Meta(description="`elastic` is billed by the byte read and written."),
        affects(Effect.IN_PLACE),
    ] = "bursting"
    backup: Annotated[
        bool, Meta(description="Daily backups by AWS Backup."), affects(Effect.IN_PLACE)
    ] = True
    protect: Annotated[
        bool,
        Meta(description="Refuse every plan that would destroy the file system."),
        affects(Effect.NONE),
    ] = False


S3Event = Literal["new", "changed", "deleted"]


class FsxLink(Section, frozen=True, kw_only=True):
    """A folder at the top of an FSx for Lustre file system that is linked to S3."""

    path: Annotated[
        str,
        _text(
            "Bucket or prefix that the folder is linked to; each part of a bucket only once.",
            "a bucket or a prefix in it, such as s3://my-cases/wing/",
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.'()-]+)*/?\Z",
            examples=("s3://my-cases/wing/",),
        ),
        affects(Effect.LINK),
    ]
    import_: Annotated[
        tuple[S3Event, ...],
        Meta(
            description="Changes in S3 that appear in the folder. Objects that exist when the "
            "link is created appear in any case.",
            max_length=3,
        ),
        affects(Effect.LINK),
    ] = field(name="import", default=("new", "changed", "deleted"))
    export: Annotated[
        tuple[S3Event, ...],
        Meta(
            description="Changes in the folder that are written to S3. `deleted` deletes objects. "
            "Default: none; nothing is written to S3.",
            max_length=3,
        ),
        affects(Effect.BAKE, Effect.LINK),
    ] = ()


FsxType = Literal["scratch-2", "persistent-1", "persistent-2"]


class Fsx(Section, frozen=True, kw_only=True):
    """An FSx for Lustre file system that all nodes mount beside EFS; off unless this is written."""

    mount: Annotated[
        str,
        _mount_point("/fsx"),
        affects(Effect.BAKE, Effect.JOBS),
    ] = "/fsx"
    id: Annotated[
        FileSystemId | None,
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = None
    security_group: Annotated[
        Annotated[
            SecurityGroupId,
            Meta(
                description="Security group of an existing file system, to which rules are added "
                "that let the nodes in.",
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    type: Annotated[
        FsxType,
        Meta(
            description="Deployment type. `scratch-2` keeps one copy of the data: files are lost "
            "if a file server fails. The persistent types replicate it within the zone."
        ),
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = "scratch-2"
    size: Annotated[
        int,
        Meta(
            description="Size in GiB: 1200, 2400 or a multiple of 2400.", ge=1200, le=2_147_483_647
        ),
        affects(Effect.SIZE),
    ] = 1200
    throughput: Annotated[
        Annotated[
            int,
            Meta(
                description="MB/s for each TiB of a persistent type: 50, 100 or 200 for "
                "persistent-1, 125, 250, 500 or 1000 for persistent-2. Default: the lowest. "
                "scratch-2 has 200.",
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    compression: Annotated[
        bool, Meta(description="Compress files with LZ4 on the servers."), affects(Effect.IN_PLACE)
    ] = True
    zone: Annotated[
        Annotated[
            ZoneName,
            Meta(
                description="Zone of the file system. Default: the network's first, where "
                "multi-node environments are by default."
            ),
        ]
        | None,
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = None
    s3: Annotated[
        dict[
            Annotated[
                str,
                _text(
                    "Folder at the top of the file system.",
                    "1 to 64 letters, digits and . _ -, not starting with .",
                    pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}\Z",
                    examples=("cases",),
                ),
            ],
            FsxLink,
        ],
        Meta(description="Folders that are linked to S3, by name, at most 8.", max_length=8),
        affects(Effect.LINK, Effect.BAKE),
    ] = {}
    kms_key: Annotated[
        Annotated[
            str,
            _key(
                "Key that encrypts a new file system of a persistent type. Default: the key that "
                "AWS manages for FSx.",
            ),
        ]
        | None,
        affects(Effect.FILE_SYSTEM, Effect.BAKE),
    ] = None
    backup_days: Annotated[
        int,
        Meta(
            description="Days for which daily backups of a persistent type are kept; 0 for none.",
            ge=0,
            le=90,
        ),
        affects(Effect.IN_PLACE),
    ] = 0
    maintenance: Annotated[
        Annotated[
            str,
            _text(
                "Start of the weekly maintenance window in UTC, during which the file system is "
                "not available for some minutes. Default: AWS chooses one.",
                'day (1 is Monday), hour and minute in quotes, such as "7:03:00"',
                pattern=r"^[1-7]:([01][0-9]|2[0-3]):[0-5][0-9]\Z",
                examples=("7:03:00",),
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    protect: Annotated[
        bool,
        Meta(description="Refuse every plan that would destroy the file system."),
        affects(Effect.NONE),
    ] = False


class Storage(Section, frozen=True, kw_only=True):
    """Shared storage."""

    efs: Efs = Efs()
    fsx: Fsx | None = None
    bucket: Annotated[
        Annotated[
            BucketName,
            Meta(
                description="An existing S3 bucket that `mngen submit --upload` writes to where "
                "the file system is not mounted. Containers may read "
                "`mngen/<name>/inputs/` in it, and fetch a job's inputs from there. The "
                "`outputs` of jobs go to `mngen/<name>/outputs/`.",
            ),
        ]
        | None,
        affects(Effect.IN_PLACE, Effect.JOBS),
    ] = None

    @property
    def fsx_mount(self) -> str | None:
        """Where nodes and containers have FSx for Lustre; None without it."""
        return None if self.fsx is None else self.fsx.mount

    @property
    def mounts(self) -> tuple[str, ...]:
        """Where nodes and containers have the shared file systems."""
        return tuple(filter(None, (self.efs.mount, self.fsx_mount)))


AmiId = Annotated[
    str,
    _text(
        "An AMI.",
        "the id of an AMI, such as ami-0123456789abcdef0",
        pattern=_id("ami"),
    ),
]


class BaseAmis(Section, frozen=True, kw_only=True):
    """AMIs of your own to bake from, made of an ECS-optimized AMI of `base`.

    Each has /dev/xvda as its root device, of 30 GiB at most, and the user ec2-user. Default: the
    newest ECS-optimized AMI.
    """

    x86_64: Annotated[
        Annotated[AmiId, Meta(description="For types with Intel's or AMD's processors.")] | None,
        affects(Effect.BAKE),
    ] = None
    arm64: Annotated[
        Annotated[AmiId, Meta(description="For types with Graviton processors.")] | None,
        affects(Effect.BAKE),
    ] = None
    gpu: Annotated[
        Annotated[
            AmiId,
            Meta(
                description="For types whose GPUs jobs can use: made of the GPU-optimized AMI, "
                "with the kernel and drivers that fit each other."
            ),
        ]
        | None,
        affects(Effect.BAKE),
    ] = None

    def of(self, kind: str) -> str | None:
        """Returns the AMI of a kind, `x86_64`, `arm64` or `x86_64-gpu`; None for the newest."""
        return {"x86_64": self.x86_64, "arm64": self.arm64}.get(kind, self.gpu)


class Image(Section, frozen=True, kw_only=True):
    """The AMIs."""

    base: Annotated[
        Literal["amazon-linux-2023", "amazon-linux-2"],
        Meta(description="The ECS-optimized image to start from."),
        affects(Effect.BAKE, Effect.INSTANCES),
    ] = "amazon-linux-2023"
    base_amis: BaseAmis = BaseAmis()
    connect: Annotated[
        Annotated[
            Literal["public-ip", "private-ip", "session-manager"],
            Meta(
                description="How the instance that an image is made of is reached while it is "
                "baked: over SSH at its public address, at its private one (from within the "
                "network, or a VPN), or through Session Manager, with no port open. Default: "
                "public-ip in the default VPC, session-manager elsewhere.",
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    ssh_from: Annotated[
        tuple[Cidr, ...],
        Meta(
            description="IPv4 ranges that may reach that instance's port 22 while an image is "
            "baked. Default: the address that you bake from.",
            max_length=20,
        ),
        affects(Effect.NONE),
    ] = ()
    efa_installer: Annotated[
        Annotated[
            str,
            _text(
                "Folder of an S3 bucket of this region with the EFA installer, its signature "
                "and key, for images that are baked without a way to the internet. Default: "
                "downloaded from AWS.",
                "a folder of an S3 bucket, ending with a slash, such as s3://my-software/efa/",
                pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([A-Za-z0-9._-]{1,64}/){0,8}\Z",
                examples=("s3://my-software/efa/",),
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    efa_version: Annotated[
        Annotated[
            str,
            _text(
                "Version of the EFA installer. Default: one that was tested with the base, which "
                "is the last that supports it for amazon-linux-2.",
                "a version of the EFA installer, such as 1.49.0",
                pattern=r"^1\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\Z",
                examples=("1.49.0",),
            ),
        ]
        | None,
        affects(Effect.BAKE),
    ] = None
    packages: Annotated[
        tuple[PackageName, ...],
        Meta(
            description="Packages to install in every AMI, with their signatures checked.",
            max_length=100,
        ),
        affects(Effect.BAKE),
    ] = ()
    playbooks: Annotated[
        tuple[PlaybookPath, ...],
        Meta(
            description="Ansible playbooks of your own, which run in every bake in this order: "
            "after mngen's and `packages`, before the AMI is verified. Each may use all files of "
            "its folder, which are part of the rendered tree.",
            max_length=20,
        ),
        affects(Effect.BAKE),
    ] = ()
    preload: Annotated[
        bool,
        Meta(
            description="Put the container images of the jobs into the AMIs: nodes then fetch only "
            "what changed since the bake. Needs a pushed image. `mngen apply` gives the role that "
            "mngen creates for builders the permissions to pull, so apply before the bake; a "
            "`roles.instance_profile` of your own needs them from you.",
        ),
        affects(Effect.BAKE, Effect.IN_PLACE),
    ] = False
    kms_key: Annotated[
        Annotated[
            str,
            _key(
                "KMS key with which the volumes of nodes and builders and the snapshots of images "
                "are encrypted. Default: the account's default key for EBS.",
            ),
        ]
        | None,
        affects(Effect.BAKE, Effect.INSTANCES),
    ] = None


class Roles(Section, frozen=True, kw_only=True):
    """IAM roles; what is not given is created for this deployment."""

    service: Annotated[
        str,
        _text(
            "Role that AWS Batch acts with: `service-linked`, `create` or an ARN. With anything "
            "but `service-linked`, a changed image or instance type replaces the compute "
            "environment.",
            "`service-linked`, `create` or the ARN of an IAM role",
            pattern=rf"^(service-linked|create|{ROLE_ARN[1:]})\Z",
        ),
        affects(Effect.ENVIRONMENT),
    ] = "service-linked"
    instance_profile: Annotated[
        str,
        _text(
            "Instance profile of the nodes: `create` or an ARN.",
            "`create` or the ARN of an instance profile",
            pattern=rf"^(create|{_ARN[1:]}instance-profile/[A-Za-z0-9+=,.@_/-]{{1,512}})\Z",
        ),
        affects(Effect.INSTANCES),
    ] = "create"
    instance_policies: Annotated[
        tuple[PolicyArn, ...],
        Meta(
            description="Policies of the role that is created for the nodes, beside the one that "
            "the ECS agent needs; none by default. Containers of single-node jobs can use them "
            "too, those of multi-node jobs cannot.",
            # A role takes 10, and one is attached already.
            # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
            max_length=9,
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    spot_fleet: Annotated[
        str,
        _text(
            "Role of the Spot fleet, needed by Spot environments that allocate by `best-fit`: "
            "`none`, `create` or an ARN.",
            "`none`, `create` or the ARN of an IAM role",
            pattern=rf"^(none|create|{ROLE_ARN[1:]})\Z",
        ),
        affects(Effect.ENVIRONMENT),
    ] = "none"
    job: Annotated[
        str,
        _text(
            "Role that the containers run with: `create`, `none` or an ARN. A job's own `role` "
            "comes before it.",
            "`create`, `none` or the ARN of an IAM role",
            pattern=rf"^(none|create|{ROLE_ARN[1:]})\Z",
        ),
        affects(Effect.JOBS),
    ] = "create"
    execution: Annotated[
        str,
        _text(
            "Role with which the ECS agent reads the secrets of jobs and the credentials of "
            "registries: `create` or an ARN. It is created only if jobs have them; programs in "
            "containers do not get it.",
            "`create` or the ARN of an IAM role",
            pattern=rf"^(create|{ROLE_ARN[1:]})\Z",
        ),
        affects(Effect.JOBS),
    ] = "create"
    secret_keys: Annotated[
        tuple[KmsKeyArn, ...],
        Meta(
            description="KMS keys of your own with which secrets of jobs are encrypted. The role "
            "that is created may decrypt with them.",
            max_length=20,
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    job_policies: Annotated[
        tuple[PolicyArn, ...],
        Meta(
            description="Policies of the role that is created for the containers; none by default.",
            max_length=10,
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    permissions_boundary: Annotated[
        Annotated[PolicyArn, Meta(description="Permissions boundary of every created role.")]
        | None,
        affects(Effect.IN_PLACE),
    ] = None


Allocation = Literal[
    "best-fit-progressive",
    "best-fit",
    "spot-capacity-optimized",
    "spot-price-capacity-optimized",
]


class ExistingGroup(Section, frozen=True, kw_only=True):
    """A placement group that exists, which mngen does not manage."""

    existing: Annotated[
        str,
        _text(
            "Name of a placement group with the cluster strategy.",
            "the name of a placement group: 1 to 255 printable ASCII characters",
            pattern=r"^[!-~]([ -~]{0,253}[!-~])?\Z",
        ),
    ]


class Capacity(Section, frozen=True, kw_only=True):
    """What the instances run in of what is reserved in EC2; exactly one key."""

    reservation: Annotated[
        Annotated[
            ReservationId,
            Meta(
                description="Id of an on-demand capacity reservation, of this account or shared "
                "with it. EC2 starts no instance outside it."
            ),
        ]
        | None,
        affects(Effect.ENVIRONMENT),
    ] = None
    group: Annotated[
        Annotated[
            str,
            _text(
                "Name or ARN of a resource group of capacity reservations. EC2 uses what matches "
                "in it, and buys on demand what is not reserved.",
                "the name or the ARN of a resource group, such as training",
                # Source: botocore's model of Resource Groups, `GroupStringV2`.
                pattern=rf"^({_GROUP_ARN})?{_GROUP_NAME}\Z",
                examples=("training",),
            ),
        ]
        | None,
        affects(Effect.ENVIRONMENT),
    ] = None
    block: Annotated[
        Annotated[
            ReservationId,
            Meta(
                description="Id of a capacity block for ML. Jobs wait for it to begin. EC2 ends "
                "instances 30 minutes before it ends; then name another block, or remove the "
                "environment."
            ),
        ]
        | None,
        affects(Effect.ENVIRONMENT),
    ] = None

    @property
    def id(self) -> str | None:
        """The id of the reservation or of the block; None for a group."""
        return self.reservation or self.block


class Environment(Section, frozen=True, kw_only=True):
    """A compute environment: which instances, how many, how they are bought and placed."""

    instance: Annotated[InstanceTypeName, affects(Effect.NEW_AMI, Effect.INSTANCES, Effect.JOBS)]
    alternatives: Annotated[
        tuple[InstanceTypeName, ...],
        Meta(
            description="Further types that AWS Batch may start in place of `instance`, for "
            "single-node jobs (`multi_node: false`). They have its architecture, cores, vCPUs and "
            "GPUs; their memory may differ: jobs without `memory` fit the least.",
            max_length=20,
        ),
        affects(Effect.INSTANCES, Effect.JOBS),
    ] = ()
    max_nodes: Annotated[
        int,
        Meta(description="Most instances at a time; max_vcpus follows from it.", ge=1, le=10_000),
        affects(Effect.IN_PLACE),
    ]
    min_nodes: Annotated[
        int,
        Meta(description="Instances kept running, and paid for, without jobs.", ge=0, le=10_000),
        affects(Effect.IN_PLACE),
    ] = 0
    hyperthreading: Annotated[
        Annotated[
            bool,
            Meta(
                description="false: one thread a core; the image limits nr_cpus to the cores. "
                "Default: false, and true where jobs can use the GPUs of the type."
            ),
        ]
        | None,
        affects(Effect.NEW_AMI, Effect.INSTANCES, Effect.JOBS),
    ] = None
    cpus: Annotated[
        Annotated[
            int,
            Meta(
                description="CPUs of a node, at most the cores of the type: the image limits "
                "nr_cpus to them. Fewer than the cores leave the others unused. Default: the "
                "cores, or all threads with `hyperthreading: true`.",
                ge=1,
                le=1024,
            ),
        ]
        | None,
        affects(Effect.NEW_AMI, Effect.INSTANCES, Effect.JOBS),
    ] = None
    image: Annotated[
        Annotated[
            str,
            _text(
                "An existing AMI, used instead of one that `mngen bake` makes. It must mount the "
                "file system and `scratch`, run as many CPUs as follow from `cpus` and "
                "`hyperthreading`, and have the system in `image.base`, and NVIDIA's drivers for "
                "GPUs. Bake before you "
                "remove this key.",
                "the id of an AMI, such as ami-0123456789abcdef0",
                pattern=_id("ami"),
            ),
        ]
        | None,
        affects(Effect.NEW_AMI, Effect.INSTANCES),
    ] = None
    multi_node: Annotated[
        bool,
        Meta(description="Takes multi-node parallel jobs; false: single-node jobs only."),
        affects(Effect.ENVIRONMENT),
    ] = True
    purchase: Annotated[
        Literal["on-demand", "spot"],
        Meta(description="Spot takes single-node jobs only: AWS Batch runs no other there."),
        affects(Effect.INSTANCES),
    ] = "on-demand"
    bid_percentage: Annotated[
        Annotated[
            int,
            Meta(
                description="Highest Spot price, in percent of the on-demand price. Default: 100.",
                ge=1,
                le=100,
            ),
        ]
        | None,
        affects(Effect.INSTANCES),
    ] = None
    placement_group: Annotated[
        Annotated[
            ResourceName | bool | ExistingGroup,
            Meta(
                description="Name of a cluster placement group; environments of the same zone may "
                "share one. true: its own group. {existing: NAME}: one that exists, with the name "
                "that it has in AWS. Default: true for multi-node without `capacity`, false "
                "otherwise.",
            ),
        ]
        | None,
        affects(Effect.ENVIRONMENT),
    ] = None
    capacity: (
        Annotated[
            Capacity,
            Meta(
                description="Capacity that is reserved in EC2: {reservation: ID}, {group: NAME} or "
                "{block: ID}. Without it, instances are started on demand, also in `open` "
                "reservations that match."
            ),
        ]
        | None
    ) = None
    zones: Annotated[
        tuple[ZoneName, ...],
        Meta(
            description="Zones of the instances. Multi-node takes one, the network's first by "
            "default; single-node takes all by default.",
            max_length=6,
        ),
        affects(Effect.INSTANCES),
    ] = ()
    efa: Annotated[
        bool,
        Meta(description="Elastic Fabric Adapter, on the types that have it."),
        affects(Effect.NEW_AMI, Effect.INSTANCES, Effect.JOBS),
    ] = False
    scratch: Annotated[
        Annotated[
            str,
            _text(
                "Where nodes have scratch space, on the host and in the container: one file system "
                "over all NVMe instance-store disks, which is empty at every boot. Jobs see it "
                "if all environments of their queue have it at the same path.",
                "an absolute path of letters, digits, _ and /, such as /scratch",
                pattern=r"^(/[A-Za-z0-9_]{1,32}){1,4}\Z",
                examples=("/scratch",),
            ),
        ]
        | None,
        affects(Effect.NEW_AMI, Effect.INSTANCES, Effect.JOBS),
    ] = None
    allocation: Annotated[
        Annotated[
            Allocation,
            Meta(
                description="How Batch chooses instances. Default: best-fit-progressive on demand, "
                "spot-capacity-optimized on Spot, best-fit with `capacity`. `best-fit` waits for "
                "the type that fits best, and replaces the environment when its image changes.",
            ),
        ]
        | None,
        affects(Effect.ENVIRONMENT),
    ] = None
    root_volume: Annotated[
        int,
        Meta(description="Size of the encrypted root volume, in GiB.", ge=30, le=16_384),
        affects(Effect.INSTANCES),
    ] = 64

    @property
    def types(self) -> tuple[str, ...]:
        """The types that AWS Batch may start, `instance` first."""
        return (self.instance, *self.alternatives)


class CancelAfter(Section, frozen=True, kw_only=True):
    """When Batch cancels a job that heads the queue and cannot be placed, in seconds."""

    capacity: Annotated[
        Annotated[
            int,
            Meta(
                description="No capacity for the instance type. Default: the job waits.",
                ge=600,
                le=86_400,
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    misconfiguration: Annotated[
        Annotated[
            int,
            Meta(
                description="The job asks for more than its environments can ever give. "
                "null: the job waits.",
                ge=600,
                le=86_400,
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = 600


class Shares(Section, frozen=True, kw_only=True):
    """How a queue is shared: jobs of those who used less come first."""

    # The limits: https://docs.aws.amazon.com/batch/latest/APIReference/API_FairsharePolicy.html
    weights: Annotated[
        dict[
            Share,
            Annotated[
                float,
                Meta(
                    description="By what the use is multiplied: a share with 0.5 gets twice as "
                    "much as one with 1.",
                    ge=0.0001,
                    le=999.9999,
                ),
            ],
        ],
        Meta(
            description="Weights of shares, such as {alice: 0.5, physics*: 2}. Lower gets more; "
            "shares that are not named have 1.",
            max_length=500,
        ),
        affects(Effect.IN_PLACE),
    ] = {}
    decay: Annotated[
        int,
        Meta(
            description="Seconds over which past use counts; recent use counts more.",
            ge=600,
            le=604_800,
        ),
        affects(Effect.IN_PLACE),
    ] = 86_400
    reserve: Annotated[
        int,
        Meta(
            description="Percent of the vCPUs that are kept for other shares while one share is "
            "active: it has jobs, or `decay` has not passed since; with two it is the square of "
            "that part, and so on. No job can use what is kept.",
            ge=0,
            le=99,
        ),
        affects(Effect.IN_PLACE),
    ] = 0


class Queue(Section, frozen=True, kw_only=True):
    """A job queue over one to three compute environments."""

    environments: Annotated[
        tuple[str, ...],
        Meta(description="Names of environments, tried in this order.", min_length=1, max_length=3),
        affects(Effect.IN_PLACE),
    ]
    priority: Annotated[
        int,
        Meta(description="Queues with a higher number are served first.", ge=0, le=1000),
        affects(Effect.IN_PLACE),
    ] = 1
    enabled: Annotated[
        bool, Meta(description="false: takes no new jobs."), affects(Effect.IN_PLACE)
    ] = True
    cancel_after: CancelAfter = CancelAfter()
    aws_name: Annotated[
        Annotated[
            AwsName,
            Meta(description="Name of the queue in AWS Batch. Default: <deployment>-<queue>."),
        ]
        | None,
        affects(Effect.QUEUE),
    ] = None
    legacy: Annotated[
        tuple[ComputeEnvironmentArn, ...],
        Meta(
            description="Existing compute environments behind `environments`, which mngen does not "
            "manage: at most 3 in all. With one, the queue exists before the first AMI is baked; "
            "removed before that, the queue is deleted.",
            max_length=3,
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    shares: Annotated[
        Annotated[
            Shares,
            Meta(
                description="Fair-share scheduling: {} for equal shares. Each job is submitted in "
                "a share, by default its submitter's (`mngen submit --share`). Default: first in, "
                "first out.",
            ),
        ]
        | None,
        affects(Effect.SCHEDULING),
    ] = None
    scheduling_policy: Annotated[
        Annotated[
            SchedulingPolicyArn,
            Meta(description="Existing fair-share scheduling policy, in place of `shares`."),
        ]
        | None,
        affects(Effect.SCHEDULING),
    ] = None
    protect: Annotated[
        bool,
        Meta(
            description="Refuse a plan that would delete or replace the queue. Goes with its "
            "entry: without that, the queue is deleted."
        ),
        affects(Effect.NONE),
    ] = False

    @property
    def is_fair(self) -> bool:
        """Whether it has a scheduling policy, so that each job needs a share."""
        return self.shares is not None or self.scheduling_policy is not None


class Container(Section, frozen=True, kw_only=True):
    """The container image of the jobs."""

    repository: Annotated[
        str,
        _text(
            "Name of the ECR repository, created as <name>/<repository>.",
            "2 to 128 lower-case letters, digits and single . _ - / between them",
            pattern=r"^(?=.{2,128}\Z)[a-z0-9]+([._/-][a-z0-9]+)*\Z",
        ),
        affects(Effect.REPOSITORY, Effect.JOBS),
    ] = "mpi"
    tag: Annotated[
        str,
        _text(
            "Tag of the image; tags are immutable, so a new image takes a new tag.",
            "1 to 128 letters, digits and . _ -, not starting with . or -",
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z",
        ),
        affects(Effect.JOBS),
    ] = "v1"
    image: Annotated[
        Annotated[
            str,
            _text(
                "An image elsewhere, with its tag or digest; no repository is created then.",
                "the reference of a container image, such as docker.io/me/app:v1.1",
                pattern=r"^(?=.{1,512}\Z)[A-Za-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?"
                r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?\Z",
            ),
        ]
        | None,
        affects(Effect.REPOSITORY, Effect.JOBS),
    ] = None
    aws_name: Annotated[
        Annotated[
            str,
            _text(
                "Name of the ECR repository in place of <deployment>/<repository>, for one that "
                "exists. Its settings stay as they are, and it is never deleted with images.",
                "2 to 256 lower-case letters, digits and single . _ - / between them",
                pattern=r"^(?=.{2,256}\Z)[a-z0-9]+([._-][a-z0-9]+)*"
                r"(/[a-z0-9]+([._-][a-z0-9]+)*)*\Z",
            ),
        ]
        | None,
        affects(Effect.REPOSITORY, Effect.JOBS),
    ] = None
    registry_credentials: Annotated[
        Annotated[
            SecretArn,
            Meta(
                description="Secret with the user name and password of the registry of `image`: "
                '`{"username": "…", "password": "…"}`.'
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    protect: Annotated[
        bool,
        Meta(
            description="Refuse a plan that would delete or replace the repository, unless "
            "`image` takes its place."
        ),
        affects(Effect.NONE),
    ] = False


EnvironmentVariables = dict[str, str]
_IN_MANAGER = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}"
SecretArn = Annotated[
    str,
    _text(
        "A secret of Secrets Manager.",
        "the ARN of a secret of Secrets Manager",
        pattern=rf"^{_IN_MANAGER}\Z",
        examples=("arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf",),
    ),
]
SecretPlace = Annotated[
    str,
    _text(
        "Where the value of a variable is: a secret of Secrets Manager, or a parameter of Systems "
        "Manager.",
        "the ARN of a secret, perhaps with :JSON-KEY:STAGE:VERSION, or the ARN or the name of a "
        "parameter of Systems Manager",
        # https://docs.aws.amazon.com/batch/latest/userguide/specifying-sensitive-data-secrets.html
        pattern=rf"^({_IN_MANAGER}(:[A-Za-z0-9/_+=.@ -]{{0,128}}:[A-Za-z0-9/_+=.@-]{{0,256}}"
        r":[A-Za-z0-9-]{0,64})?"
        r"|arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]{1,1011}"
        r"|/?[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,1010})\Z",
        examples=(
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab-AbCdEf:token::",
            "/lab/token",
        ),
    ),
]
SecretName = Annotated[
    str,
    _text(
        "Name of an environment variable.",
        "1 to 255 letters, digits and underscores, not starting with a digit",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}\Z",
    ),
]
KmsKeyArn = Annotated[str, _key("A KMS key.")]
UlimitName = Literal[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
]
UlimitValue = Annotated[
    int,
    Meta(
        description="A limit in the unit of setrlimit: bytes, files, processes, …; -1 for none.",
        # AWS's type is a 32-bit integer.
        ge=-1,
        le=2**31 - 1,
    ),
]
TmpfsOption = Annotated[
    str,
    _text(
        "A mount option of a tmpfs, which AWS Batch takes.",
        "a mount option of tmpfs that AWS Batch takes, such as noexec, or mode=1777",
        # What binds, moves or remounts makes no new file system. The names are those of
        # https://docs.aws.amazon.com/batch/latest/APIReference/API_Tmpfs.html
        pattern=r"^(defaults|ro|rw|suid|nosuid|dev|nodev|exec|noexec|sync|async|dirsync|mand|nomand"
        r"|atime|noatime|diratime|nodiratime|relatime|norelatime|strictatime|nostrictatime"
        r"|mode=[0-7]{3,4}|(uid|gid)=[0-9]{1,9}|(nr_inodes|nr_blocks)=[0-9]{1,9}[kmg]?"
        r"|mpol=[a-z0-9:=,-]{1,64})\Z",
    ),
]
ContainerPath = Annotated[
    str,
    _text(
        "A place in the container.",
        "an absolute path without . and .., of letters, digits and . _ @ + - /, such as /data",
        pattern=r"^(?!.*/\.\.?(/|\Z))(/[A-Za-z0-9._@+-]{1,255}){1,16}\Z",
    ),
]
HostPath = Annotated[
    str,
    _text(
        "A file or folder of the node.",
        "an absolute path without . and .., of letters, digits and . _ @ + - /, such as /scratch",
        pattern=r"^(?!.*/\.\.?(/|\Z))(/|(/[A-Za-z0-9._@+-]{1,255}){1,16})\Z",
    ),
]

OutputsPath = Annotated[
    str,
    _text(
        "A folder in the container, with `{job}` for the ID of the job.",
        "an absolute path without . and .., of letters, digits, {job} and . _ @ + - /, such as "
        "/efs/runs/{job}",
        pattern=r"^(?!.*/\.\.?(/|\Z))(/([A-Za-z0-9._@+-]|\{job\}){1,128}){1,16}\Z",
        examples=("/efs/runs/{job}",),
    ),
]


class Ulimit(Section, frozen=True, kw_only=True):
    """A limit of the container's processes."""

    soft: UlimitValue
    hard: UlimitValue


class Tmpfs(Section, frozen=True, kw_only=True):
    """A file system in memory, which counts in the job's memory as far as it is full."""

    path: ContainerPath
    size: Annotated[int, Meta(description="Size in MiB.", ge=1, le=2**31 - 1)]
    options: Annotated[
        tuple[TmpfsOption, ...], Meta(description="Its mount options.", max_length=32)
    ] = ()


class Mount(Section, frozen=True, kw_only=True):
    """A file or folder of the node in the container."""

    host: HostPath
    path: ContainerPath
    read_only: Annotated[bool, Meta(description="Whether the container may only read it.")] = False


# White space is a space or a tab: the AWS provider takes no other beyond ASCII, and a line break is
# in no reason. https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
_REASON = r"^[A-Za-z0-9.: \t]{1,511}\*?\Z|^\*\Z"
ReasonPattern = Annotated[
    str,
    _text(
        "How a reason in AWS Batch reads, or with `*` at the end, how it begins.",
        "letters, digits, spaces, . and :, with * at the end only",
        pattern=_REASON,
        examples=("DockerTimeoutError*",),
    ),
]


class RetryCondition(Section, frozen=True, kw_only=True):
    """What an attempt of a job shows where it is tried again: all that is given here."""

    exit_code: (
        Annotated[
            str,
            _text(
                "Exit code of the main node, or with `*` at the end, how it begins.",
                'digits in quotes, with * at the end only, such as "13*"',
                pattern=r"^[0-9]{1,3}\*?\Z",
            ),
        ]
        | None
    ) = None
    reason: (
        Annotated[ReasonPattern, Meta(description="Why the main node's container ended.")] | None
    ) = None
    status_reason: Annotated[ReasonPattern, Meta(description="Why the attempt ended.")] | None = (
        None
    )


RetryReason = Literal["lost-host", "lost-node", "inputs", "image-pull"]
Retried = RetryReason | Annotated[int, Meta(ge=1, le=255)] | RetryCondition
"""What is tried again: a reason by its name, an exit code, or a condition in Batch's words."""


Launcher = Literal["openmpi", "intelmpi", "mpich", "main", "none", "torchrun"]
LAUNCHERS_WITHOUT_MPIRUN: tuple[Launcher, ...] = ("main", "none", "torchrun")
"""Launchers that start the job's command, which has to start ranks itself if there are any."""


NodeRange = Annotated[
    str,
    _text(
        "A node range, as AWS Batch writes it: the first and the last node, counted from 0.",
        'a node range in quotes, such as "0:0" for the main node, "1:8", or "1:" for the rest',
        pattern=r"^[0-9]{1,3}:[0-9]{0,3}\Z",
        examples=("0:0", "1:"),
    ),
]
_THAT_OF_JOB = "Default: that of the job."


class NodeGroup(Section, frozen=True, kw_only=True):
    """A node group: nodes of a job with their own command, image or resources.

    Each key but `nodes` takes the place of that of the job.
    """

    nodes: Annotated[NodeRange, affects(Effect.JOBS)]
    command: Annotated[
        Annotated[
            tuple[str, ...],
            Meta(
                description="Program and arguments of these nodes; with launcher `main`, of the "
                "main node, or of nodes that run them beside the main node's command. "
                f"{_THAT_OF_JOB}",
                min_length=1,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    vcpus: Annotated[
        Annotated[int, Meta(description=f"vCPUs of each node. {_THAT_OF_JOB}", ge=1)] | None,
        affects(Effect.JOBS),
    ] = None
    memory: Annotated[
        Annotated[int, Meta(description=f"Memory of each node in MiB. {_THAT_OF_JOB}", ge=4)]
        | None,
        affects(Effect.JOBS),
    ] = None
    gpus: Annotated[
        Annotated[
            int,
            Meta(description=f"GPUs of each node; 0 for none. {_THAT_OF_JOB}", ge=0, le=1024),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    shared_memory: Annotated[
        Annotated[int, Meta(description=f"Size of /dev/shm in MiB. {_THAT_OF_JOB}", ge=1)] | None,
        affects(Effect.JOBS),
    ] = None
    ranks_per_node: Annotated[
        Annotated[
            int,
            Meta(
                description=f"MPI ranks on each node, or processes of torchrun. {_THAT_OF_JOB}",
                ge=1,
                le=1024,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    threads_per_rank: Annotated[
        Annotated[
            int,
            Meta(
                description="Threads of each rank: OMP_NUM_THREADS. Where groups differ in it, "
                f"Open MPI binds no ranks. {_THAT_OF_JOB}",
                ge=1,
                le=1024,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    environment: Annotated[
        EnvironmentVariables,
        Meta(description="Environment variables besides those of the job, or in their place."),
        affects(Effect.JOBS),
    ] = {}
    registry_credentials: Annotated[
        Annotated[
            SecretArn,
            Meta(
                description="Secret with the user name and password of the registry of `image`. "
                "Default, without `image`: that of the job."
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    image: Annotated[
        Annotated[
            str,
            Meta(
                description=f"Container image, with the wire-up in it. {_THAT_OF_JOB}",
                min_length=1,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None

    def bounds(self, nodes: int) -> tuple[int, int]:
        """Returns the first and the last node.

        Args:
            nodes: Nodes of the job, for a range with an open end.
        """
        first, _, last = self.nodes.partition(":")
        return int(first), int(last) if last else nodes - 1


class Job(Section, frozen=True, kw_only=True):
    """A job definition."""

    queue: Annotated[
        str, Meta(description="Name of the queue that the job is meant for."), affects(Effect.JOBS)
    ]
    command: Annotated[Command, affects(Effect.JOBS)] = ()
    definition: Annotated[
        Annotated[
            str,
            _text(
                "JSON file of a job definition that is registered as it is, by its path from the "
                "spec: what `aws batch register-job-definition --cli-input-json` takes, or one "
                "entry of what `describe-job-definitions` prints. Excludes the other keys, except "
                "`queue`, `after`, `share`, `aws_name` and `protect`.",
                "the path of a JSON file: 1 to 1024 characters, none of them a control character",
                pattern=r"^[^\x00-\x1f\x7f]{1,1024}\Z",
                examples=("definitions/wave.json",),
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    nodes: Annotated[
        Annotated[
            int,
            Meta(
                description="Nodes of a multi-node parallel job. Default: a single-node job.",
                ge=1,
                le=1000,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    groups: Annotated[
        dict[ResourceName, NodeGroup],
        Meta(
            description="Node groups of a multi-node job: nodes with their own command, image "
            "or resources, by name. Together they have all nodes, each once. Keys that "
            "a group does not have are those of the job.",
            # https://docs.aws.amazon.com/batch/latest/userguide/mnp-node-groups.html
            max_length=5,
        ),
        affects(Effect.JOBS),
    ] = {}
    vcpus: Annotated[
        Annotated[
            int,
            Meta(
                description="vCPUs of each node, as the ECS agent counts them: the cores, where "
                "hyper-threading is off. Default: all of the instance.",
                ge=1,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    memory: Annotated[
        Annotated[
            int,
            Meta(
                description="Memory of each node in MiB. Default: the instance's, less what the "
                "system keeps.",
                ge=4,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    gpus: Annotated[
        Annotated[
            int,
            Meta(
                description="GPUs of each node; 0 for none. Default: all of the instance.",
                ge=0,
                le=1024,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    shared_memory: Annotated[
        Annotated[
            int,
            Meta(
                description="Size of /dev/shm in MiB, which ranks on one node talk through. "
                "Default: a quarter of `memory`.",
                ge=1,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    ranks_per_node: Annotated[
        Annotated[
            int,
            Meta(
                description="MPI ranks on each node, or processes of torchrun. Default: one for "
                "each GPU of the job, or as many as there are CPUs for; if a single-node job has "
                "fewer `vcpus` than the instance, one for each core that it asks for.",
                ge=1,
                le=1024,
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    threads_per_rank: Annotated[
        Annotated[
            int,
            Meta(description="Threads of each rank: OMP_NUM_THREADS. Default: 1.", ge=1, le=1024),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    launcher: Annotated[
        Annotated[
            Launcher,
            Meta(
                description="What starts the ranks: the mpirun of Open MPI, Intel MPI or MPICH. "
                "`main` runs the command once, on the main node, with ssh to all nodes and "
                "hostfiles; `none` once on each node; `torchrun` in the processes that torchrun "
                "starts on each node. Default: openmpi.",
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    mpi_args: Annotated[
        tuple[str, ...],
        Meta(description="Further arguments of mpirun, such as [--bind-to, core]."),
        affects(Effect.JOBS),
    ] = ()
    environment: Annotated[
        EnvironmentVariables,
        Meta(
            description="Environment variables of the container; one that begins with MNGEN_ comes "
            "before what mngen itself would set.",
        ),
        affects(Effect.JOBS),
    ] = {}
    secrets: Annotated[
        dict[SecretName, SecretPlace],
        Meta(
            description="Environment variables whose values the ECS agent reads when the container "
            "starts: from Secrets Manager or from Systems Manager's parameters. Only where they "
            "are is in the job definition.",
            max_length=100,
        ),
        affects(Effect.JOBS),
    ] = {}
    registry_credentials: Annotated[
        Annotated[
            SecretArn,
            Meta(
                description="Secret with the user name and password of the registry of `image`. "
                "Default, without `image`: that of `container`."
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    ulimits: Annotated[
        dict[UlimitName, UlimitValue | Ulimit],
        Meta(
            description="Limits of processes, by name: {soft: N, hard: N}, or one number for both; "
            "-1 for none. Default: memlock -1 with EFA or GPUs; with GPUs also nofile 1024000 and "
            "stack 67108864.",
        ),
        affects(Effect.JOBS),
    ] = {}
    tmpfs: Annotated[
        tuple[Tmpfs, ...],
        Meta(
            description="File systems in memory: {path, size in MiB, options}. What is in them "
            "counts in `memory`.",
            max_length=16,
        ),
        affects(Effect.JOBS),
    ] = ()
    mounts: Annotated[
        tuple[Mount, ...],
        Meta(
            description="Further files and folders of the node in the container: {host, path, "
            "read_only}. The shared file system is always there.",
            max_length=16,
        ),
        affects(Effect.JOBS),
    ] = ()
    user: Annotated[
        Annotated[
            str,
            _text(
                "User that the container runs as, by name or number. Default: the image's.",
                "a user and perhaps a group, by names or numbers, such as mpi or 1000:1000",
                pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?\Z",
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    privileged: Annotated[
        bool,
        Meta(description="true: the container has all rights of root on the node."),
        affects(Effect.JOBS),
    ] = False
    shell: Annotated[
        bool,
        Meta(
            description="true: `mngen shell` opens shells in the containers of the running job, by "
            "ECS Exec. They run as root in the container. The role that mngen creates for jobs "
            "gets the permissions; your own `role` needs them from you."
        ),
        affects(Effect.JOBS),
    ] = False
    container_properties: Annotated[
        dict[str, Any],
        Meta(
            description="Further container properties, as AWS Batch names them, for what no other "
            "key sets, such as {readonlyRootFilesystem: true}. Volumes, mount points, devices and "
            "other Linux parameters are added to those of mngen.",
        ),
        affects(Effect.JOBS),
    ] = {}
    attempts: Annotated[
        int,
        Meta(description="How often the job is tried in all.", ge=1, le=10),
        affects(Effect.JOBS),
    ] = 1
    retry: Annotated[
        Annotated[
            tuple[Retried, ...],
            Meta(
                description="What is tried again, up to `attempts`: `lost-host` (the main node's "
                "instance is gone), `lost-node` (exit codes 66 and 67), `inputs` (70), "
                "`image-pull`, other exit codes, and {exit_code, reason, status_reason} as AWS "
                "Batch reports them. All else is final. Default: everything but exit codes 64 and "
                "65 is tried again, and of a job with `outputs` 71, their failed upload.",
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    outputs: Annotated[
        Annotated[
            OutputsPath,
            Meta(
                description="Folder in the container that is made before the command starts, and "
                "uploaded from the main node when it has ended: to `mngen/<name>/outputs/` in "
                "`storage.bucket`, from where `mngen fetch` downloads it. Without a bucket, it is "
                "a folder of the shared file system, from where `mngen fetch` copies it. The "
                "command has it in MNGEN_OUTPUTS.",
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    timeout: Annotated[
        int,
        Meta(description="Seconds after which an attempt is ended.", ge=60, le=31_536_000),
        affects(Effect.JOBS),
    ] = 86_400
    after: Annotated[
        # A text with limits beside a list crashes msgspec 0.22 when it forgets the type.
        str | Annotated[tuple[str, ...], Meta(max_length=20)],
        Meta(
            description="Jobs that must succeed before this one starts: a name, or a list of at "
            "most 20. `mngen submit --flow` submits them first. Nothing that is deployed depends "
            "on it.",
        ),
        affects(Effect.NONE),
    ] = ()
    share: Annotated[
        Annotated[
            str,
            _text(
                "Share that the job is submitted in, for a queue with a fair-share scheduling "
                "policy. `mngen submit --share` overrides it. Default: the submitter's user name. "
                "Nothing that is deployed depends on it.",
                "1 to 255 letters and digits",
                # https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html
                pattern=r"^[A-Za-z0-9]{1,255}\Z",
                examples=("wing",),
            ),
        ]
        | None,
        affects(Effect.NONE),
    ] = None
    image: Annotated[
        Annotated[str, Meta(description="Another container image for this job.", min_length=1)]
        | None,
        affects(Effect.JOBS),
    ] = None
    role: Annotated[
        Annotated[RoleArn, Meta(description="Role of this job's containers. Default: `roles.job`.")]
        | None,
        affects(Effect.JOBS),
    ] = None
    aws_name: Annotated[
        Annotated[
            AwsName,
            Meta(
                description="Name of the job definition in AWS Batch. Default: <deployment>-<job>."
            ),
        ]
        | None,
        affects(Effect.JOBS),
    ] = None
    protect: Annotated[
        bool,
        Meta(
            description="Refuse a plan that would deregister the job definition. Goes with its "
            "entry. Without `definition`, the retry strategy and the scheduling priority then stay "
            "as they are in AWS."
        ),
        affects(Effect.NONE),
    ] = False

    def __post_init__(self) -> None:
        """Refuses a job with nothing to run.

        Raises:
            ValueError: It has neither a definition nor a command for each node.
        """
        if self.command or self.definition is not None:
            return
        if not self.groups or any(group.command is None for group in self.groups.values()):
            raise ValueError("`command` is required without `definition`")

    @property
    def predecessors(self) -> tuple[str, ...]:
        """The names of the jobs in `after`, each once."""
        names = (self.after,) if isinstance(self.after, str) else self.after
        return tuple(dict.fromkeys(names))

    @property
    def parts(self) -> dict[str | None, Job]:
        """The job as each node group has it, by the group's name, in the order of their nodes.

        Of a job without groups, it is the job itself, by None.
        """
        if not self.groups:
            return {None: self}
        ordered = sorted(self.groups.items(), key=lambda each: each[1].bounds(self.nodes or 1))
        return {name: self._part(group) for name, group in ordered}

    def _part(self, group: NodeGroup) -> Job:
        own = {
            key: getattr(group, key)
            for key in group.__struct_fields__
            if key not in ("nodes", "environment") and getattr(group, key) is not None
        }
        if group.image is not None:
            # Those of the job are for its own image.
            own["registry_credentials"] = group.registry_credentials
        own["environment"] = {**self.environment, **group.environment}
        return replace(self, groups={}, **own)

    @classmethod
    def needed(cls, given: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the keys that are required because of those given, or missing."""
        if given.get("definition") is not None:
            return ()
        groups = given.get("groups")
        if isinstance(groups, dict) and groups:
            entries = groups.values()
            if all(isinstance(each, dict) and each.get("command") for each in entries):
                return ()
        return ("command",)


# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
Retention = Literal[
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
    "never",
]
DEFAULT_RETENTION = 90
"""Days for which a new log group keeps the output of jobs, unless the spec has others."""


class Logs(Section, frozen=True, kw_only=True):
    """Where the output of jobs goes."""

    group: Annotated[
        Annotated[
            LogGroupName,
            Meta(
                description="An existing log group, which mngen does not manage. Default: a new "
                "one, /mngen/<deployment>/jobs."
            ),
        ]
        | None,
        affects(Effect.LOGS, Effect.JOBS),
    ] = None
    retention: Annotated[
        Annotated[
            Retention,
            Meta(
                description="Days after which CloudWatch deletes the output of jobs, or `never`. "
                f"Only for a log group that mngen creates. Default: {DEFAULT_RETENTION}."
            ),
        ]
        | None,
        affects(Effect.RETENTION),
    ] = None


NotifyEvent = Literal["failed", "succeeded", "blocked"]
EmailAddress = Annotated[
    str,
    _text(
        "An e-mail address.",
        "an e-mail address of ASCII characters, such as lab@example.org",
        # What browsers accept, a subset of RFC 5322:
        # https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
        r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
        r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\Z",
        examples=("lab@example.org",),
    ),
]
WebhookUrl = Annotated[
    str,
    _text(
        "Address of a program that confirms a subscription of Amazon SNS.",
        "an https:// URL without user name and password",
        pattern=r"^https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[!-~]{0,1024})?\Z",
        examples=("https://hooks.example.org/batch",),
    ),
]


class Notify(Section, frozen=True, kw_only=True):
    """Messages about jobs, by Amazon SNS; off unless this is written."""

    events: Annotated[
        tuple[NotifyEvent, ...],
        Meta(
            description="What a message is sent about: a job that `failed` after its last attempt, "
            "one that `succeeded`, a queue that is `blocked` by the job at its head. AWS Batch "
            "sends no event about a compute environment that becomes INVALID.",
            min_length=1,
        ),
        affects(Effect.IN_PLACE),
    ] = ("failed", "blocked")
    emails: Annotated[
        tuple[EmailAddress, ...],
        Meta(
            description="E-mail addresses. Amazon SNS sends each a link, which must be opened "
            "within 48 hours to confirm the subscription.",
            max_length=50,
        ),
        affects(Effect.NOTIFY),
    ] = ()
    webhooks: Annotated[
        tuple[WebhookUrl, ...],
        Meta(
            description="URLs that Amazon SNS posts messages to. The program there must confirm "
            "the subscription. The Terraform state shows the URL: keep tokens out of it.",
            max_length=50,
        ),
        affects(Effect.NOTIFY),
    ] = ()
    topic: Annotated[
        Annotated[
            str,
            _text(
                "An existing SNS topic of the same account, in place of a new one; its policy must "
                "let EventBridge publish. FIFO topics cannot be targets of EventBridge.",
                "the ARN of an SNS topic that is not FIFO",
                pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}\Z",
                examples=("arn:aws:sns:us-east-1:123456789012:lab",),
            ),
        ]
        | None,
        affects(Effect.NOTIFY),
    ] = None
    kms_key: Annotated[
        Annotated[
            str,
            _key(
                "Key that encrypts messages in the new topic. Its policy must let "
                "events.amazonaws.com use kms:Decrypt and kms:GenerateDataKey*. Default: none."
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None


Submitter = Annotated[
    str,
    _text(
        "A role, group or user of IAM, as its name or as its path and name.",
        "a name in IAM, or its path and name, such as hpc/submitters",
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        # A path has 512 characters, with its first slash; the longest names are those of groups.
        pattern=r"^(?=.{1,639}\Z)([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}\Z",
        examples=("submitters", "hpc/submitters"),
    ),
]


class DenySubmit(Section, frozen=True, kw_only=True):
    """Who may no longer submit jobs once costs exceed the budget; no one unless this is written.

    AWS Budgets attaches a policy that denies `batch:SubmitJob` to the deployment's queues. Jobs
    that are submitted already go on.
    """

    at: Annotated[
        int,
        Meta(
            description="Percentage of `monthly`; when costs exceed it, the policy is attached. "
            "AWS updates costs up to three times a day.",
            ge=1,
            le=1_000_000,
        ),
        affects(Effect.IN_PLACE),
    ] = 100
    # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_IamActionDefinition.html
    roles: Annotated[
        tuple[Submitter, ...],
        Meta(
            description="Roles that submit jobs. IAM protects those of IAM Identity Center.",
            max_length=100,
        ),
        affects(Effect.IN_PLACE),
    ] = ()
    groups: Annotated[
        tuple[Submitter, ...],
        Meta(description="Groups of users who submit jobs.", max_length=100),
        affects(Effect.IN_PLACE),
    ] = ()
    users: Annotated[
        tuple[Submitter, ...],
        Meta(description="Users who submit jobs.", max_length=100),
        affects(Effect.IN_PLACE),
    ] = ()
    policy: Annotated[
        Annotated[
            PolicyArn,
            Meta(
                description="An existing policy that denies `batch:SubmitJob` to the queues, in "
                "place of a new one: the user who applies then needs no permission to create one."
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None
    role: Annotated[
        Annotated[
            RoleArn,
            Meta(
                description="An existing role with which AWS Budgets attaches the policy, in place "
                "of a new one."
            ),
        ]
        | None,
        affects(Effect.IN_PLACE),
    ] = None

    @property
    def by_kind(self) -> dict[str, tuple[Submitter, ...]]:
        """Who is denied, by `role`, `group` and `user`, as ARNs have it; no kind without any."""
        kinds = {"role": self.roles, "group": self.groups, "user": self.users}
        return {kind: given for kind, given in kinds.items() if given}


class Budget(Section, frozen=True, kw_only=True):
    """A budget for the deployment's costs in AWS Budgets; off unless this is written."""

    monthly: Annotated[
        int,
        Meta(
            description="Costs of a month, in USD; in the China regions in CNY. AWS Billing counts "
            "what has the tag `mngen:deployment`, once you activate it for cost allocation.",
            ge=1,
            le=1_000_000_000,
        ),
        affects(Effect.IN_PLACE),
    ]
    emails: Annotated[
        tuple[EmailAddress, ...],
        # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Notification.html
        Meta(description="Addresses that get the alerts.", min_length=1, max_length=10),
        affects(Effect.IN_PLACE),
    ]
    alerts: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=1_000_000)], ...],
        Meta(
            description="Percentages of `monthly`; when costs exceed one, an e-mail is sent. AWS "
            "updates costs up to three times a day, and alerts stop nothing.",
            min_length=1,
            max_length=10,
        ),
        affects(Effect.IN_PLACE),
    ] = (80, 100)
    deny_submit: DenySubmit | None = None


Tags = Annotated[
    dict[
        Annotated[
            str,
            _text(
                "Key of a tag.",
                "1 to 128 letters, digits, spaces and _ . : / = + - @, not starting with aws:",
                pattern=r"^(?![Aa][Ww][Ss]:)[\w .:/=+@-]{1,128}\Z",
            ),
        ],
        Annotated[
            str,
            _text(
                "Value of a tag.",
                "at most 256 letters, digits, spaces and _ . : / = + - @",
                pattern=r"^[\w .:/=+@-]{0,256}\Z",
            ),
        ],
    ],
    Meta(description="Tags on every resource.", max_length=40),
]


class Spec(Section, frozen=True, kw_only=True):
    """A whole mngen.yaml."""

    name: Annotated[DeploymentName, affects(Effect.RENAMED)]
    region: Annotated[RegionName, affects(Effect.DEPLOYMENT)]
    account: Annotated[
        Annotated[
            str,
            _text(
                "The only AWS account that this may be applied to.",
                "the 12 digits of an AWS account, in quotes",
                pattern=r"^[0-9]{12}\Z",
            ),
        ]
        | None,
        affects(Effect.NONE),
    ] = None
    provider: Annotated[
        Literal[5, 6],
        Meta(description="Major version of the Terraform AWS provider."),
        affects(Effect.INIT),
    ] = 6
    tags: Annotated[Tags, affects(Effect.INSTANCES)] = {}
    state: State | None = None
    network: Network = Network()
    storage: Storage = Storage()
    image: Image = Image()
    roles: Roles = Roles()
    environments: Annotated[
        dict[ResourceName, Environment],
        Meta(description="Compute environments by name.", extra_json_schema={"minProperties": 1}),
        affects(Effect.ENTRY),
    ]
    queues: Annotated[
        dict[ResourceName, Queue],
        Meta(description="Job queues by name.", extra_json_schema={"minProperties": 1}),
        affects(Effect.ENTRY),
    ]
    container: Container = Container()
    logs: Logs = Logs()
    notify: Notify | None = None
    budget: Budget | None = None
    dashboard: Annotated[
        bool,
        Meta(
            description="Whether to create a dashboard in Amazon CloudWatch, with jobs, instances, "
            "file systems and the NAT gateway of the deployment."
        ),
        affects(Effect.IN_PLACE),
    ] = False
    jobs: Annotated[
        dict[ResourceName, Job], Meta(description="Job definitions by name."), affects(Effect.ENTRY)
    ] = {}
