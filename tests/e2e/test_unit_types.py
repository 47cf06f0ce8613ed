"""Every type of unit that fleet takes (behaviour document 1.1), from load to unload on real systemd.

section 8, row 20: 1.0 never unloaded some of them, not even when it was stopped.
"""

import pytest
from units import show, sleeper, start

from fleetlab.host import wait_for

# What they would trigger exists on every machine, and is not triggered.
TYPES = {
    "typed.service": (sleeper(), "active/running"),
    "typed.target": ("[Unit]\nDescription=t\n", "active/active"),
    "typed.slice": ("[Unit]\nDescription=s\n", "active/active"),
    "typed.timer": ("[Timer]\nOnActiveSec=1d\nUnit=emergency.service\n", "active/waiting"),
    "typed.socket": ("[Socket]\nListenStream=/run/typed.sock\nRemoveOnStop=yes\nService=emergency.service\n", "active/listening"),
    "typed.path": ("[Path]\nPathExists=/nonexistent\nUnit=emergency.service\n", "active/waiting"),
    "run-typed.mount": ("[Mount]\nWhat=tmpfs\nWhere=/run/typed\nType=tmpfs\n", "active/mounted"),
}
# systemd takes such a file or not, but starts none of them; fleet says so, and lets go of them all the same.
NEVER = {
    "typed.scope": "[Scope]\nTimeoutStopSec=5\n",
    "typed.device": "[Unit]\nDescription=d\n",
    "typed.swap": "[Swap]\nWhat=/typed\n",
    "run-autotyped.automount": "[Automount]\nWhere=/run/autotyped\nWrong\n",
    "typed.busname": "[Unit]\nDescription=b\n",
    "typed.snapshot": "[Unit]\nDescription=s\n",
    ".service": sleeper(),
}


def want(fleet, name, state):
    status, body = fleet.api("PUT", f"/units/{name}", {"desiredState": state})
    assert status == 204, f"{name} {state}: {status} {body}"


def facts(fleet, name):
    status, body = fleet.api("GET", f"/status?unit={name}")
    assert status == 200, body
    return body["units"][0] if body.get("units") else {}


def wait_current(fleet, name, state):
    wait_for(f"{name} to be {state}", lambda: facts(fleet, name).get("currentState") == state, 20,
             lambda: str(facts(fleet, name)))


def placed_on(fleet, lab, name):
    """The machine that has the unit, once there is one."""
    machine_id = wait_for(f"{name} to be placed", lambda: facts(fleet, name).get("machineID"), 20)
    return next(machine for machine in lab.machines() if machine.id == machine_id)


def systemd_says(machine, name):
    said = show(machine, [name], "ActiveState", "SubState")[name]
    return f"{said['ActiveState']}/{said['SubState']}"


def traces(machine, name):
    """Files and links of the unit's that are left on a machine."""
    return machine.run("find", "/run/fleet", "/run/systemd/system", "-name", f"{name}*").stdout.split()


def destroy(fleet, name, machine):
    status, body = fleet.api("DELETE", f"/units/{name}")
    assert status == 204, body
    wait_for(f"{name} to be gone", lambda: not facts(fleet, name), 20, lambda: str(facts(fleet, name)))
    assert traces(machine, name) == []


@pytest.mark.parametrize("name", TYPES)
def test_from_load_to_unload(fleet, lab, name):
    text, running = TYPES[name]
    start(fleet, name, text, "loaded")
    machine = placed_on(fleet, lab, name)
    wait_current(fleet, name, "loaded")
    assert systemd_says(machine, name).startswith("inactive/")
    want(fleet, name, "launched")
    wait_current(fleet, name, "launched")
    wait_for(f"systemd to have {name} {running}", lambda: systemd_says(machine, name) == running, 20,
             lambda: systemd_says(machine, name))
    want(fleet, name, "loaded")
    wait_current(fleet, name, "loaded")
    assert systemd_says(machine, name).startswith("inactive/")
    want(fleet, name, "launched")
    wait_current(fleet, name, "launched")
    want(fleet, name, "inactive")
    wait_current(fleet, name, "inactive")
    wait_for(f"nothing of {name} to be left on its machine", lambda: traces(machine, name) == [], 20)
    assert systemd_says(machine, name).startswith("inactive/")
    destroy(fleet, name, machine)


@pytest.mark.parametrize("name", NEVER)
def test_what_systemd_never_starts_is_said_and_let_go_of(fleet, lab, name):
    start(fleet, name, NEVER[name])
    machine = placed_on(fleet, lab, name)
    wait_for(f"{name} to have a problem", lambda: any(on.get("problem") for on in facts(fleet, name).get("machines", [])), 20,
             lambda: str(facts(fleet, name)))
    destroy(fleet, name, machine)


def test_stopping_fleet_lets_go_of_all_types(fleet, lab):
    """Those that never start are handed on with the others, and do not hold up the stop."""
    units = {**{name: text for name, (text, _) in TYPES.items()}, **NEVER}
    for name, text in units.items():
        start(fleet, name, text + ("\n[X-Fleet]\nMachineMetadata=platform=metal\n"))
    machine = lab.machine(1)
    for name in TYPES:
        wait_current(fleet, name, "launched")
    for name in NEVER:
        placed_on(fleet, lab, name)
    machine.run("systemctl", "stop", "fleet", timeout=30)
    assert {name: traces(machine, name) for name in units if traces(machine, name)} == {}
    assert {name: systemd_says(machine, name) for name in TYPES if not systemd_says(machine, name).startswith("inactive/")} == {}
