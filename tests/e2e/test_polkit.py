"""fleetd, which is not root, does with units what polkit allows its user. polkit comes and goes, too."""

import pytest
from units import lives, sleeper, start

from fleetlab.host import wait_for

HERE = "MachineMetadata=provider=amazon"  # Machine 3 only.


RULE = "/usr/share/polkit-1/rules.d/fleet.rules"


def read_rules_again(machine):
    machine.run("systemctl", "reset-failed", "polkit")  # It does not mind being started often.
    machine.run("systemctl", "restart", "polkit")


@pytest.fixture
def machine(fleet, lab):
    machine = lab.machine(3)
    yield machine
    machine.run("sh", "-c", f"[ ! -e {RULE}.away ] || mv {RULE}.away {RULE}")
    read_rules_again(machine)


def test_a_polkit_that_dies_is_started_by_need(fleet, machine):
    machine.run("systemctl", "kill", "--signal=KILL", "polkit")
    start(fleet, "a.service", sleeper(HERE))
    assert fleet.wait_running("a.service") == {"a.service": 3}


def test_what_is_not_allowed_is_said_and_done_later_and_units_run_on(fleet, lab, machine):
    start(fleet, "before.service", sleeper(HERE))
    before = lives(lab, fleet.wait_running("before.service"))
    machine.run("mv", RULE, f"{RULE}.away")
    read_rules_again(machine)
    start(fleet, "after.service", sleeper(HERE))
    said = lambda: fleet.ctl("status", "after.service", check=False).stdout
    wait_for("fleetctl to say why", lambda: "polkit decides about that: systemctl status polkit" in said(), 20, said)
    machine.run("systemctl", "restart", "fleet", timeout=60)
    assert lives(lab, {"before.service": 3}) == before
    machine.run("mv", f"{RULE}.away", RULE)
    read_rules_again(machine)
    fleet.wait_running("after.service", seconds=60)
    assert lives(lab, {"before.service": 3}) == before
