"""The judge of the tests of faults: what must hold of a cluster, whatever has happened to it.

Its witness is systemd, on every machine: the InvocationID of a unit changes when it is started anew, whoever did that,
and its MainPID also when systemd restarted only the process.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import NamedTuple

from conftest import TTL
from units import options

from fleetlab.fleet import Fleet, number_of
from fleetlab.host import LabError, wait_for

# At rest the registry has stood still for so long: longer than any unit of the tests takes to start.
QUIET = 2.5
# What a leader may decide after an outage it decides once the grace (a TTL) and a third of one are over.
GRACE = TTL * 4 / 3 + 1


PREFIX = "/_coreos.com/fleet/"  # of fleet's keys in etcd


class Process(NamedTuple):
    """One life of a unit on a machine."""
    invocation: str
    pid: int
    state: str  # "active/running"


class Judge:
    def __init__(self, fleet):
        self.fleet = fleet
        self.lab = fleet.lab
        self.everywhere = {}  # Every unit that was launched: whether it is a global one.
        self.states = {}  # And the state that it is to come to: the beginning of "active/running" and so on.
        self.destroyed = set()

    # --- the units ------------------------------------------------------------------------------------------------

    def launch(self, name, text, becomes="active/"):
        self._expect(name, text, becomes)
        status, body = self.fleet.api("PUT", f"/units/{name}", _launched(text))
        assert status in (201, 204), f"PUT {name}: {status} {body}"

    def destroy(self, name):
        status, body = self.fleet.api("DELETE", f"/units/{name}")
        assert status == 204, f"DELETE {name}: {status} {body}"
        self._expect_no_more(name)

    def insist(self, number, method, name, text="", seconds=60):
        """PUTs or DELETEs a unit through that machine until it has taken the request: what a user does while fleetd
        comes and goes. A request without an answer may have been carried out; asked again it does no more."""
        body = _launched(text) if method == "PUT" else None

        def taken():
            status, _ = self.ask(number, f"/units/{name}", method, body)
            return status in (201, 204) or (method == "DELETE" and status == 404)
        wait_for(f"{method} {name} to be taken by machine {number}", taken, seconds,
                 lambda: str(self.ask(number, f"/units/{name}")))
        if method == "PUT":
            self._expect(name, text)
        else:
            self._expect_no_more(name)

    def _expect(self, name, text, becomes="active/"):
        self.everywhere[name] = "Global=true" in text
        self.states[name] = becomes
        self.destroyed.discard(name)

    def _expect_no_more(self, name):
        del self.everywhere[name], self.states[name]
        self.destroyed.add(name)

    # --- what systemd says ------------------------------------------------------------------------------------------

    def machines(self, off=()):
        return [machine for machine in self.lab.machines() if machine.number not in off]

    def processes(self, off=()):
        """{(machine number, unit): its life} of whatever runs of fleet's on the machines that are not off."""
        machines = self.machines(off)
        with ThreadPoolExecutor(len(machines)) as pool:
            found = pool.map(self._processes_of, machines)
        return {(machine.number, unit): life for machine, units in zip(machines, found) for unit, life in units.items()}

    def _processes_of(self, machine):
        shown = machine.run("systemctl", "show", "*.service", "*.timer", "*.path",
                            "--property=Id,InvocationID,MainPID,ActiveState,SubState,FragmentPath").stdout
        found = {}
        for block in shown.split("\n\n"):
            unit = dict(line.partition("=")[::2] for line in block.splitlines())
            name = unit.get("Id", "")
            # By name too: a unit whose file is gone while it runs on is just what must not be missed.
            ours = unit.get("FragmentPath", "").startswith("/run/fleet/") or name in self.everywhere or name in self.destroyed
            if ours and unit["ActiveState"] not in ("inactive", "failed"):
                found[name] = Process(unit["InvocationID"], int(unit.get("MainPID") or 0),
                                      f"{unit['ActiveState']}/{unit['SubState']}")
        return found

    # --- the verdicts -----------------------------------------------------------------------------------------------

    def at_rest(self, off=(), quiet=QUIET, seconds=60):
        """Waits for rest, and answers what runs then: every unit that was launched is active on exactly one machine, a
        global one on each; every machine's API says the same as systemd; and the registry stands still."""
        def lasts():
            if self.disorder(off):
                return False
            # Not yet rest: an API may have answered from what it knew before it had noticed an outage.
            self.wait_still(quiet, seconds)
            return not self.disorder(off)
        wait_for("every unit to run as often as it should, the API to say so, and that to last", lasts, seconds,
                 lambda: "; ".join(self.disorder(off)))
        return self.processes(off)

    def disorder(self, off=()):
        """What is not as it should be, as sentences."""
        processes = self.processes(off)
        wrong = []
        for name, everywhere in self.everywhere.items():
            on = {k: life.state for (k, unit), life in processes.items() if unit == name}
            wanted = len(self.machines(off)) if everywhere else 1
            if len(on) != wanted or not all(state.startswith(self.states[name]) for state in on.values()):
                wrong.append(f"{name} should run on {wanted} machine(s); there is {on or 'none'}")
        wrong += [f"{unit} runs on machine {k}, and was not launched" for k, unit in processes if unit not in self.everywhere]
        if wrong:
            return wrong[:10]
        truth = sorted((unit, k, life.state) for (k, unit), life in processes.items())
        for machine in self.machines(off):
            if (said := self._states_by_api(machine.number)) != truth:
                wrong.append(f"the API of {machine.name} says {said}, but the truth is {truth}")
        if not wrong and (said := self._states_by_fleetctl(self.machines(off)[0].number)) != truth:
            wrong.append(f"list-units says {said}, but the truth is {truth}")
        return wrong

    def _states_by_api(self, number):
        try:
            states = Fleet(self.lab, number).collect("state")
        except (LabError, OSError) as error:
            return str(error)
        numbers = {machine.id: machine.number for machine in self.lab.machines()}
        return sorted((state["name"], numbers[state["machineID"]], f"{state['systemdActiveState']}/{state['systemdSubState']}")
                      for state in states)

    def _states_by_fleetctl(self, number):
        try:
            rows = Fleet(self.lab, number).units()
        except LabError as error:
            return str(error)
        return sorted((row["UNIT"], number_of(row["MACHINE"]), f"{row['ACTIVE']}/{row['SUB']}") for row in rows)

    def wait_still(self, quiet=QUIET, seconds=60):
        """Until the registry has not changed for that long. Renewing leases does not change it."""
        seen = {}

        def still():
            revision = self.lab.etcd.revision()
            if revision != seen.get("revision"):
                seen.update(revision=revision, since=time.monotonic())
            return time.monotonic() - seen["since"] >= quiet

        def changes():
            newest = sorted(self.lab.etcd.keys().items(), key=lambda item: -int(item[1]["mod_revision"]))[:5]
            return "; ".join(f"{each['mod_revision']} {key} {each['value'][:300]}" for key, each in newest)
        wait_for(f"the registry to stand still for {quiet} s", still, seconds + quiet, changes)

    def holds(self, before, seconds, off=()):
        """For so long, a fault's own duration on the lab's clock, everything keeps running as it did. There is no event
        to wait for: that nothing happens is what is to be seen."""
        began = time.monotonic()

        def over():
            self.untouched(before, off=off)
            return time.monotonic() - began >= seconds
        wait_for(f"{seconds} s to pass", over, seconds + 30)

    def untouched(self, before, moved=(), off=()):
        """Whatever ran still runs in the same life, but for units that had to move, and machines that are off."""
        now = self.processes(off)
        changed = {key: (life, now.get(key)) for key, life in before.items()
                   if key[0] not in off and key[1] not in moved and now.get(key) != life}
        assert not changed, f"touched though nothing called for it, before and now: {changed}"

    # --- the truth in the meantime ------------------------------------------------------------------------------------

    def says_out_of_contact(self, *numbers, seconds=2 * TTL):
        """fleet on these machines cannot know anything, and says so instead of guessing."""
        for number in numbers:
            status, body = wait_for(f"the API of machine {number} to answer 503",
                                    lambda: (lambda said: said if said[0] == 503 else None)(self.ask(number)),
                                    seconds, lambda: str(self.ask(number)))
            assert "etcd" in body["error"]["message"], body
            listed = Fleet(self.lab, number).ctl("list-units", check=False)
            assert listed.returncode != 0 and "etcd" in listed.stderr, listed

    def ask(self, number, path="/state", method="GET", body=None):
        """What the API of a machine answers; no status if there is no answer, as while fleetd starts anew."""
        try:
            return Fleet(self.lab, number).api(method, path, body)
        except (OSError, HTTPException) as error:
            return None, str(error)

    def answers(self, *numbers, seconds=30):
        """The API of these machines, or of all, answers."""
        for number in numbers or [machine.number for machine in self.lab.machines()]:
            wait_for(f"the API of machine {number} to answer", lambda: self.ask(number)[0] == 200, seconds,
                     lambda: str(self.ask(number)))

    def leader(self, other_than=None, seconds=3 * TTL):
        """Number of the machine that leads."""
        numbers = {machine.id: machine.number for machine in self.lab.machines()}

        def leads():
            found = list(self.lab.etcd.keys(f"{PREFIX}engine/leader").values())
            number = numbers[found[0]["value"]] if found else None
            return number if number != other_than else None
        return wait_for("a machine to lead", leads, seconds)


def _launched(text):
    return {"desiredState": "launched", "options": options(text)}
