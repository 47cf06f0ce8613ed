"""fleetd and etcd come and go; the units do not notice."""

import pytest
from units import main_pid, sleeper, start

from conftest import TTL
from fleetlab.fleet import Fleet
from fleetlab.host import wait_for


@pytest.fixture
def running(fleet, lab):
    """Units on all machines; answers {(machine number, unit): main process}."""
    start(fleet, "everywhere.service", sleeper("Global=true"))
    wait_for("the global unit to run everywhere",
             lambda: list(fleet.places("everywhere.service").values()) == ["active/running"] * 3, 20)
    for i in range(3):
        start(fleet, f"one{i}.service", sleeper())
    places = fleet.wait_running("one0.service", "one1.service", "one2.service")
    where = [(k, unit) for unit, k in places.items()] + [(k, "everywhere.service") for k in (1, 2, 3)]
    pids = {(k, unit): main_pid(lab, k, unit) for k, unit in where}
    assert all(pids.values())
    return pids


def processes(lab, running):
    return {(k, unit): main_pid(lab, k, unit) for k, unit in running}


def fleetd(lab, number):
    return main_pid(lab, number, "fleet.service")


def wait_back(lab, number, old):
    wait_for(f"fleetd on machine {number} to be replaced", lambda: fleetd(lab, number) not in (0, old), 20)
    wait_for(f"fleetd on machine {number} to answer", lambda: Fleet(lab, number).api("GET", "/machines")[0] == 200, 40)


def list_is_as_before(fleet, lab, running):
    """The lists show every unit where its process is, as before."""
    wait_for("list-units to show everything running again", lambda: sorted(
        (row["UNIT"], row["ACTIVE"]) for row in fleet.units()) == sorted((unit, "active") for _, unit in running), 30,
        lambda: fleet.ctl("list-units").stdout)


def test_restart_of_fleet_touches_no_unit(fleet, lab, running):
    for number in (1, 2, 3):
        old = fleetd(lab, number)
        lab.machine(number).run("systemctl", "restart", "fleet", timeout=100)
        wait_back(lab, number, old)
        assert processes(lab, running) == running
    list_is_as_before(fleet, lab, running)
    assert processes(lab, running) == running


def test_crash_of_fleetd_touches_no_unit(fleet, lab, running):
    for number in (1, 2, 3):
        old = fleetd(lab, number)
        lab.machine(number).run("kill", "-KILL", str(old))
        wait_back(lab, number, old)
    list_is_as_before(fleet, lab, running)
    assert processes(lab, running) == running


def test_a_new_fleetd_still_commands_the_units_that_it_found(fleet, lab, running):
    (number, unit) = next((k, u) for k, u in running if u.startswith("one"))
    old = fleetd(lab, number)
    lab.machine(number).run("kill", "-KILL", str(old))
    wait_back(lab, number, old)
    fleet.ctl("destroy", unit)
    wait_for(f"{unit} to end on machine {number}", lambda: main_pid(lab, number, unit) == 0, 20)


def test_without_etcd_fleetd_starts_says_so_and_touches_nothing(fleet, lab, running):
    lab.etcd_stop()
    old = fleetd(lab, 2)
    lab.machine(2).run("kill", "-KILL", str(old))
    wait_for("fleetd on machine 2 to be replaced", lambda: fleetd(lab, 2) not in (0, old), 20)
    second = Fleet(lab, 2)
    wait_for("the API to answer 503", lambda: second.api("GET", "/units")[0] == 503, 20, lambda: str(second.api("GET", "/units")))
    said = lambda: lab.machine(2).run("journalctl", "-u", "fleet", f"_PID={fleetd(lab, 2)}", "--no-pager").stdout
    wait_for("fleetd to say that it cannot reach etcd", lambda: "etcd" in said() and lab.etcd_url.split("//")[1] in said(), 20, said)
    assert second.ctl("list-units", check=False).returncode != 0
    assert processes(lab, running) == running
    lab.etcd_start()
    for number in (1, 2, 3):
        wait_for(f"the API of machine {number} to answer again", lambda: Fleet(lab, number).api("GET", "/units")[0] == 200, 60)
    list_is_as_before(fleet, lab, running)
    assert processes(lab, running) == running


def test_an_etcd_that_hangs_longer_than_the_ttl_moves_nothing(fleet, lab, running):
    """All leases run out in the moment that etcd is back: an outage, and no reason to call any machine dead."""
    lab.etcd_freeze()
    # There is no event to wait for: that nothing happens for three TTLs is what is to be seen.
    deadline = lab.machine(1).run("date", "+%s").stdout
    wait_for("three TTLs to pass", lambda: int(lab.machine(1).run("date", "+%s").stdout) - int(deadline) >= 3 * TTL, 6 * TTL)
    assert processes(lab, running) == running
    lab.etcd_thaw()
    fleet.wait_machines(3, seconds=60)
    list_is_as_before(fleet, lab, running)
    assert processes(lab, running) == running
