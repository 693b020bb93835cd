"""What came out of a run of a playbook for each host."""

from __future__ import annotations

from tests.support.playbooks import Play, outcomes

# As ansible-core 2.19 prints it.
PRINTED = """\
TASK [efa : Fetch the EFA installer] *******************************************
changed: [sound]
[ERROR]: Task failed: Module failed: non-zero return code
Origin: /playbooks/roles/efa/tasks/main.yml:6:3
fatal: [another]: FAILED! => {"changed": true, "msg": "is not signed\\nso it was not run"}
fatal: [gone]: UNREACHABLE! => {"changed": false, "msg": "no route", "unreachable": true}

PLAY RECAP *********************************************************************
another                    : ok=5    changed=0    unreachable=0    failed=1    skipped=1
gone                       : ok=1    changed=0    unreachable=1    failed=0    skipped=0
sound                      : ok=6    changed=12   unreachable=0    failed=0    skipped=1
"""


def test_each_host_has_what_was_printed_of_it() -> None:
    found = outcomes(PRINTED)
    assert found["sound"] == Play(0, "", 12)
    assert (found["another"].code, found["another"].changed) == (2, 0)
    assert "is not signed so it was not run" in found["another"].words
    assert found["gone"].code == 2
    assert found["gone"].output.startswith("UNREACHABLE! => ")
    assert found.keys() == {"another", "gone", "sound"}
