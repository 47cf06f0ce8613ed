"""The lab itself: it leaves nothing behind, whatever happens to it, and labs do not disturb one another."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from fleetlab.host import LabError, cgroup_root, mounts_below, run, wait_for
from fleetlab.lab import STATE, Lab, all_labs, http_get

TOOL = REPO / "lab" / "lab"


def leftovers(name, prefix):
    """What there is on the host of a lab with this name and network prefix."""
    found = [str(p) for p in Path("/sys/class/net").glob(f"{prefix}*")]
    found += [str(p) for p in Path("/run/netns").glob(f"{prefix}-*")]
    found += [str(p) for p in cgroup_root().glob(f"fleet-lab-{name}")]
    found += mounts_below(STATE / name)
    found += [str(p) for p in STATE.glob(name)]
    processes = subprocess.run(["ps", "-eo", "pid,args"], text=True, capture_output=True).stdout.splitlines()
    found += [line for line in processes if f"{STATE}/{name}/" in line]
    return found


@pytest.fixture
def small():
    """A lab of one machine, of this test's own."""
    lab = Lab(f"e2e-small-{os.getpid()}")
    try:
        yield lab
    finally:
        lab.down()


def test_machine_dies_boots_and_keeps_its_disk(small):
    small.up(machines=1, owner=os.getpid())
    machine = small.machine(1)
    before = machine.run("cat", "/etc/machine-id").stdout
    machine.run("sh", "-c", "echo kept >/var/kept; touch /run/lost; sync")
    machine.kill()
    assert not machine.running()
    with pytest.raises(LabError, match="not running"):
        machine.run("true")
    machine.power_on()
    machine.wait_booted()
    assert machine.run("cat", "/var/kept").stdout == "kept\n"
    assert machine.run("cat", "/etc/machine-id").stdout == before
    assert machine.run("test", "-e", "/run/lost", check=False).returncode == 1


def test_machine_cut_off_reaches_nothing_until_it_rejoins(small):
    small.up(machines=1, owner=os.getpid())
    machine = small.machine(1)
    ask = ("curl", "-s", "-f", "--max-time", "1", f"{small.etcd_url}/health")
    assert machine.run(*ask).returncode == 0
    machine.cut()
    assert machine.run(*ask, check=False).returncode != 0
    machine.rejoin()
    wait_for("etcd to be reached again", lambda: machine.run(*ask, check=False).returncode == 0, 10)


def test_etcd_freezes_stops_and_keeps_its_data(small):
    small.up(machines=1, owner=os.getpid())
    machine = small.machine(1)
    machine.run("etcdctl", "set", "/kept", "yes")
    small.etcd.freeze()
    assert http_get(f"{small.etcd_url}/health", timeout=0.5) is None
    small.etcd.thaw()
    small.etcd.stop()
    assert http_get(f"{small.etcd_url}/health", timeout=0.5) is None
    small.etcd.start()
    assert machine.run("etcdctl", "get", "/kept").stdout == "yes\n"


def test_two_labs_side_by_side(small, lab):
    small.up(machines=1, owner=os.getpid())
    assert small.network != lab.network
    small.machine(1).run("etcdctl", "set", "/mine", "small")
    assert lab.machine(1).run("etcdctl", "get", "/mine", check=False).returncode != 0
    name, prefix = small.name, small.prefix
    small.down()
    assert leftovers(name, prefix) == []
    assert lab.machine(1).run("systemctl", "is-active", "basic.target").stdout == "active\n"


# Broken off at different points: after the etcd, between two machines, and with all machines booting.
@pytest.mark.parametrize("last_words", ["lab e2e", "machine-1 boots", "machine-2 boots"])
def test_down_removes_what_a_killed_lab_tool_left(last_words):
    name = f"e2e-crash-{os.getpid()}"
    tool = subprocess.Popen([TOOL, "--lab", name, "up", "--machines", "2"], stderr=subprocess.PIPE, text=True)
    try:
        for line in tool.stderr:
            if last_words in line:
                break
        tool.send_signal(signal.SIGKILL)
        tool.wait()
        prefix = Lab(name).prefix
        assert leftovers(name, prefix), "the test came too late or too early: nothing was left to remove"
    finally:
        tool.kill()
        down = subprocess.run([TOOL, "--lab", name, "down"], text=True, capture_output=True)
    assert down.returncode == 0, down.stderr
    assert leftovers(name, prefix) == []


def test_lab_of_a_dead_owner_is_removed_by_the_next(small):
    orphan = f"e2e-orphan-{os.getpid()}"
    script = ("import os, sys; sys.path.insert(0, sys.argv[1]); from fleetlab.lab import Lab; "
              "lab = Lab(sys.argv[2]); lab.up(machines=1, owner=os.getpid()); print(lab.prefix, flush=True); "
              "os.kill(os.getpid(), 9)")
    done = subprocess.run([sys.executable, "-c", script, str(REPO / "lab"), orphan], text=True, capture_output=True)
    assert done.returncode == -9, done.stderr
    prefix = done.stdout.strip()
    small.up(machines=1, owner=os.getpid())
    assert orphan not in [lab.name for lab in all_labs()]
    assert [left for left in leftovers(orphan, prefix) if prefix != small.prefix] == []


@pytest.mark.parametrize("argv, complaint", [
    (["up", "--machines", "0"], "1 to 250 machines"),
    (["up", "--metadata", "1:oops"], "not like 1:region=east"),
    (["up", "--machines", "1", "--metadata", "2:a=b"], "only 1 machine"),
    (["shell", "1"], "no lab"),
    (["kill", "9"], "no lab"),
])
def test_wrong_use_is_refused_with_a_reason(argv, complaint):
    done = subprocess.run([TOOL, "--lab", f"e2e-none-{os.getpid()}", *argv], text=True, capture_output=True)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_down_of_no_lab_is_no_error():
    subprocess.run([TOOL, "--lab", f"e2e-none-{os.getpid()}", "down"], check=True, timeout=60)


def test_a_command_that_fails_while_something_is_waited_for_is_no_answer_yet():
    commands = iter(["false", "false", "true"])
    assert wait_for("what comes in the end", lambda: run(next(commands)), 5).returncode == 0
    with pytest.raises(LabError, match="in vain; seen: false: exit status 1"):
        wait_for("what never comes", lambda: run("false"), 0.2)
    with pytest.raises(LabError, match="not installed"):
        wait_for("what cannot be", lambda: run("no-such-program"), 60)
