"""Replaces on real machines: the new unit takes the old one's place, and then nothing moves any more.

section 8, row 21: 1.0 moved the old unit to any machine, and restarted both about once a second where they had only one.
"""

from units import sleeper, start

from fleetlab.host import wait_for


def status_of(fleet, unit):
    printed = fleet.ctl("status", unit, check=False)
    return printed.stdout + printed.stderr


def test_the_new_unit_takes_the_place_and_the_old_one_moves_on(fleet, lab, judge):
    judge.launch("old.service", sleeper())
    place = fleet.wait_running("old.service")["old.service"]
    judge.launch("new.service", sleeper("Replaces=old.service"))
    after = fleet.wait_running("new.service", "old.service")
    assert after["new.service"] == place != after["old.service"]
    before = judge.at_rest()
    judge.holds(before, 5)
    assert judge.at_rest() == before


def test_the_old_unit_waits_with_the_reason_where_both_may_run_on_one_machine_only(fleet, lab, judge):
    only = "MachineMetadata=platform=metal"
    judge.launch("old.service", sleeper(only))
    place = fleet.wait_running("old.service")["old.service"]
    start(fleet, "new.service", sleeper(f"Replaces=old.service\n{only}"))
    assert fleet.wait_running("new.service") == {"new.service": place}
    wait_for("the old unit to wait", lambda: "no machine may run it" in status_of(fleet, "old.service"), 20,
             lambda: status_of(fleet, "old.service"))
    told = status_of(fleet, "old.service")
    assert "runs new.service, which replaces it" in told
    assert told.count("(wanted: platform=metal)") == 2, "the other two machines' own reasons"
    judge.wait_still(quiet=5)
    invocation = lab.machine(place).run("systemctl", "show", "--property=InvocationID", "--value", "new.service").stdout
    judge.wait_still(quiet=5)
    assert lab.machine(place).run("systemctl", "show", "--property=InvocationID", "--value", "new.service").stdout == invocation
    fleet.ctl("destroy", "new.service")
    assert fleet.wait_running("old.service") == {"old.service": place}


def test_of_a_circle_the_later_one_stays_unplaced(fleet, judge):
    judge.launch("a.service", sleeper("Replaces=b.service"))
    fleet.wait_running("a.service")
    start(fleet, "b.service", sleeper("Replaces=a.service"))
    wait_for("b.service to say why it waits", lambda: "circle" in status_of(fleet, "b.service"), 20,
             lambda: status_of(fleet, "b.service"))
    before = judge.processes()
    judge.holds(before, 5)
    judge.wait_still()
    fleet.ctl("destroy", "a.service")
    fleet.wait_running("b.service")
