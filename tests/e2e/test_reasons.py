"""A unit that is not where it should be says why."""

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
