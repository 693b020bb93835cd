"""Stand-in for the python3 of Amazon Linux 2, which comes with amazon-efs-utils: it reports 3.7.

It runs code that is given with -c, and nothing else: Ansible's modules need a newer one.

Source: docs.aws.amazon.com/linux (Python in Amazon Linux 2), and the spec of amazon-efs-utils.
"""

from __future__ import annotations

import code
import sys

VERSION = (3, 7, 16)


def main() -> int:
    """Runs the command."""
    if sys.argv[1:2] in (["--version"], ["-V"]):
        print("Python " + ".".join(map(str, VERSION)))
        return 0
    if sys.argv[1:2] == ["-c"]:
        vars(sys)["version_info"] = VERSION
        runner = code.InteractiveInterpreter({"__name__": "__main__"})
        runner.runcode(compile(sys.argv[2], "<string>", "exec"))
        return 0
    print("python3: this program needs a newer Python than 3.7", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
