"""Machines lose power in the worst moment, and one's systemd has jobs that never end."""

from concurrent.futures import ThreadPoolExecutor

from conftest import TTL
from judge import GRACE
from units import show, sleeper

from fleetlab.host import wait_for

# A start that never ends, and a stop that never ends while /run/hold is there.
NEVER_STARTED = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n"
NEVER_STOPPED = ("[Service]\nExecStart=/bin/sleep infinity\nTimeoutStopSec=infinity\n"
                 "ExecStop=/bin/sh -c 'while [ -e /run/hold ]; do sleep 0.2; done'\n")


def boot(lab, number):
    lab.machine(number).power_on()
    lab.machine(number).wait_booted()


def test_the_leaders_machine_loses_power(judge, lab, before):
    leader = judge.leader()
    judge.fleet.via = leader % 3 + 1
    lab.machine(leader).kill()
    assert judge.leader(other_than=leader) != leader
    moved = [unit for number, unit in before if number == leader]
    after = judge.at_rest(off=[leader])
    judge.untouched(before, moved=set(moved) - {"everywhere.service"}, off=[leader])
    boot(lab, leader)
    judge.at_rest(quiet=GRACE)
    judge.untouched(after)


def test_three_hundred_units_start_while_machines_die(judge, lab, before):
    """Each machine in turn, two of them in the middle of starting what they were given; a third of all units moves each
    time. Whatever was taken by the API runs, once, and no unit of a machine that lived was touched."""
    names = [f"many{i}.service" for i in range(300)]
    judge.fleet.via = 1

    def launch_all():
        for name in names:
            judge.insist(1, "PUT", name, sleeper())

    with ThreadPoolExecutor(1) as pool:
        launching = pool.submit(launch_all)
        for victim in (2, 3):
            enough = len(lives_on(lab, victim)) + 15
            wait_for(f"machine {victim} to start some of them", lambda: len(lives_on(lab, victim)) >= enough
                     or launching.done(), 60, lambda: str(len(lives_on(lab, victim))))
            print(f"machine {victim} dies with {len(lives_on(lab, victim))} of them running")
            lab.machine(victim).kill()
            boot(lab, victim)
            judge.answers(victim)
        launching.result(timeout=120)
    calm = judge.at_rest(seconds=120)
    judge.untouched({key: life for key, life in before.items() if key[0] == 1})

    # At rest again: one dies, and a third of them moves.
    lab.machine(3).kill()
    moved = {unit for number, unit in calm if number == 3 and unit != "everywhere.service"}
    after = judge.at_rest(off=[3], seconds=120)
    judge.untouched(calm, moved=moved, off=[3])
    boot(lab, 3)
    judge.at_rest(quiet=GRACE)
    judge.untouched(after)


def lives_on(lab, number):
    """The units of this test that run on a machine."""
    said = lab.machine(number).run("systemctl", "list-units", "many*", "--state=active", "--no-legend", "--plain").stdout
    return said.split("\n")[:-1]


def test_a_machine_whose_systemd_hangs_jobs(judge, lab, before):
    """A start and a stop that never end hold up no other unit, neither on that machine nor elsewhere, nor a restart of
    fleetd; and the hung start can be taken back."""
    machine = lab.machine(2)
    here = f"MachineID={machine.id}"
    state = lambda unit: show(machine, [unit], "ActiveState")[unit]["ActiveState"]
    judge.launch("starting.service", NEVER_STARTED + f"[X-Fleet]\n{here}\n", becomes="activating/")
    judge.launch("stopping.service", NEVER_STOPPED + f"[X-Fleet]\n{here}\n")
    machine.run("touch", "/run/hold")
    hung = judge.at_rest()
    judge.destroy("stopping.service")
    wait_for("the stop to hang", lambda: state("stopping.service") == "deactivating", 20)

    for i in range(20):
        judge.launch(f"new{i}.service", sleeper(here))
    wait_for("the other units to run", lambda: all(state(f"new{i}.service") == "active" for i in range(20)), 30)
    judge.destroy("new0.service")
    wait_for("another unit to stop", lambda: state("new0.service") == "inactive", 20)
    machine.run("systemctl", "restart", "fleet", timeout=100)
    judge.answers(2)
    judge.launch("new0.service", sleeper(here))
    wait_for("another unit to run", lambda: state("new0.service") == "active", 20)
    assert (state("starting.service"), state("stopping.service")) == ("activating", "deactivating")
    judge.untouched(before)
    judge.untouched(hung, moved=["stopping.service"])

    # A hung start that nobody wants any more is ended; and a job that ends at last is seen to.
    judge.destroy("starting.service")
    wait_for("the hung start to be ended", lambda: state("starting.service") in ("inactive", "failed"), 20)
    machine.run("rm", "/run/hold")
    judge.at_rest(quiet=TTL)
    judge.untouched(before)
