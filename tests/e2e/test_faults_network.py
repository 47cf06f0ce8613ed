"""Machines are cut off from the others, or only from etcd; what comes through comes late, in pieces or not at all."""

import pytest
from conftest import TTL
from judge import GRACE, PREFIX
from units import journal, sleeper

from fleetlab.host import wait_for
from fleetlab.proxy import Proxy


@pytest.fixture
def proxy(before, lab):
    """Between every machine's fleetd and etcd."""
    with Proxy(lab) as proxy:
        for machine in lab.machines():
            machine.configure(machine.fleet_conf(etcd_servers=proxy.url))
            machine.run("systemctl", "restart", "fleet", timeout=100)
        wait_for("every machine's fleetd to talk to etcd through the proxy",
                 lambda: all(proxy.connections(machine) for machine in lab.machines()), 20)
        yield proxy


@pytest.fixture
def calm(judge, before, proxy):
    """Nothing of which has touched a unit. Answers what runs."""
    assert judge.at_rest() == before
    return before


def test_a_machine_cut_off_and_rejoined(judge, lab, before):
    """It keeps its units; the cluster starts them elsewhere; and when it is back it ceases what was moved, no more."""
    cut = judge.leader()
    judge.fleet.via = cut % 3 + 1
    begun = len(journal(lab.machine(cut)))
    lab.machine(cut).cut()
    mine = [unit for number, unit in before if number == cut and unit != "everywhere.service"]
    wait_for("the machine to notice", lambda: "the store does not answer" in journal(lab.machine(cut))[begun:], 2 * TTL)
    after = judge.at_rest(off=[cut])
    judge.untouched(before, moved=mine, off=[cut])
    there = {key: life for key, life in judge.processes().items() if key[0] == cut}
    assert there == {key: life for key, life in before.items() if key[0] == cut}, "stopped without an order"
    lab.machine(cut).rejoin()
    judge.at_rest(quiet=GRACE)
    judge.untouched(after)
    judge.untouched({key: life for key, life in there.items() if key[1] not in mine})


def test_a_machine_cut_off_for_less_than_its_ttl(judge, lab, before):
    """Nobody calls it dead."""
    lab.machine(2).cut()
    judge.holds(before, TTL / 4)
    lab.machine(2).rejoin()
    assert judge.at_rest(quiet=GRACE) == before


@pytest.mark.parametrize("left", ["leader", "follower"])
def test_all_machines_but_one_cut_off(judge, lab, before, left):
    """The one that is left does not take the others for dead: it cannot tell that from its own cable's being out."""
    leader = judge.leader()
    alone = leader if left == "leader" else leader % 3 + 1
    judge.fleet.via = alone
    cut = [machine for machine in lab.machines() if machine.number != alone]
    begun = len(journal(lab.machine(alone)))
    for machine in cut:
        machine.cut()
    wait_for("the machine that is left to say that it takes this for an outage",
             lambda: "this looks like an outage" in journal(lab.machine(alone))[begun:], 30)
    unit = next(unit for number, unit in before if number != alone and unit.startswith("one"))
    status, body = judge.ask(alone, f"/status?unit={unit}")
    assert status == 200 and "outage" in body["units"][0]["reason"], body
    judge.holds(before, GRACE)
    for machine in cut:
        machine.rejoin()
    assert judge.at_rest(quiet=GRACE) == before


def test_etcd_300_ms_away(judge, lab, proxy, calm):
    """All goes on, slowly: a request takes 0.6 s, of the 1 s that etcd_request_timeout allows."""
    proxy.set(delay=0.3)
    for i in range(6):
        judge.insist(i % 3 + 1, "PUT", f"slow{i}.service", sleeper())
    slow = judge.at_rest()
    judge.untouched(calm)
    # New connections are as slow.
    proxy.cut()
    for i in range(3):
        judge.insist(i % 3 + 1, "DELETE", f"slow{i}.service")
    judge.at_rest(quiet=GRACE)
    judge.untouched(slow, moved=[f"slow{i}.service" for i in range(3)])


def test_stalls(judge, lab, proxy, calm):
    """Connections that stay and carry nothing: shorter than anybody notices, longer than every lease."""
    for i in range(3):
        proxy.set(stalled=True)
        judge.holds(calm, TTL / 3)
        proxy.set(stalled=False)
        judge.insist(i + 1, "PUT", f"new{i}.service", sleeper())
    calm = judge.at_rest()
    proxy.set(stalled=True)
    judge.says_out_of_contact(1, 2, 3)
    judge.holds(calm, 2 * TTL)
    proxy.set(stalled=False)
    assert judge.at_rest(quiet=GRACE) == calm


def test_only_one_machines_connections_stall(judge, lab, proxy, calm):
    """Its API can be reached and it has lost its lease: what it runs moves, and it ceases that when it hears of it."""
    stalled = next(number for number, unit in calm if unit == "one3.service")
    judge.fleet.via = stalled % 3 + 1
    mine = [unit for number, unit in calm if number == stalled and unit != "everywhere.service"]
    proxy.set(lab.machine(stalled), stalled=True)
    judge.says_out_of_contact(stalled)
    after = judge.at_rest(off=[stalled])
    judge.untouched(calm, moved=mine, off=[stalled])
    proxy.set(lab.machine(stalled), stalled=False)
    judge.at_rest(quiet=GRACE)
    judge.untouched(after)
    judge.untouched(calm, moved=mine)


def test_connections_cut_again_and_again(judge, lab, proxy, calm):
    """In the middle of work, as soon as there are new ones."""
    for i in range(20):
        judge.insist(i % 3 + 1, "PUT", f"new{i % 10}.service", sleeper())
        wait_for("connections to be there again, and to cut some", proxy.cut, 20)
        if i >= 10:
            judge.insist(i % 3 + 1, "DELETE", f"new{i % 10}.service")
    judge.at_rest(quiet=GRACE)
    judge.untouched(calm)


def test_etcd_compacted_under_a_watch(judge, lab, proxy, calm):
    """What a machine missed is no longer to be had: it reads its orders anew, and stops nothing but what they say."""
    away = judge.leader() % 3 + 1
    judge.fleet.via = away % 3 + 1
    machine = lab.machine(away)
    judge.launch("old.service", sleeper(f"MachineID={machine.id}"))
    calm = judge.at_rest()
    proxy.set(machine, down=True)
    judge.destroy("old.service")
    judge.launch("new.service", sleeper(f"MachineID={machine.id}"))
    orders = f"{PREFIX}schedule/{machine.id}/"

    def given():
        found = lab.etcd.keys(orders)
        return orders + "new.service" in found and '"inactive"' in found[orders + "old.service"]["value"]
    wait_for("the orders to be given", given, TTL, lambda: str(lab.etcd.keys(orders)))
    lab.etcd.compact()
    proxy.set(machine, down=False)
    judge.at_rest(quiet=GRACE)
    judge.untouched(calm, moved=["old.service"])
