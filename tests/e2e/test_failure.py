"""The guide's failure story: machines die, are stopped, and return. What is worse is in test_faults_*.py."""

import time

from conftest import TTL
from units import main_pid, sleeper, start

from fleetlab.host import wait_for

# What etcd and the poll add to a TTL: etcd looks for expired leases twice a second, and this host is shared.
SLACK = 3


def systemd_says(lab, number, unit):
    return lab.machine(number).run("systemctl", "is-active", unit, check=False).stdout.strip()


def spread(fleet, count=6):
    """Starts a number of services and answers where they run: {unit: machine number}."""
    names = [f"part{i}.service" for i in range(count)]
    for name in names:
        start(fleet, name, sleeper())
    return fleet.wait_running(*names)


def victim_of(places):
    """A machine that runs something and is not machine 1, through which the tests ask."""
    return next(k for k in places.values() if k != 1)


def test_new_units_are_spread_over_all_machines(fleet):
    assert sorted(spread(fleet).values()) == [1, 1, 2, 2, 3, 3]


def test_a_dead_machine_is_noticed_within_its_ttl_and_its_units_run_elsewhere(fleet, lab):
    places = spread(fleet)
    victim = victim_of(places)
    pids = {unit: main_pid(lab, k, unit) for unit, k in places.items() if k != victim}
    died = time.monotonic()
    lab.machine(victim).kill()
    fleet.wait_machines(2, seconds=TTL + SLACK)
    # A leader that died with the machine has a successor after the same TTL, which gives all machines another.
    after = fleet.wait_running(*places, off=[victim], seconds=2 * TTL + SLACK)
    print(f"units moved {time.monotonic() - died:.1f} s after the machine's death")
    stayed = {unit: k for unit, k in after.items() if unit in pids}
    assert stayed == {unit: k for unit, k in places.items() if k != victim}, "units of living machines were moved"
    assert {unit: main_pid(lab, k, unit) for unit, k in stayed.items()} == pids, "units of living machines were restarted"

    lab.machine(victim).power_on()
    lab.machine(victim).wait_booted()
    fleet.wait_machines(3)
    pinned = "pinned.service"
    start(fleet, pinned, sleeper(f"MachineID={lab.machine(victim).id}"))
    assert fleet.wait_running(pinned) == {pinned: victim}, "the machine that returned takes no new work"
    assert fleet.wait_running(*places) == after, "units moved back by themselves"


def test_stopping_fleet_hands_its_units_over(fleet, lab):
    places = spread(fleet)
    victim = victim_of(places)
    lab.machine(victim).run("systemctl", "stop", "fleet", timeout=100)
    assert [unit for unit, k in places.items() if k == victim and systemd_says(lab, victim, unit) == "active"] == []
    fleet.wait_machines(2, seconds=2)
    fleet.wait_running(*places, off=[victim], seconds=TTL)
    lab.machine(victim).run("systemctl", "start", "fleet")
    fleet.wait_machines(3)


def test_a_sidekick_moves_with_its_unit(fleet, lab):
    start(fleet, "lead.service", sleeper("MachineMetadata=platform=cloud"))
    start(fleet, "side.service", sleeper("MachineOf=lead.service"))
    before = fleet.wait_running("lead.service", "side.service")
    assert before["lead.service"] == before["side.service"] != 1
    victim = before["lead.service"]
    lab.machine(victim).kill()
    after = fleet.wait_running("lead.service", "side.service", off=[victim], seconds=2 * TTL + SLACK)
    assert after["lead.service"] == after["side.service"]


def test_what_cannot_be_placed_waits_and_runs_when_it_can(fleet, lab):
    names = [f"alone{i}.service" for i in range(4)]
    for name in names:
        start(fleet, name, sleeper("Conflicts=alone*"))
    placed = wait_for("three of four to run", lambda: (lambda up: up if len(up) == 3 else None)(
        {name: fleet.place(name) for name in names if fleet.place(name)}), 20)
    assert sorted(placed.values()) == [1, 2, 3]
    waiting = next(name for name in names if name not in placed)
    row = next(row for row in fleet.table("list-unit-files") if row["UNIT"] == waiting)
    assert (row["DSTATE"], row["STATE"], row["TARGET"]) == ("launched", "inactive", "-")
    gone = next(iter(placed))
    fleet.ctl("destroy", gone)
    assert fleet.wait_running(waiting) == {waiting: placed[gone]}
