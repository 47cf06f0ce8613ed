"""A unit that is not where it should be says why."""

from test_guide import put_file
from units import sleeper, start

from fleetlab.host import wait_for


def test_status_names_what_each_machine_lacks(fleet, lab):
    start(fleet, "nowhere.service", sleeper("MachineMetadata=region=mars"))

    def told():
        status, body = fleet.api("GET", "/status?unit=nowhere.service")
        found = body["units"][0] if status == 200 and body.get("units") else {}
        return found if found.get("reason") else None
    unit = wait_for("a reason", told, 10, lambda: str(fleet.api("GET", "/status?unit=nowhere.service")))
    assert unit["name"] == "nowhere.service"
    assert unit["desiredState"] == "launched"
    assert {machine["machineID"] for machine in unit["unplaceable"]} == {m.id for m in lab.machines()}
    assert all("region" in machine["reason"] for machine in unit["unplaceable"]), unit
    printed = fleet.ctl("status", "nowhere.service", check=False)
    assert "region" in printed.stdout + printed.stderr


def test_start_says_what_it_waits_for_and_what_each_machine_lacks(fleet, lab):
    put_file(lab, "nowhere.service", sleeper("MachineMetadata=region=mars"))
    said = fleet.ctl("start", "--block-attempts=1", "/root/nowhere.service", check=False)
    assert said.returncode == 1
    assert "no machine may run it" in said.stderr
    for machine in lab.machines():
        assert f"{machine.id[:8]}.../{machine.address}: has metadata region=east (wanted: region=mars)" in said.stderr, said


def test_start_says_of_a_global_unit_why_no_machine_takes_it(fleet, lab):
    put_file(lab, "nowhere.service", sleeper("Global=true\nMachineMetadata=region=mars"))
    said = fleet.ctl("start", "/root/nowhere.service", check=False)
    assert said.returncode == 0, "as in 1.0, nobody waits for a global unit"
    for machine in lab.machines():
        assert f"{machine.id[:8]}.../{machine.address}: has metadata region=east (wanted: region=mars)" in said.stderr, said
