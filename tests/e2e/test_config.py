"""fleet.conf on a real fleetd: what is wrong in it is refused with its place, and SIGHUP takes what is right."""

import pytest
from units import journal, lives, main_pid, sleeper, start

from fleetlab.fleet import Fleet
from fleetlab.host import wait_for

CONF = "/etc/fleet/fleet.conf"


@pytest.fixture
def running(fleet, lab):
    """Units of all kinds on all machines; answers {unit: machine number or numbers}."""
    start(fleet, "everywhere.service", sleeper("Global=true"))
    wait_for("the global unit to run everywhere",
             lambda: list(fleet.places("everywhere.service").values()) == ["active/running"] * 3, 20)
    for i in range(3):
        start(fleet, f"one{i}.service", sleeper())
    return {**fleet.wait_running("one0.service", "one1.service", "one2.service"), "everywhere.service": [1, 2, 3]}


def reload(machine):
    """`systemctl reload fleet`; answers what fleet said to it. systemd may call it done before fleet has begun."""
    begun = len(journal(machine))
    machine.run("systemctl", "reload", "fleet")
    said = lambda: journal(machine)[begun:]
    wait_for(f"fleet on {machine.name} to answer the reload",
             lambda: "configuration reloaded" in said() or "not reloaded" in said(), 10, said)
    wait_for(f"systemd to see fleet on {machine.name} ready again",
             lambda: machine.run("systemctl", "is-active", "fleet", check=False).stdout == "active\n", 10)
    return said()


def metadata(fleet, machine):
    rows = fleet.table("list-machines", "--full")
    return next(row["METADATA"] for row in rows if row["MACHINE"] == machine.id)


# Section 8, row 31: SIGHUP wedged 1.0.
def test_a_reload_takes_new_metadata_and_touches_only_the_units_that_it_concerns(fleet, lab, running):
    machine = lab.machine(2)
    start(fleet, "east.service", sleeper("MachineMetadata=reload=east"))
    start(fleet, "west.service", sleeper("MachineMetadata=reload=west"))
    before, fleetd = lives(lab, running), main_pid(lab, 2, "fleet.service")
    was = metadata(fleet, machine)

    machine.configure(machine.fleet_conf(metadata="reload=east"))
    assert "metadata changed" in reload(machine)
    assert metadata(fleet, machine) == "reload=east"
    assert fleet.wait_running("east.service") == {"east.service": 2}

    machine.configure(machine.fleet_conf(metadata="reload=west", public_ip="10.1.2.3"))
    said = reload(machine)
    assert "metadata changed" in said and "public_ip changed" in said
    wait_for("west.service to run and east.service to wait", lambda: (
        fleet.collect("state") and
        {unit["name"]: unit["currentState"] for unit in fleet.collect("units")}["east.service"] == "inactive" and
        {state["name"] for state in fleet.collect("state")} >= {"west.service"}), 20, lambda: fleet.ctl("list-units").stdout)
    assert "10.1.2.3" in fleet.ctl("list-machines").stdout

    # What is no longer in the file is back at its default.
    machine.configure(machine.fleet_conf())
    reload(machine)
    assert metadata(fleet, machine) == was
    assert machine.address in fleet.ctl("list-machines").stdout
    assert lives(lab, running) == before
    assert main_pid(lab, 2, "fleet.service") == fleetd


def test_a_wrong_file_is_refused_whole_and_the_old_settings_go_on(fleet, lab, running):
    machine = lab.machine(2)
    before, fleetd, was = lives(lab, running), main_pid(lab, 2, "fleet.service"), metadata(fleet, machine)
    machine.configure(machine.fleet_conf(metadata="new=value") + "token_limit=lots\n")
    said = reload(machine)
    line = len(machine.fleet_conf().splitlines()) + 1
    assert f"{CONF}:{line}: token_limit: \"lots\" is not a whole number" in said
    assert metadata(fleet, machine) == was
    assert "reload refused" in machine.run("systemctl", "status", "fleet", check=False).stdout
    machine.configure(machine.fleet_conf())
    assert "configuration reloaded" in reload(machine)
    assert "reload refused" not in machine.run("systemctl", "status", "fleet", check=False).stdout
    assert lives(lab, running) == before
    assert main_pid(lab, 2, "fleet.service") == fleetd


def test_what_a_reload_cannot_change_is_said_and_waits_for_a_restart(fleet, lab, running):
    machine = lab.machine(2)
    before = lives(lab, running)
    ttl = lab.state["ttl"] + 1
    machine.configure(machine.fleet_conf(agent_ttl=f"{ttl}s", verbosity=1, nonsense=1, enable_grpc="true"))
    said = reload(machine)
    assert "agent_ttl changed: takes effect at the next restart of fleetd" in said
    assert "verbosity changed\n" in said
    assert "unknown key \"nonsense\" is ignored" in said and "enable_grpc has no effect" in said
    assert lives(lab, running) == before
    machine.run("systemctl", "restart", "fleet", timeout=100)
    wait_for("fleet to register with the new TTL", lambda: f"TTL {ttl} s" in journal(machine), 30)
    assert lives(lab, running) == before


# Section 8, row 55: 1.0 took malformed values for 0 or false.
@pytest.mark.parametrize("text, complaint", [
    ("agent_ttl=30", ':1: agent_ttl: "30" is not a duration'),
    ("\n\netcd_servers=nowhere", ":3: etcd_servers: the etcd endpoint nowhere"),
    ("etcd_cafile=/none.pem", ":1: etcd_cafile: cannot read /none.pem: No such file"),
    ("what is this", ':1: the line that begins with "what" is not of the form key=value')])
def test_a_wrong_file_is_refused_with_its_place(lab, text, complaint):
    (lab.machine(1).root / "root/wrong.conf").write_text(text)
    done = lab.machine(1).run("fleetd", "-config", "/root/wrong.conf", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/root/wrong.conf{complaint}" in done.stderr


def test_a_service_with_a_wrong_file_does_not_start_and_touches_no_unit(fleet, lab, running):
    machine = lab.machine(2)
    before = lives(lab, running)
    machine.configure("agent_ttl=30\n")
    machine.run("systemctl", "restart", "fleet", check=False, timeout=100)
    wait_for("fleet to say what is wrong", lambda: f"{CONF}:1: agent_ttl" in journal(machine), 10)
    machine.configure(machine.fleet_conf())
    # Restart=always goes on trying by itself, until it tries too often.
    machine.run("systemctl", "reset-failed", "fleet", check=False)
    machine.run("systemctl", "start", "fleet", timeout=100)
    fleet.wait_machines(3)
    assert lives(lab, running) == before


@pytest.mark.parametrize("argv, status, out, error", [
    (["-version"], 0, "fleetd version ", ""),
    (["version"], 0, "fleetd version ", ""),
    (["--h"], 0, "Usage: fleetd", ""),
    (["-nonsense"], 2, "", 'unknown flag "-nonsense"'),
    (["nonsense"], 1, "", 'unexpected argument "nonsense"'),
    (["-config", "/none"], 1, "", "cannot read the configuration file /none: No such file"),
    (["--config=/etc"], 1, "", "/etc is a directory"),
])
def test_the_command_line(lab, argv, status, out, error):
    done = lab.machine(1).run("fleetd", *argv, check=False)
    assert done.returncode == status
    assert done.stdout.startswith(out) and bool(done.stdout) == bool(out)
    assert error in done.stderr and bool(done.stderr) == bool(error)


def test_the_environment_wins_over_the_file(fleet, lab):
    machine = lab.machine(2)
    drop_in = machine.root / "etc/systemd/system/fleet.service.d/environment.conf"
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text("[Service]\nEnvironment=FLEET_METADATA=from=environment FLEET_TOKEN_LIMIT=1\n")
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)
        wait_for("the environment's metadata", lambda: metadata(fleet, machine) == "from=environment", 20,
                 lambda: metadata(fleet, machine))
        assert "nextPageToken" in Fleet(lab, 2).api("GET", "/machines")[1]
    finally:
        drop_in.unlink()
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fleet", timeout=100)
