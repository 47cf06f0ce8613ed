"""fleet as its users see it, in a lab: fleetctl inside a machine, and the HTTP API from outside."""

import json
import urllib.error
import urllib.request

from .host import LabError, opener, wait_for

PORT = 49153


class Fleet:
    def __init__(self, lab, via=1):
        self.lab = lab
        self.via = via  # The machine whose fleet is asked.

    # --- fleetctl -----------------------------------------------------------------------------------------------

    def ctl(self, *argv, check=True, timeout=60):
        return self.lab.machine(self.via).run("fleetctl", *argv, check=check, timeout=timeout)

    def table(self, *argv):
        """A list as dictionaries by column; the last column takes what is left of the line."""
        return parse_table(self.ctl(*argv).stdout)

    def machines(self):
        return self.table("list-machines")

    def units(self):
        """[{"UNIT", "MACHINE", "ACTIVE", "SUB"}], one for each unit on each machine."""
        return self.table("list-units")

    def places(self, unit):
        """{machine number: "active/sub"} of a unit."""
        return {number_of(row["MACHINE"]): f"{row['ACTIVE']}/{row['SUB']}" for row in self.units() if row["UNIT"] == unit}

    def place(self, unit):
        """Number of the one machine on which a unit runs, or None."""
        running = [k for k, state in self.places(unit).items() if state == "active/running"]
        return running[0] if len(running) == 1 else None

    def wait_running(self, *units, off=(), seconds=30):
        """Waits until each unit runs on exactly one machine, none of them among off; answers where."""
        def all_run():
            places = {unit: self.place(unit) for unit in units}
            return places if all(k and k not in off for k in places.values()) else None
        where = f" and not on machine {', '.join(map(str, off))}" if off else ""
        return wait_for(f"{', '.join(units)} to run{where}", all_run, seconds, lambda: self.ctl("list-units").stdout)

    def wait_machines(self, count, seconds=30):
        def shown():
            listed = self.ctl("list-machines", check=False)
            # A fleetd that cannot reach etcd yet says so instead; that is waited for as well.
            return listed.returncode == 0 and len(parse_table(listed.stdout)) == count
        wait_for(f"list-machines to show {count}", shown, seconds, lambda: str(self.ctl("list-machines", check=False)))

    # --- the HTTP API -------------------------------------------------------------------------------------------

    def api(self, method, path, body=None, headers=None, timeout=20):
        """(status, parsed body or text) of a request. body: anything for JSON, or bytes as they are."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.lab.machine(self.via).address}:{PORT}/fleet/v1{path}", data=data,
                                         method=method, headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with opener.open(request, timeout=timeout) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode(errors="replace")

    def collect(self, resource):
        """All of units, states or machines, from as many pages as there are; /state answers "states"."""
        found, token = [], ""
        while True:
            status, body = self.api("GET", f"/{resource}{token and f'?nextPageToken={token}'}")
            if status != 200:
                raise LabError(f"GET /{resource} answered {status}: {body}")
            found += body.get("states" if resource == "state" else resource, [])
            if not (token := body.get("nextPageToken")):
                return found


def parse_table(text):
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    columns = lines[0].split()
    return [dict(zip(columns, line.split(None, len(columns) - 1))) for line in lines[1:]]


def number_of(machine):
    """Number of the machine in a cell such as 4e7d06d1.../172.18.1.2, or None."""
    last = machine.rpartition(".")[2]
    return int(last) if "/" in machine and last.isdigit() else None
