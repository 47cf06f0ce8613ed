"""fleetd is killed, restarted in the middle of work, and told the wrong time: no unit notices, and nothing is lost."""

import os
import random
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
from judge import GRACE
from units import main_pid, show, sleeper

from fleetlab.fleet import PORT
from fleetlab.host import opener, run, wait_for

# A kill that finds fleetd in this state of its life.
AT_BIRTH, ANSWERING, AT_WORK = "as soon as it is there", "once it answers", "with a unit just given to it"


def fleetd(lab, number):
    return main_pid(lab, number, "fleet.service")


def test_killed_twenty_times_at_random(judge, lab, before):
    seed = int(os.environ.get("FLEET_TEST_SEED") or random.randrange(1 << 32))
    print(f"FLEET_TEST_SEED={seed}")
    chance = random.Random(seed)
    moments = {}
    for turn in range(20):
        number = chance.randrange(1, 4)
        # One that dies at each birth never tells that its machine lives, and the machine's units rightly move.
        moment = chance.choice([ANSWERING, AT_WORK] + [AT_BIRTH] * (moments.get(number) != AT_BIRTH))
        moments[number] = moment
        print(f"{turn}: machine {number}, {moment}")
        wait_for("fleetd to be there", lambda: fleetd(lab, number), 20)
        if moment != AT_BIRTH:
            judge.answers(number)
        if moment == AT_WORK:
            judge.insist(number, "PUT", f"new{turn}.service", sleeper(f"MachineID={lab.machine(number).id}"))
        lab.machine(number).run("kill", "-KILL", str(fleetd(lab, number)))
        judge.untouched(before)
    judge.at_rest(quiet=GRACE)
    judge.untouched(before)


def test_restarted_everywhere_under_load(judge, lab, before):
    """Users start and destroy units through whichever fleetd answers, while all of them are restarted at once."""
    stop = threading.Event()
    turns = []

    def load():
        while not stop.is_set():
            turn = len(turns)
            name = f"load{turn % 8}.service"
            judge.insist(turn % 3 + 1, "DELETE" if turn // 8 % 2 else "PUT", name, sleeper())
            turns.append(name)

    with ThreadPoolExecutor(4) as pool:
        loading = pool.submit(load)
        try:
            for _ in range(4):
                done = len(turns)
                wait_for("the load to go on", lambda: len(turns) >= done + 10 or loading.done(), 60)
                old = {number: fleetd(lab, number) for number in (1, 2, 3)}
                list(pool.map(lambda machine: machine.run("systemctl", "restart", "fleet", timeout=100), lab.machines()))
                assert not set(old.items()) & {(number, fleetd(lab, number)) for number in old}
                judge.answers()
                judge.untouched(before)
        finally:
            stop.set()
        loading.result(timeout=100)
    judge.at_rest(quiet=GRACE)
    judge.untouched(before)


# Only CLOCK_REALTIME jumps: the kernel moves CLOCK_MONOTONIC for nobody, neither for ntp nor for `date`.
FAKE_CLOCK = """[Service]
Environment=LD_PRELOAD=/run/true-timers.so:/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1
Environment=FAKETIME_TIMESTAMP_FILE=/run/faketime FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
"""

# faketime takes the absolute time of any timerfd for a time of day, also that of a monotonic one, by which an event loop
# says "at once": beside a wrong clock such a timer never fires.
TRUE_TIMERS = """#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
int timerfd_settime(int timer, int flags, const struct itimerspec *time, struct itimerspec *old) {
  return syscall(SYS_timerfd_settime, timer, flags, time, old);
}
"""


@pytest.fixture
def set_clock(lab, before, tmp_path):
    """A function that sets a fleetd's clock: (machine number, hours from the true time)."""
    def set_clock(number, hours):
        # Renamed into place: never read half-written.
        lab.machine(number).run("sh", "-c", f"echo {hours:+d}h >/run/faketime.new && mv /run/faketime.new /run/faketime")

    library = tmp_path / "true-timers.so"
    run("gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, input=TRUE_TIMERS)
    for machine in lab.machines():
        machine.run("sh", "-c", "base64 -d >/run/true-timers.so", input=b64encode(library.read_bytes()).decode())

    def configure(command):
        for machine in lab.machines():
            machine.run("sh", "-c", f"mkdir -p /run/systemd/system/fleet.service.d && {command} && systemctl daemon-reload "
                        "&& systemctl restart fleet", input=FAKE_CLOCK, timeout=100)
    for number in (1, 2, 3):
        set_clock(number, 0)
    configure("cat >/run/systemd/system/fleet.service.d/clock.conf")
    yield set_clock
    configure("rm -r /run/systemd/system/fleet.service.d")


def hours_off(lab, number):
    """How wrong the clock of a machine's fleetd is, from the Date of an answer."""
    with opener.open(f"http://{lab.machine(number).address}:{PORT}/fleet/v1/machines", timeout=10) as answer:
        said = parsedate_to_datetime(answer.headers["Date"])
    return round((said.timestamp() - time.time()) / 3600)


def test_clocks_that_jump_back_and_forth(judge, lab, before, set_clock):
    judge.at_rest()
    for turn, jumps in enumerate([(48, -48, 0), (-1000, 1, 1000), (0, 0, -1), (1, -1, 5)]):
        for number, hours in zip((1, 2, 3), jumps):
            set_clock(number, hours)
            wait_for(f"fleetd on machine {number} to go by the new time", lambda: hours_off(lab, number) == hours, 10,
                     lambda: str(hours_off(lab, number)))
        # Files are written anew under a clock that has gone back, which systemd must notice nevertheless.
        for i in range(3):
            if turn:
                judge.destroy(f"new{i}.service")
            judge.launch(f"new{i}.service", f"[Unit]\nDescription=of turn {turn}\n{sleeper()}")
        now = judge.at_rest()
        for number, unit in now:
            if unit.startswith("new"):
                shown = show(lab.machine(number), [unit], "Description", "NeedDaemonReload")[unit]
                assert shown == {"Description": f"of turn {turn}", "NeedDaemonReload": "no"}
        judge.untouched(before)

    # Time limits are those of the true time: an etcd that hangs is noticed, and its return too.
    set_clock(1, -1000)
    set_clock(2, 1000)
    lab.etcd.freeze()
    judge.says_out_of_contact(1, 2, 3)
    set_clock(1, 1000)
    set_clock(2, -1000)
    lab.etcd.thaw()
    judge.at_rest(quiet=GRACE)
    judge.untouched(before)
