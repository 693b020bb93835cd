"""Stand-in for mdadm and mkfs.xfs: there, but without a disk to work on, as on a builder.

The AMI needs them at boot alone, where the instance type has instance-store disks.

Source: mdadm(8), mkfs.xfs(8); that Amazon Linux has both packages, awslabs/amazon-eks-ami
(setup-local-disks).
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Refuses."""
    print(f"{Path(sys.argv[0]).name}: this instance has no such disk", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
