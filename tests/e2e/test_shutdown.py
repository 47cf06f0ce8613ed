"""A machine that is shut down, not lost: its units go elsewhere at once, and in order."""

import pytest
from units import journal, sleeper, start

from fleetlab.host import wait_for

# Whatever happens sooner does not happen because the machine was missed.
LONG_TTL = "60s"


@pytest.fixture
def long_ttl(fleet, lab):
    for machine in lab.machines():
        machine.configure(machine.fleet_conf(agent_ttl=LONG_TTL))
        machine.run("systemctl", "restart", "fleet.service")
    fleet.wait_machines(3)
    return fleet


def test_shutting_a_machine_down_hands_its_units_over(long_ttl, lab):
    fleet = long_ttl
    stops = "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sh -c 'sleep 1; echo %n >>/var/stopped'\n"
    for i in range(3):
        start(fleet, f"moving{i}.service", stops)
    places = fleet.wait_running(*(f"moving{i}.service" for i in range(3)))
    victim = next(k for k in places.values() if k != 1)
    mine = [unit for unit, k in places.items() if k == victim]
    machine = lab.machine(victim)
    stopped = machine.root / "var/stopped"
    stopped.unlink(missing_ok=True)
    machine.run("systemctl", "poweroff", "--no-block")
    fleet.wait_machines(2, seconds=20)
    fleet.wait_running(*mine, off=[victim], seconds=20)
    wait_for(f"{machine.name} to be off", lambda: not machine.running(), 40)
    assert sorted(stopped.read_text().split()) == sorted(mine), "each was stopped properly, and once"


def test_a_unit_that_takes_longer_to_stop_than_fleet_may_is_waited_for(long_ttl, lab):
    """How long a unit may take to stop is its own matter: fleetd asks systemd for more time."""
    fleet = long_ttl
    text = ("[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 12\nTimeoutStopSec=60\n"
            "\n[X-Fleet]\nMachineMetadata=platform=cloud\n")
    start(fleet, "slow.service", text)
    victim = fleet.wait_running("slow.service")["slow.service"]
    machine = lab.machine(victim)
    folder = "/run/systemd/system/fleet.service.d"
    machine.run("mkdir", "-p", folder)
    machine.run("tee", f"{folder}/short.conf", input="[Service]\nTimeoutStopSec=5\n")
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run("systemctl", "stop", "fleet", timeout=40)
        assert machine.run("systemctl", "show", "--property=Result", "--value", "fleet.service").stdout == "success\n"
        assert machine.run("systemctl", "is-active", "slow.service", check=False).stdout == "inactive\n"
        fleet.wait_running("slow.service", off=[victim], seconds=20)
    finally:
        machine.run("rm", "-r", folder)
        machine.run("systemctl", "daemon-reload")


def test_a_unit_that_cannot_be_stopped_does_not_hold_the_machine_up(fleet, lab):
    """Section 8, row 29: 1.0 retried for ever."""
    text = "[Unit]\nRefuseManualStop=yes\n" + sleeper("MachineMetadata=provider=amazon")  # one machine's
    start(fleet, "stubborn.service", text)
    start(fleet, "willing.service", sleeper())
    victim = fleet.wait_running("stubborn.service")["stubborn.service"]
    machine = lab.machine(victim)
    try:
        machine.run("systemctl", "stop", "fleet", timeout=40)
        said = journal(machine)
        assert "stubborn.service: not handed over (stop failed: " in said, said
        assert "refused" in said.split("not handed over", 1)[1].split("\n", 1)[0]
        assert machine.run("systemctl", "is-active", "stubborn.service").stdout == "active\n"
        fleet.wait_running("willing.service", off=[victim])
    finally:
        machine.run("systemctl", "start", "fleet")
        fleet.wait_machines(3)
        fleet.api("DELETE", "/units/stubborn.service")
        machine.run("systemctl", "kill", "--signal=KILL", "stubborn.service")
        wait_for("the unit to be let go of", lambda: not fleet.places("stubborn.service"), 30)
