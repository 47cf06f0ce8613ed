"""fleet over an etcd of three members with TLS, client certificates and users, in a lab of its own."""

import os
import sys

import pytest
from judge import GRACE
from test_config import reload
from units import journal, lives, options, sleeper, start

from conftest import TTL
from fleetlab.fleet import Fleet
from fleetlab.host import wait_for
from fleetlab.lab import Lab

UNITS = [f"one{i}.service" for i in range(3)]


@pytest.fixture(scope="module")
def lab():
    lab = Lab(f"e2e-etcd-{os.getpid()}", say=lambda text: print(f"lab: {text}", file=sys.__stderr__))
    try:
        lab.up(machines=3, ttl=TTL, owner=os.getpid(), members=3, secure=True, registry=False)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def places(fleet):
    """A unit on each machine: {unit: machine number}."""
    for name in UNITS:
        start(fleet, name, sleeper())
    return fleet.wait_running(*UNITS)


def restart(machine, **changed):
    """Restarts fleet with other settings. Answers a function that tells what the new fleetd has said."""
    begun = len(journal(machine))
    machine.configure(machine.fleet_conf(**changed))
    machine.run("systemctl", "restart", "fleet", timeout=100)
    return lambda: journal(machine)[begun:]


def wait_registered(machine, said):
    wait_for(f"{machine.name} to register", lambda: "registered (lease" in said(), 20, said)


def wait_works(fleet, name):
    """A new unit starts on every machine. While etcd elects a leader the API answers 503."""
    body = {"desiredState": "launched", "options": options(sleeper("Global=true"))}
    wait_for(f"{name} to be accepted", lambda: fleet.api("PUT", f"/units/{name}", body)[0] in (201, 204), 30)
    wait_for(f"{name} to run everywhere", lambda: list(fleet.places(name).values()) == ["active/running"] * 3, 30,
             lambda: fleet.ctl("list-units", check=False).stdout)


def test_fleet_keeps_its_registry_there_and_nobody_else_gets_at_it(fleet, lab, places):
    mine = lab.etcd.ctl("get", "--prefix", "--keys-only", "/_coreos.com/fleet/unit/", user="fleet:word").stdout
    assert mine.split() == [f"/_coreos.com/fleet/unit/{name}" for name in UNITS]
    key = f"/_coreos.com/fleet/unit/{UNITS[0]}"
    assert lab.etcd.ctl("get", key, certificate=None, check=False).returncode != 0
    assert lab.etcd.ctl("get", key, user=None, check=False).returncode != 0


# Section 8, row 33: in 1.0 the registration stuck to a dead endpoint.
def test_a_machine_whose_first_endpoint_is_dead_registers(fleet, lab, places):
    before = lives(lab, places)
    dead = f"https://{lab.gateway}:9"
    said = restart(lab.machine(2), etcd_servers=",".join([dead, *lab.etcd.urls]))
    wait_registered(lab.machine(2), said)
    said = restart(lab.machine(3), etcd_servers=f"{dead},{lab.etcd.urls[2]}")
    wait_registered(lab.machine(3), said)
    fleet.wait_machines(3)
    wait_works(fleet, "new.service")
    assert lives(lab, places) == before


def test_each_member_may_die_and_return(fleet, lab, places):
    before = lives(lab, places)
    for number, member in enumerate(lab.etcd.members, 1):
        member.kill()
        wait_works(fleet, f"new{number}.service")
        member.start()
    for number in (1, 2, 3):
        wait_for(f"the API of machine {number} to answer", lambda: Fleet(lab, number).api("GET", "/units")[0] == 200, 20)
    fleet.wait_machines(3)
    assert lives(lab, places) == before


def test_its_leader_is_lost_then_its_quorum_and_both_are_back(judge, lab, before):
    """Work goes on over two members; without a quorum everything stays as it is."""
    leader = wait_for("a member to lead", lab.etcd.leader, 20)
    leader.kill()
    for i in range(6):
        judge.insist(i % 3 + 1, "PUT", f"new{i}.service", sleeper())
    calm = judge.at_rest()
    judge.untouched(before)

    other = wait_for("another member to lead", lab.etcd.leader, 20)
    other.kill()
    judge.says_out_of_contact(1, 2, 3)
    judge.holds(calm, 2 * TTL)
    other.start()
    assert judge.at_rest(quiet=GRACE) == calm
    leader.start()
    judge.launch("last.service", sleeper("Global=true"))
    judge.at_rest()
    judge.untouched(calm)


def test_a_renewed_certificate_is_told_of_at_a_reload_and_read_at_a_restart(fleet, lab, places):
    machine = lab.machine(2)
    file = next(line.partition("=")[2].strip('"') for line in machine.fleet_conf().splitlines()
                if line.startswith("etcd_certfile"))
    told = f"{file} has changed: it is read at the next restart of fleetd"
    assert told not in reload(machine)
    machine.run("touch", file)
    assert told in reload(machine)
    wait_registered(machine, restart(machine))
    assert told not in reload(machine)


@pytest.mark.parametrize("wrong, complaint", [
    # Section 8, row 37: 1.0 did not look at the authority's file.
    ({"etcd_cafile": "/etc/fleet/stranger.pem"}, "check that the authority's file is the right one"),
    ({"etcd_cafile": "/etc/fleet/stranger.pem", "etcd_certfile": None, "etcd_keyfile": None},
     "check that the authority's file is the right one"),
    ({"etcd_cafile": None}, "check that the authority's file is the right one"),
    # The server's certificate names its address only.
    ({"etcd_servers": "https://etcd:2379"}, "the certificate names this host"),
    ({"etcd_certfile": None, "etcd_keyfile": None}, "whether it wants https or a client's certificate"),
    ({"etcd_servers": "http://GATEWAY:2379"}, "whether it wants https or a client's certificate"),
    ({"etcd_password": "wrong"}, "check the user, password and role"),
    ({"etcd_username": None, "etcd_password": None}, "check the user, password and role"),
    ({"etcd_key_prefix": "/another"}, "check the user, password and role"),
], ids=["stranger", "stranger-alone", "no-authority", "name", "no-certificate", "no-tls", "password", "no-user", "prefix"])
def test_what_is_wrong_is_said_and_the_units_go_on(fleet, lab, places, wrong, complaint):
    machine = lab.machine(2)
    # So that the cluster does not take the machine for lost meanwhile.
    wait_registered(machine, restart(machine, agent_ttl="60s"))
    before = lives(lab, places)
    wrong = {key: value and value.replace("GATEWAY", lab.gateway) for key, value in wrong.items()}
    said = restart(machine, agent_ttl="60s", **wrong)
    line = wait_for("fleet to say what is wrong", lambda: next(
        (line for line in said().splitlines() if complaint in line), None), 15, said)
    print(line)
    assert "https://" in line or "http://" in line, "it does not say which endpoint"
    assert "word" not in line.replace("password", ""), "it tells the password"
    assert Fleet(lab, 2).api("GET", "/units")[0] == 503
    assert lives(lab, places) == before
    wait_registered(machine, restart(machine, agent_ttl="60s"))
    assert fleet.wait_running(*UNITS) == places
    assert lives(lab, places) == before
