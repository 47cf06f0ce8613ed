"""Moving the embedded registry to etcd, and importing that of fleet 1.0: no unit is touched by either."""

import hashlib
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from units import journal, lives, show, sleeper, start

from fleetlab.fleet import Fleet
from fleetlab.host import opener, wait_for

FILE = "/var/lib/fleet/registry.db"
# No other test's registry lies there.
PREFIX = "/moved/"
KEYS = {"etcd_key_prefix": PREFIX}
LOG = "/root/registry.log"  # Of a command that runs aside.


def fleetd_pid(machine):
    return int(machine.run("systemctl", "show", "--property=MainPID", "--value", "fleet").stdout)


def restart(machine, text):
    machine.configure(text)
    machine.run("systemctl", "restart", "fleet")


@pytest.fixture
def machine(fleet, lab):
    """Machine 3, and an etcd without anything under PREFIX. The next test's `fleet` gives it back its own."""
    lab.etcd.ctl("del", "--prefix", PREFIX)
    machine = lab.machine(3)
    machine.run("systemctl", "stop", "fleet")
    yield machine
    for number in (2, 3):
        cluster = Fleet(lab, via=number)
        for row in cluster.table("list-unit-files"):
            cluster.ctl("destroy", row["UNIT"])
        wait_for("no unit to be left", lambda: not cluster.units(), 30, cluster.units)
        lab.machine(number).run("systemctl", "stop", "fleet")
        lab.machine(number).run("rm", "-f", FILE)
        restart(lab.machine(number), lab.machine(number).fleet_conf())
    lab.etcd.ctl("del", "--prefix", PREFIX)


@pytest.fixture
def alone(machine, lab):
    """It as a cluster of one, with units of every kind."""
    machine.run("rm", "-f", FILE)
    machine.configure(machine.fleet_conf(etcd_servers=None, **KEYS))
    machine.run("systemctl", "start", "fleet")
    alone = Fleet(lab, via=3)
    alone.wait_machines(1)
    start(alone, "a.service", sleeper())
    start(alone, "everywhere.service", sleeper("Global=true"))
    start(alone, "restarted.service", sleeper())
    start(alone, "loaded.service", sleeper(), state="loaded")
    start(alone, "known.service", sleeper(), state="inactive")
    alone.wait_running("a.service", "everywhere.service", "restarted.service")
    alone.ctl("restart", "restarted.service")
    alone.wait_running("restarted.service")
    wait_for("all to be as wanted", lambda: desired(alone) == DESIRED and states(alone) == DESIRED, 20)
    alone.api("PATCH", "/machines", [{"op": "add", "path": f"/{machine.id}/metadata/disk", "value": "tape"}])
    return alone


RUNNING = {"a.service": 3, "everywhere.service": 3, "restarted.service": 3}
DESIRED = {**dict.fromkeys(RUNNING, "launched"), "loaded.service": "loaded", "known.service": "inactive"}


def desired(fleet):
    return {row["UNIT"]: row["DSTATE"] for row in fleet.table("list-unit-files", "--fields=unit,dstate")}


def states(fleet):
    said = json.loads(fleet.ctl("list-unit-files", "-o", "json").stdout)
    return {unit["name"]: unit["currentState"] for unit in said}


def test_moves_to_etcd_without_touching_a_unit(alone, machine, lab):
    before = lives(lab, RUNNING)
    old_fleetd = fleetd_pid(machine)
    machine.configure(machine.fleet_conf(**KEYS))
    said = machine.run("fleetd", "registry", "move", timeout=90).stdout
    assert "restarting fleet.service" in said and "done: 5 units are in the registry" in said
    assert fleetd_pid(machine) not in (0, old_fleetd)
    # Registered before the command ended, it answers from etcd.
    assert desired(alone) == DESIRED
    wait_for("all to be told as before", lambda: states(alone) == DESIRED, 20, lambda: str(states(alone)))
    assert lives(lab, RUNNING) == before
    (row,) = alone.table("list-machines")
    assert "disk=tape" in row["METADATA"]
    assert machine.run("stat", "-c", "%s", FILE).stdout != "0\n", "the source is left as it was"

    # A second machine joins, a global unit comes to it, and what was carried over can be moved.
    restart(lab.machine(2), lab.machine(2).fleet_conf(**KEYS))
    alone.wait_machines(2)
    wait_for("the global unit to run on both", lambda: alone.places("everywhere.service") == {
        2: "active/running", 3: "active/running"}, 30, lambda: str(alone.units()))
    assert lives(lab, RUNNING) == before
    machine.run("systemctl", "restart", "fleet")
    wait_for("the restarted fleetd to have found its units", lambda: states(alone) == DESIRED, 30)
    assert lives(lab, RUNNING) == before
    # Whoever runs it again is told.
    again = machine.run("fleetd", "registry", "move", check=False)
    assert again.returncode == 1 and "it holds something already" in again.stderr
    assert lives(lab, RUNNING) == before
    # It is the registry that counts now.
    alone.ctl("restart", "restarted.service")
    assert lives(lab, RUNNING)[3, "restarted.service"] != before[3, "restarted.service"]


def test_a_move_can_be_interrupted_anywhere(alone, machine, lab):
    before = lives(lab, RUNNING)
    nothing = machine.run("fleetd", "registry", "move", check=False)
    assert nothing.returncode == 1 and "no etcd_servers are set" in nothing.stderr
    machine.configure(machine.fleet_conf(**KEYS))
    # Killed as soon as it shows in etcd, and as soon as the first units do.
    for key in (f"{PREFIX}incomplete", f"{PREFIX}unit/a.service"):
        run_aside(machine, "move")
        wait_for(f"{key} to show", lambda: key in lab.etcd.keys(PREFIX), 60, lambda: str(lab.etcd.keys(PREFIX)))
        kill_aside(machine)
        assert lives(lab, RUNNING) == before
        if f"{PREFIX}incomplete" in lab.etcd.keys(PREFIX) and is_on_etcd(machine):
            assert_frozen(alone)
    if f"{PREFIX}incomplete" in lab.etcd.keys(PREFIX):
        said = machine.run("fleetd", "registry", "move", timeout=90).stdout
        assert "an earlier copy was interrupted; it is begun anew" in said and "done: 5 units" in said
    wait_for("all to be told as before", lambda: states(alone) == DESIRED, 20, lambda: str(states(alone)))
    assert lives(lab, RUNNING) == before


def run_aside(machine, *arguments):
    machine.run("sh", "-c", f'fleetd registry "$@" >{LOG} 2>&1 & echo $! >{LOG}.pid', "sh", *arguments)


def kill_aside(machine):
    machine.run("sh", "-c", f"kill -KILL $(cat {LOG}.pid); true")
    wait_for("it to be gone", lambda: machine.run(
        "sh", "-c", f"kill -0 $(cat {LOG}.pid)", check=False).returncode != 0, 10)


def is_on_etcd(machine):
    starts = [line for line in journal(machine).splitlines() if "; the registry is " in line]
    return "the registry is etcd" in starts[-1]


def assert_frozen(fleet):
    """What is not complete is not changed by anybody."""
    def refused():
        status, body = fleet.api("PUT", "/units/new.service", {"desiredState": "launched", "options": [
            {"section": "Service", "name": "ExecStart", "value": "/bin/true"}]})
        assert status == 503, (status, body)
        return "the registry is incomplete (fleetd registry move from" in body["error"]["message"]
    wait_for("a request to be refused", refused, 20)


def test_an_import_takes_over_what_fleet_1_0_runs(machine, lab):
    """Units as 1.0's engine and agents left them, when its fleetds were killed."""
    other = lab.machine(2)
    other.run("systemctl", "stop", "fleet")
    v2 = Version2(lab)
    v2.remove()
    for name, number, state, text in (
            ("one.service", 2, "launched", sleeper()), ("two.service", 3, "launched", sleeper()),
            ("three.service", 3, "loaded", sleeper() + "\n[Install]\nWantedBy=multi-user.target\n"),
            ("every.service", None, "launched", sleeper("Global=true")),
            ("idle.service", None, "inactive", sleeper())):
        v2.unit(name, state, lab.machine(number).id if number else None, text)
        for k in [number] if number else [2, 3] if name == "every.service" else []:
            place_as_1_0(lab.machine(k), name, v2.stored(text), state)
    v2.put(f"machines/{other.id}/metadata/disk", "tape")
    v2.put(f"job/destroyed.service/job-state", other.id)
    places = {"one.service": 2, "two.service": 3, "every.service": (2, 3)}
    before = lives(lab, places)
    assert all(pid for _, pid in before.values())

    for each in (other, machine):
        each.configure(each.fleet_conf(**KEYS))
        # As docs/registry.md says: 1.0 was root.
        each.run("find", "/run/systemd/system", "-lname", "/run/fleet/units/*", "-exec", "chown", "-h", "fleet:fleet", "{}", "+")
        each.run("chown", "-R", "fleet:fleet", "/run/fleet")
        each.run("systemctl", "start", "fleet")
    cluster = Fleet(lab, via=3)
    cluster.wait_machines(2)

    # Refused, and nothing changed: a 1.0 is alive; something cannot be read.
    v2.put(f"machines/{other.id}/object", json.dumps({"ID": other.id}), ttl=3)
    alive = machine.run("fleetd", "registry", "import", "-from-prefix", v2.prefix, check=False)
    assert alive.returncode == 1 and f"fleet 1.0 is alive, or was until just now, on {other.id}" in alive.stderr
    wait_for("its record to run out", lambda: not v2.exists(f"machines/{other.id}/object"), 10)
    v2.unit("poisoned.service", "running", None, sleeper())
    bad = machine.run("fleetd", "registry", "import", "-from-prefix", v2.prefix, check=False)
    assert bad.returncode == 1 and 'job/poisoned.service: its target-state: unit state "running"' in bad.stderr
    # The leader key and the machines, which live on leases; the barrier and the fences are nothing of interest.
    assert not [key for key in lab.etcd.keys(PREFIX) if not key.startswith(
        (f"{PREFIX}machine/", f"{PREFIX}state/", f"{PREFIX}engine/", f"{PREFIX}fence/"))]

    done = machine.run("fleetd", "registry", "import", "-from-prefix", v2.prefix, "-skip-unreadable", timeout=90)
    assert "done: 5 units are in the registry" in done.stdout and "job/poisoned.service" in done.stderr
    expected = {"one.service": "launched", "two.service": "launched", "three.service": "loaded",
                "every.service": "launched", "idle.service": "inactive"}
    wait_for("fleetd to have read them", lambda: desired(cluster) == expected, 10)
    wait_for("all to be found", lambda: states(cluster) == expected, 30, lambda: str(states(cluster)))
    assert cluster.place("one.service") == 2 and cluster.place("two.service") == 3
    assert cluster.places("every.service") == {2: "active/running", 3: "active/running"}
    assert lives(lab, places) == before
    assert [row["METADATA"] for row in cluster.table("list-machines") if "disk=tape" in row["METADATA"]]

    # They are fleet's own from now on, through restarts and to their end.
    for each in (other, machine):
        each.run("systemctl", "restart", "fleet")
    wait_for("all to be found again", lambda: states(cluster) == expected, 30, lambda: str(states(cluster)))
    assert lives(lab, places) == before
    cluster.ctl("destroy", "--block-attempts=20", "one.service", "three.service")
    assert other.run("systemctl", "is-active", "one.service", check=False).stdout == "inactive\n"
    for each, name in ((other, "one.service"), (machine, "three.service")):
        assert each.run("ls", f"/run/fleet/units/{name}", f"/run/systemd/system/{name}", check=False).stdout == ""
    v2.remove()


def test_an_import_waits_for_the_machines_that_have_units(machine, lab):
    v2 = Version2(lab)
    v2.remove()
    gone = "f" * 32
    v2.unit("moves.service", "launched", gone, sleeper())
    machine.configure(machine.fleet_conf(**KEYS))
    machine.run("systemctl", "start", "fleet")
    cluster = Fleet(lab, via=3)
    cluster.wait_machines(1)
    run_aside(machine, "import", "-from-prefix", v2.prefix)
    wait_for("the command to wait", lambda: "waiting for the machines" in machine.run("cat", LOG).stdout, 20)
    wait_for("the unit to be known", lambda: desired(cluster) == {"moves.service": "launched"}, 20)
    (unit,) = json.loads(cluster.ctl("list-unit-files", "-o", "json").stdout)
    assert unit["machineID"] in ("", gone) and unit["currentState"] == "inactive"
    assert "the registry is incomplete (fleetd registry import from" in unit["reason"]
    assert "Incomplete: fleetd registry import from" in cluster.ctl("info").stdout
    kill_aside(machine)
    machine.run("fleetd", "registry", "import", "-from-prefix", v2.prefix, "-lost", gone, timeout=90)
    cluster.wait_running("moves.service", seconds=60)
    v2.remove()


class Version2:
    """etcd's version 2, as fleet 1.0 writes it."""

    prefix = "/old/fleet/"

    def __init__(self, lab):
        self.url = f"{lab.etcd.url}/v2/keys{self.prefix}"

    def call(self, method, key, body=None):
        data = urllib.parse.urlencode(body).encode() if body is not None else None
        with opener.open(urllib.request.Request(self.url + key, data=data, method=method), timeout=10) as answer:
            return json.load(answer)

    def put(self, key, value, ttl=None):
        self.call("PUT", key, {"value": value, **({"ttl": ttl} if ttl else {})})

    def exists(self, key):
        try:
            return bool(self.call("GET", key))
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return False

    def remove(self):
        if self.exists(""):
            self.call("DELETE", "?recursive=true")

    @staticmethod
    def stored(text):
        """The canonical text of these tests' files is their own, with one empty line between sections."""
        return text.replace("\n\n\n", "\n\n")

    def unit(self, name, state, machine, text):
        raw = self.stored(text)
        digest = hashlib.sha1(raw.encode())
        self.put(f"unit/{digest.hexdigest()}", json.dumps({"Raw": raw}))
        self.put(f"job/{name}/object", json.dumps({"Name": name, "UnitHash": list(digest.digest())}))
        self.put(f"job/{name}/target-state", state)
        if machine:
            self.put(f"job/{name}/target", machine)


def place_as_1_0(machine, name, text, state):
    """What 1.0's agent does to load and start a unit."""
    path = f"/run/fleet/units/{name}"
    machine.run("mkdir", "-p", "/run/fleet/units")
    machine.run("sh", "-c", f"cat >{path} && chmod 0644 {path}", input=text)
    call = ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager"]
    machine.run(*call, "LinkUnitFiles", "asbb", "1", path, "true", "true")
    if "[Install]" in text:
        machine.run(*call, "EnableUnitFiles", "asbb", "1", path, "true", "true")
    machine.run("systemctl", "daemon-reload")
    if state == "launched":
        machine.run(*call, "StartUnit", "ss", name, "replace")
        wait_for(f"{name} to run", lambda: show(machine, [name], "ActiveState")[name]["ActiveState"] == "active", 20)
