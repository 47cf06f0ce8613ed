"""A machine without etcd: fleetd keeps the registry itself, and is a cluster of its own."""

import pytest
from units import journal, lives, sleeper, start

from fleetlab.fleet import Fleet
from fleetlab.host import wait_for

FILE = "/var/lib/fleet/registry.db"


@pytest.fixture
def alone(fleet, lab):
    """Machine 3 as a cluster of one. The fixture `fleet` of the next test gives it back to etcd."""
    machine = lab.machine(3)
    machine.run("systemctl", "stop", "fleet")
    machine.run("rm", "-f", FILE)
    machine.configure(machine.fleet_conf(etcd_servers=None))
    machine.run("systemctl", "start", "fleet")
    alone = Fleet(lab, via=3)
    alone.wait_machines(1)
    yield alone
    names = [row["UNIT"] for row in alone.table("list-unit-files")]
    alone.ctl("destroy", *names)
    wait_for("no unit to be left", lambda: not alone.units(), 30, alone.units)


def test_serves_without_etcd(alone, lab):
    machine = lab.machine(3)
    assert alone.ctl("list-machines", "--no-legend", "--full").stdout.split()[0] == machine.id
    said = alone.ctl("start", "/root/nowhere.service", "--block-attempts=1", check=False)
    assert said.returncode == 1 and "no machine may run it" in said.stderr
    start(alone, "a.service", sleeper())
    start(alone, "everywhere.service", sleeper("Global=true"))
    alone.wait_running("a.service", "everywhere.service")
    alone.ctl("restart", "a.service")
    alone.ctl("stop", "a.service")
    assert ("a.service", "inactive") in [(row["UNIT"], row["ACTIVE"]) for row in alone.units()]
    said = journal(machine)
    assert f"the registry is embedded, {FILE}" in said
    assert "the embedded registry is new and holds no units" in said
    assert machine.run("stat", "-c", "%a %U", FILE).stdout == "600 fleet\n"


def test_restarts_and_crashes_of_fleetd_touch_no_unit(alone, lab):
    machine = lab.machine(3)
    for i in range(3):
        start(alone, f"u{i}.service", sleeper())
    places = alone.wait_running("u0.service", "u1.service", "u2.service")
    before = lives(lab, places)
    for signal in (None, "KILL", "SEGV"):
        old = machine.run("systemctl", "show", "--property=MainPID", "--value", "fleet").stdout
        if signal is None:
            machine.run("systemctl", "restart", "fleet")
        else:
            machine.run("kill", f"-{signal}", old.strip())
        wait_for("another fleetd to show the units running", lambda: machine.run(
            "systemctl", "show", "--property=MainPID", "--value", "fleet").stdout not in (old, "0\n") and sorted(
            row["ACTIVE"] for row in alone.units() if row["UNIT"] in places) == ["active"] * 3, 30)
        assert lives(lab, places) == before


def test_a_power_cut_loses_nothing(alone, lab):
    machine = lab.machine(3)
    start(alone, "up.service", sleeper())
    start(alone, "loaded.service", sleeper(), state="loaded")
    alone.wait_running("up.service")
    start(alone, "last.service", sleeper())  # answered, so it is on the disk
    machine.kill()
    machine.power_on()
    machine.wait_booted()
    alone.wait_running("up.service", "last.service")
    assert {row["UNIT"]: row["DSTATE"] for row in alone.table("list-unit-files")} == {
        "up.service": "launched", "last.service": "launched", "loaded.service": "loaded"}


def test_a_damaged_registry_is_refused_and_touches_no_unit(alone, lab):
    machine = lab.machine(3)
    start(alone, "a.service", sleeper())
    before = lives(lab, alone.wait_running("a.service"))
    # A restart leaves the unit running; in between, while no fleetd has the file open, it is damaged.
    machine.run("sh", "-c", "mkdir -p /run/systemd/system/fleet.service.d && printf '[Service]\\nExecStartPre="
                f"+/bin/sh -c \"cp -a {FILE} {FILE}.good; yes damaged | head -c 99999 >{FILE}\"\\n'"
                " >/run/systemd/system/fleet.service.d/damage.conf && systemctl daemon-reload")
    machine.run("systemctl", "restart", "--no-block", "fleet")
    wait_for("fleetd to refuse it", lambda: f"the registry {FILE} is damaged" in journal(machine), 20)
    assert lives(lab, {"a.service": 3}) == before
    machine.run("sh", "-c", "rm -r /run/systemd/system/fleet.service.d && systemctl daemon-reload")
    machine.run("systemctl", "stop", "fleet")
    assert lives(lab, {"a.service": 3}) == before
    # The backup back in its place, the unit is found as it was.
    machine.run("mv", f"{FILE}.good", FILE)
    machine.run("systemctl", "start", "fleet")
    wait_for("the unit to be shown again", lambda: [
        (row["UNIT"], row["ACTIVE"]) for row in alone.units()] == [("a.service", "active")], 30)
    assert lives(lab, {"a.service": 3}) == before
