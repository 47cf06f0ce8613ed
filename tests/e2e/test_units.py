"""What people do to running units with fleetctl, as the machine's systemd sees it."""

import pytest
from test_guide import put_file
from terminal import Terminal
from units import show, sleeper, start

from fleetlab.host import wait_for


def life(machine, unit):
    said = show(machine, [unit], "InvocationID", "MainPID", "ActiveState", "ActiveEnterTimestampMonotonic",
                "InactiveExitTimestampMonotonic")[unit]
    return said


def test_restart_restarts_one_unit_after_another_and_waits(fleet, lab):
    """section 8, row 41: in 1.0 the process was not restarted."""
    slow = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 1\n\n[X-Fleet]\nMachineMetadata=platform=metal\n"
    for name in ("first.service", "second.service"):
        start(fleet, name, slow)
    for name in ("first.service", "second.service"):
        wait_for(f"{name} to be active", lambda: "active/exited" in fleet.places(name).values(), 20)
    machine = lab.machine(1)
    before = {name: life(machine, name) for name in ("first.service", "second.service")}
    done = fleet.ctl("restart", "first.service", "second.service")
    after = {name: life(machine, name) for name in before}
    for name in before:
        assert after[name]["InvocationID"] != before[name]["InvocationID"], done
        assert after[name]["ActiveState"] == "active", "fleetctl waits until it is up again"
    assert (int(after["second.service"]["InactiveExitTimestampMonotonic"])
            >= int(after["first.service"]["ActiveEnterTimestampMonotonic"])), "the second began before the first was up"


def test_replacing_the_content_of_a_running_unit(fleet, lab):
    put_file(lab, "changing.service", sleeper())
    fleet.ctl("start", "changing.service")
    place = fleet.wait_running("changing.service")["changing.service"]
    before = life(lab.machine(place), "changing.service")
    put_file(lab, "changing.service", "[Service]\nExecStart=/bin/sleep 123456\n")
    fleet.ctl("start", "--replace", "changing.service")
    assert fleet.wait_running("changing.service") == {"changing.service": place}, "it stays where it is"
    after = life(lab.machine(place), "changing.service")
    assert after["InvocationID"] != before["InvocationID"]
    assert "123456" in lab.machine(place).run("cat", f"/proc/{after['MainPID']}/cmdline").stdout


def command(lab, place, unit):
    pid = life(lab.machine(place), unit)["MainPID"]
    return lab.machine(place).run("cat", f"/proc/{pid}/cmdline", check=False).stdout.replace("\0", " ").strip()


@pytest.mark.parametrize("state", ["launched", "loaded"])
def test_replacing_a_unit_that_is_started_again_whenever_it_stops(fleet, lab, state):
    """By its path unit here; a socket that is called all the time does the same."""
    pinned = "\n[X-Fleet]\nMachineMetadata=platform=metal\n"
    old, new = ("[Service]\nExecStart=/bin/sleep %d\n" % seconds + pinned for seconds in (4321, 4322))
    put_file(lab, "busy.path", "[Path]\nPathExists=/run\n" + pinned)
    put_file(lab, "busy.service", old)
    fleet.ctl("load", "busy.service")
    fleet.ctl("start", "busy.path")
    if state == "launched":
        fleet.ctl("start", "busy.service")
    wait_for("the path to start the service", lambda: command(lab, 1, "busy.service") == "/bin/sleep 4321", 20)
    put_file(lab, "busy.service", new)
    fleet.ctl("start" if state == "launched" else "load", "--replace", "busy.service")
    wait_for("the new file to run", lambda: command(lab, 1, "busy.service") == "/bin/sleep 4322", 20)
    if state == "launched":
        fleet.wait_running("busy.service")


def test_restarting_a_unit_whose_start_hangs(fleet, lab):
    hanging = "[Service]\nType=notify\nExecStart=/bin/sleep infinity\n\n[X-Fleet]\nMachineMetadata=platform=metal\n"
    start(fleet, "hanging.service", hanging)
    machine = lab.machine(1)
    wait_for("it to hang", lambda: life(machine, "hanging.service")["ActiveState"] == "activating", 20)
    before = life(machine, "hanging.service")["MainPID"]
    machine.run("timeout", "3", "fleetctl", "restart", "hanging.service", check=False)  # it would wait on
    wait_for("another process", lambda: life(machine, "hanging.service")["MainPID"] not in ("0", before), 20)


def test_a_unit_of_the_machines_own_with_the_same_name_is_left_alone(fleet, lab):
    machine = lab.machine(1)
    own = "/etc/systemd/system/own.service"
    machine.run("tee", own, input="[Service]\nExecStart=/bin/sleep 765\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "own.service")
    try:
        before = life(machine, "own.service")
        start(fleet, "own.service", sleeper("MachineMetadata=platform=metal"))
        wait_for("fleet to say so", lambda: f"another file of that name: {own}" in fleet.ctl("status", "own.service", check=False).stdout, 20)
        fleet.ctl("destroy", "--block-attempts", "300", "own.service")
        assert life(machine, "own.service") == before
    finally:
        machine.run("systemctl", "stop", "own.service")
        machine.run("rm", own)
        machine.run("systemctl", "daemon-reload")


def test_an_install_section_is_honoured_while_the_unit_is_loaded(fleet, lab):
    text = sleeper("MachineMetadata=platform=metal") + "\n[Install]\nWantedBy=multi-user.target\n"
    start(fleet, "wanted.service", text, "loaded")
    machine = lab.machine(1)
    link = "/run/systemd/system/multi-user.target.wants/wanted.service"
    wait_for("the unit to be enabled", lambda: machine.run("test", "-L", link, check=False).returncode == 0, 20)
    status, body = fleet.api("PUT", "/units/wanted.service", {"desiredState": "inactive"})
    assert status == 204, body
    wait_for("the unit to be disabled", lambda: machine.run("test", "-L", link, check=False).returncode == 1, 20)


@pytest.mark.parametrize("at_terminal", [True, False], ids=["terminal", "pipe"])
def test_colour_is_for_terminals(fleet, lab, at_terminal):
    start(fleet, "failing.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
    wait_for("the unit to fail", lambda: "failed/failed" in fleet.places("failing.service").values(), 20)
    if at_terminal:
        with Terminal(lab.machine(1).command("fleetctl", "list-units")) as terminal:
            status, printed = terminal.end()
        assert status == 0
    else:
        printed = fleet.ctl("list-units").stdout
    assert ("\x1b[" in printed) == at_terminal, repr(printed)
