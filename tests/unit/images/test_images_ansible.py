"""What mngen says of a task that failed."""

from __future__ import annotations

import pytest

from mngen.images._ansible import reason

# As ansible-core 2.19 returns it.
COMMAND = {"changed": False, "msg": "non-zero return code", "rc": 1}


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({**COMMAND, "stderr": "no route\n", "stdout": "tried\n"}, "no route"),
        ({**COMMAND, "stderr": "", "stdout": "refused"}, "refused"),
        ({**COMMAND, "stderr": "", "stdout": ""}, "non-zero return code"),
        ({**COMMAND, "stderr": "".join(f"{n}\n" for n in range(9))}, "4\n5\n6\n7\n8"),
        ({"msg": "no nr_cpus\nno mount", "stderr": "a warning"}, "no nr_cpus\nno mount"),
        ({"stderr": "killed"}, "killed"),
        ({}, ""),
    ],
)
def test_the_reason_is_what_the_command_wrote(result: dict[str, object], said: str) -> None:
    assert reason(result) == said
