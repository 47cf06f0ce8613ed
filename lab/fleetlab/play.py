"""Plays the guide in a fresh lab: each command with its real output, and checks what it should show."""

import sys
import time

from .fleet import Fleet, number_of, parse_table
from .host import LabError, wait_for

# As in the guide's section on metadata.
METADATA = {
    1: {"disk": "ssd", "platform": "metal", "provider": "rackspace", "region": "east"},
    2: {"disk": "ssd", "platform": "cloud", "provider": "rackspace", "region": "east"},
    3: {"disk": "ssd", "platform": "cloud", "provider": "amazon", "region": "east"},
}
RUNNING = "active/running"


class Player:
    def __init__(self, lab):
        self.lab = lab
        self.fleet = Fleet(lab, via=1)

    def say(self, text):
        print(f"\n\033[1m{text}\033[0m" if self._terminal() else f"\n# {text}", flush=True)

    @staticmethod
    def _terminal():
        return sys.stdout.isatty()

    def do(self, *argv, on=1):
        """Shows and runs a command in a machine once; it is to succeed."""
        print(f"$ {self._line(argv, on)}", flush=True)
        done = self.lab.machine(on).run(*argv, check=False, timeout=120)
        print(done.stdout + done.stderr, end="", flush=True)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: expected exit status 0, seen {done.returncode}")
        return done.stdout

    def see(self, *argv, expect, that, on=1, within=30, status=(0,)):
        """Runs a command until expect(its output) holds, then shows it, once. that: what is expected, in words."""
        last = {"out": "nothing"}

        def holds():
            done = self.lab.machine(on).run(*argv, check=False)
            last["out"] = done.stdout + done.stderr
            return done.returncode in status and expect(done.stdout)
        try:
            wait_for(that, holds, within)
        except LabError:
            print(f"$ {self._line(argv, on)}\n{last['out']}", end="", flush=True)
            raise LabError(f"expected {that} within {within} s; seen is the output above") from None
        print(f"$ {self._line(argv, on)}\n{last['out']}", end="", flush=True)
        return last["out"]

    @staticmethod
    def _line(argv, on):
        line = " ".join(argv)
        return line if on == 1 else f"./run shell {on} {line}"

    def units_run(self, wanted, that, within=30, only=True):
        """list-units until it holds exactly the wanted units: {unit: number of machines on which it runs}."""
        def expect(out):
            rows = parse_table(out)
            seen = {}
            for row in rows:
                if f"{row['ACTIVE']}/{row['SUB']}" == RUNNING:
                    seen[row["UNIT"]] = seen.get(row["UNIT"], 0) + 1
            return seen == wanted and (not only or len(rows) == sum(wanted.values()))
        out = self.see("fleetctl", "list-units", expect=expect, that=that, within=within)
        places = {}
        for row in parse_table(out):
            places.setdefault(row["UNIT"], set()).add(number_of(row["MACHINE"]))
        return places

    def check(self, fact, that):
        if not fact:
            raise LabError(f"expected {that}; seen is the output above")


def play(lab):
    p = Player(lab)
    wanted = {}

    p.say("A cluster of three machines")
    p.see("fleetctl", "list-machines", that="three machines with their metadata",
          expect=lambda out: len(parse_table(out)) == 3 and out.count("disk=ssd") == 3)

    p.say("Run a container in the cluster")
    p.do("cat", "myapp.service")
    p.do("fleetctl", "start", "myapp.service")
    wanted["myapp.service"] = 1
    p.units_run(wanted, "myapp.service running on one machine")

    p.say("Run a high availability service: two instances that refuse to share a machine")
    p.do("cat", "apache@.service")
    p.do("fleetctl", "start", "apache@1")
    p.do("fleetctl", "start", "apache@2")
    wanted |= {"apache@1.service": 1, "apache@2.service": 1}
    places = p.units_run(wanted, "both apaches running")
    p.check(not places["apache@1.service"] & places["apache@2.service"], "the apaches on different machines")
    for number in sorted(places["apache@1.service"] | places["apache@2.service"]):
        p.see("curl", "-s", f"http://{lab.machine(number).address}/", that="the apache's page",
              expect=lambda out: "It works!" in out)

    p.say("Run a simple sidekick: each announces its apache in etcd, from the same machine")
    p.do("fleetctl", "start", "apache-discovery@1")
    p.do("fleetctl", "start", "apache-discovery@2")
    wanted |= {"apache-discovery@1.service": 1, "apache-discovery@2.service": 1}
    places = p.units_run(wanted, "the sidekicks running")
    for i in (1, 2):
        p.check(places[f"apache@{i}.service"] == places[f"apache-discovery@{i}.service"], "each sidekick beside its apache")
    p.see("etcdctl", "ls", "/services/", "--recursive", that="both apaches announced",
          expect=lambda out: "apache@1" in out and "apache@2" in out)
    p.see("etcdctl", "get", "/services/website/apache@1", that="the machine's host name in the announcement",
          expect=lambda out: '"host": "machine-' in out)

    p.say("Run a global unit: one on every machine")
    p.do("etcdctl", "set", "/ddapikey", "a-key")
    p.do("fleetctl", "start", "datadog.service")
    wanted["datadog.service"] = 3
    p.units_run(wanted, "datadog.service running on three machines", within=60)
    p.see("fleetctl", "list-unit-files", "--fields=unit,hash,dstate,tmachine", that="'3 of 3' for the global unit", expect=lambda out: "3 of 3" in out)

    p.say("Schedule by machine metadata: one copy for each combination of provider and platform")
    names = ["webapp1.service", "webapp2.service", "webapp3.service"]
    p.do("fleetctl", "start", "diskio.service", *names)
    wanted |= {"diskio.service": 1, **{name: 1 for name in names}}
    places = p.units_run(wanted, "the four running")
    p.check([places[name] for name in names] == [{1}, {2}, {3}], "each webapp on the machine that has its metadata")

    p.say("A unit that no machine can take waits, and says why")
    p.do("fleetctl", "start", "--no-block", "nowhere.service")
    p.see("fleetctl", "status", "nowhere.service", status=(1, 3), expect=lambda out: "region" in out,
          that="a reason that names the metadata that is missing")
    p.do("fleetctl", "destroy", "nowhere.service")

    _failures(p, wanted)


def _failures(p, wanted):
    """The guide's 'Recovering from machine failure'. Machine 1 stays: the commands run there."""
    lab = p.lab
    running = p.fleet.wait_running("apache@1.service", "apache@2.service")
    unit, first = next((u, k) for u, k in running.items() if k != 1)
    # What only this machine's metadata allows waits for its return; a global unit is gone from it.
    without = lambda k: {**{u: n for u, n in wanted.items() if u != f"webapp{k}.service"}, "datadog.service": 2}

    p.say(f"Stop fleet on machine {first}: its units move, {unit} and its sidekick among them")
    p.do("systemctl", "stop", "fleet", on=first)
    places = p.units_run(without(first), "the other machines running its units")
    p.check(first not in set().union(*places.values()), f"nothing left on machine {first}")
    p.do("journalctl", "-u", "fleet", "-n", "5", "--no-pager", on=first)
    p.say("Start it again: it takes new work, and what waited for it")
    p.do("systemctl", "start", "fleet", on=first)
    p.units_run(wanted, "all units running again")

    running = p.fleet.wait_running("apache@1.service", "apache@2.service")
    unit, second = next((u, k) for u, k in running.items() if k != 1)
    p.say(f"Cut the power of machine {second}, on which {unit} runs")
    print(f"$ ./run kill {second}", flush=True)
    lab.machine(second).kill()
    died = time.monotonic()
    p.see("fleetctl", "list-machines", that="two machines", expect=lambda out: len(parse_table(out)) == 2)
    p.units_run(without(second), "its units running on the other machines")
    print(f"# {time.monotonic() - died:.1f} s after the power was cut; a machine's time to live (agent_ttl) is "
          f"{lab.state['ttl']} s", flush=True)
    p.say("Its power is back: it ceases what was moved away and takes new work")
    print(f"$ ./run boot {second}", flush=True)
    lab.machine(second).power_on()
    lab.machine(second).wait_booted()
    p.see("fleetctl", "list-machines", that="three machines", expect=lambda out: len(parse_table(out)) == 3)
    p.units_run(wanted, "every unit running, the global one on three machines", within=60)
