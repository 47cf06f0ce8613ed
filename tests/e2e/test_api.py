"""The HTTP API as others use it: a client that knows nothing but the discovery document, curl, and Prometheus."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from units import options, sleeper, start

from fleetlab.fleet import PORT
from fleetlab.host import wait_for

# The lab's own network; a proxy that the environment names must not come between.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DiscoveredClient:
    """Drives any API of which there is a Google discovery document (https://developers.google.com/discovery/v1/reference)."""

    def __init__(self, endpoint, document_path):
        with opener.open(endpoint + document_path, timeout=20) as answer:
            self.document = json.load(answer)
        assert self.document["kind"] == "discovery#restDescription"
        assert self.document["protocol"] == "rest"
        self.base = self.document["rootUrl"].replace("$ENDPOINT", endpoint) + self.document["servicePath"]
        self.methods = {method["id"]: method for resource in self.document["resources"].values()
                        for method in resource["methods"].values()}

    def call(self, method_id, body=None, **arguments):
        """The parsed answer, or None if there is no body. Raises HTTPError, as urllib does."""
        method = self.methods[method_id]
        known = method.get("parameters", {})
        assert set(arguments) <= set(known), f"{method_id} has no parameters {set(arguments) - set(known)}"
        missing = {name for name, parameter in known.items() if parameter.get("required")} - set(arguments)
        assert not missing, f"{method_id} needs {missing}"
        path, query = method["path"], {}
        for name, value in arguments.items():
            if known[name]["location"] == "path":
                path = path.replace("{" + name + "}", urllib.parse.quote(value, safe=""))
            else:
                query[name] = value
        assert "{" not in path
        url = self.base + path + ("?" + urllib.parse.urlencode(query) if query else "")
        assert (body is not None) == ("request" in method)
        if body is not None:
            self.check(body, method["request"])
        request = urllib.request.Request(url, method=method["httpMethod"], headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        with opener.open(request, timeout=20) as answer:
            text = answer.read()
        if "response" not in method:
            assert not text
            return None
        parsed = json.loads(text)
        self.check(parsed, method["response"])
        return parsed

    def check(self, value, schema):
        """Only what the schema describes. (`required` is not looked at: 1.0's document says so of a unit's machineID.)"""
        schema = self.document["schemas"][schema["$ref"]] if "$ref" in schema else schema
        if schema["type"] == "object":
            assert isinstance(value, dict)
            for name, member in value.items():
                known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
                assert known, f"the schema has no {name}"
                self.check(member, known)
        elif schema["type"] == "array":
            for element in value:
                self.check(element, schema["items"])
        else:
            assert schema["type"] == "string" and isinstance(value, str)
            assert value in schema.get("enum", [value])

    def pages(self, method_id, name, **arguments):
        """All entries of a list, and the number of its pages."""
        found, count, token = [], 0, {}
        while True:
            page = self.call(method_id, **arguments, **token)
            found += page.get(name, [])
            count += 1
            if "nextPageToken" not in page:
                return found, count
            token = {"nextPageToken": page["nextPageToken"]}


@pytest.fixture
def client(fleet, lab):
    return DiscoveredClient(f"http://{lab.machine(1).address}:{PORT}", "/fleet/v1/discovery")


def test_a_client_that_knows_only_the_discovery_document(client):
    machines, _ = client.pages("fleet.Machine.List", "machines")
    assert len(machines) == 3 and all(machine["primaryIP"] for machine in machines)

    client.call("fleet.Unit.Set", {"desiredState": "loaded", "options": options(sleeper())}, unitName="web@1.service")
    unit = client.call("fleet.Unit.Get", unitName="web@1.service")
    assert unit["desiredState"] == "loaded" and unit["options"] == options(sleeper())

    def state():
        states, _ = client.pages("fleet.UnitState.List", "states", unitName="web@1.service")
        return states[0] if states else {}
    wait_for("a state of the loaded unit", lambda: state().get("systemdLoadState") == "loaded", 20)
    assert state()["systemdActiveState"] == "inactive"

    client.call("fleet.Unit.Set", {"desiredState": "launched"}, unitName="web@1.service")
    wait_for("the unit to be active", lambda: state().get("systemdActiveState") == "active", 20, lambda: str(state()))
    unit = client.call("fleet.Unit.Get", unitName="web@1.service")
    assert unit["currentState"] == "launched"
    assert unit["machineID"] in {machine["id"] for machine in machines}
    alone = client.call("fleet.UnitState.Get", unitName="web@1.service")
    assert alone == state() and alone["machineID"] == unit["machineID"] and alone["name"] == "web@1.service"
    there, _ = client.pages("fleet.UnitState.List", "states", machineID=unit["machineID"])
    assert there == [alone]
    assert client.pages("fleet.UnitState.List", "states", machineID="nobody") == ([], 1)

    client.call("fleet.Unit.Delete", unitName="web@1.service")
    with pytest.raises(urllib.error.HTTPError) as gone:
        client.call("fleet.Unit.Get", unitName="web@1.service")
    assert gone.value.code == 404
    assert json.load(gone.value)["error"]["code"] == 404
    wait_for("its state to be gone", lambda: not state(), 20)


def test_pages_of_a_long_list(client):
    names = [f"page-{i:03}.service" for i in range(205)]
    try:
        for name in names:
            client.call("fleet.Unit.Set", {"options": options(sleeper())}, unitName=name)
        units, pages = client.pages("fleet.Unit.List", "units")
        assert [unit["name"] for unit in units] == names
        assert pages == 3
    finally:
        for name in names:
            client.call("fleet.Unit.Delete", unitName=name)
    assert client.pages("fleet.Unit.List", "units") == ([], 1)


@pytest.mark.parametrize("where", [["--unix-socket", "/run/fleet.sock", "http://fleet"], [f"http://127.0.0.1:{PORT}"]],
                         ids=["unix", "tcp"])
def test_plain_curl(fleet, lab, where):
    *flags, root = where

    def curl(path, *more):
        """(status, media type, body)"""
        done = lab.machine(1).run("curl", "--silent", "--show-error", "--noproxy", "*", "--write-out",
                                  "\n%{http_code} %{content_type}", *flags, *more, root + path)
        body, _, last = done.stdout.rpartition("\n")
        status, _, media_type = last.partition(" ")
        return int(status), media_type, body

    unit = json.dumps({"desiredState": "launched", "options": options(sleeper())})
    put = ["--request", "PUT", "--header", "Content-Type: application/json", "--data"]
    assert curl("/fleet/v1/units/curl.service", *put, unit) == (201, "", "")
    fleet.wait_running("curl.service")
    status, media_type, body = curl("/fleet/v1/units/curl.service")
    assert (status, media_type) == (200, "application/json")
    assert json.loads(body)["options"] == options(sleeper())
    assert curl("/v1-alpha/units/curl.service") == (status, media_type, body)
    # curl says `application/x-www-form-urlencoded` unless it is told.
    assert curl("/fleet/v1/units/curl.service", "--request", "PUT", "--data", unit)[0] == 415
    # A large body makes curl ask first: Expect: 100-continue.
    large = json.dumps({"desiredState": "launched", "options": options(sleeper()) +
                        [{"section": "Unit", "name": "X-Note", "value": "x" * 1000}] * 300})
    lab.machine(1).run("tee", "/root/large.json", input=large)
    assert curl("/fleet/v1/units/large.service", *put, "@/root/large.json")[0] == 201
    assert curl("/fleet/v1//units/../units", "--location")[0] == 200
    status, _, body = curl("/fleet/v1/units/curl.service/restart", "--request", "POST")
    assert (status, body) == (200, '{"restarts":1}')
    for name in ("curl.service", "large.service"):
        assert curl(f"/fleet/v1/units/{name}", "--request", "DELETE") == (204, "", "")
    assert curl("/fleet/v1/units/curl.service")[0] == 404


SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')


def metrics(lab, number):
    """{name{labels}: value} of a machine; every line must be of Prometheus's text format."""
    with opener.open(f"http://{lab.machine(number).address}:{PORT}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
        assert answer.headers["Server"].startswith("fleetd/")
        text = answer.read().decode()
    assert text.endswith("\n")
    found, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types, f"{name} comes twice"
            types[name] = kind
        elif not line.startswith("# HELP "):
            sample = SAMPLE.match(line)
            assert sample, line
            name = re.sub("_(bucket|sum|count)$", "", sample[1]) if sample[1] not in types else sample[1]
            assert name in types, f"{line} has no TYPE"
            found[f"{sample[1]}{{{sample[2]}}}" if sample[2] else sample[1]] = float(sample[3])
    return found


def test_metrics_count_what_fleet_does(fleet, lab):
    """Behaviour document, section 8, row 14."""
    tasks = 'fleet_engine_task_count_total{type="%s"}'
    before = {k: metrics(lab, k) for k in (1, 2, 3)}
    leaders = [k for k in before if before[k]["fleet_engine_leader_start_time"] > 0]
    assert len(leaders) == 1
    leader = leaders[0]
    now = float(lab.machine(1).run("date", "+%s").stdout)
    assert now - 3600 < before[leader]["process_start_time_seconds"] <= before[leader]["fleet_engine_leader_start_time"] + 1 <= now + 2

    for i in range(4):
        start(fleet, f"count{i}.service", sleeper())
    fleet.wait_running(*(f"count{i}.service" for i in range(4)))
    fleet.ctl("destroy", *(f"count{i}.service" for i in range(4)))
    wait_for("the units to be gone", lambda: not fleet.units(), 20)
    after = {k: metrics(lab, k) for k in (1, 2, 3)}

    def grown(number, name):
        return after[number][name] - before[number].get(name, 0)
    assert grown(leader, tasks % "attemptscheduleunit") == 4
    assert grown(leader, tasks % "unscheduleunit") == 4
    assert grown(leader, "fleet_engine_reconcile_count_total") > 0
    assert after[leader]["fleet_engine_reconcile_duration_second_count"] == after[leader]["fleet_engine_reconcile_count_total"]
    for number in {1, 2, 3} - {leader}:
        assert grown(number, tasks % "attemptscheduleunit") == 0
        assert after[number]["fleet_engine_leader_start_time"] == 0
    # The requests went to machine 1.
    assert grown(1, 'http_requests_total{code="201",handler="api",method="put"}') == 4
    assert grown(1, 'fleet_registry_operation_count_total{type="set"}') >= 8
    assert after[1]['http_requests_total{code="200",handler="prometheus",method="get"}'] >= 1
    for number in (1, 2, 3):
        assert after[number]['fleet_build_info{version="%s"}' % fleet.ctl("version").stdout.split()[-1]] == 1
        assert after[number]["process_cpu_seconds_total"] > 0
        assert 1_000_000 < after[number]["process_resident_memory_bytes"] < after[number]["process_virtual_memory_bytes"]
        assert 5 < after[number]["process_open_fds"] < after[number]["process_max_fds"]


def test_without_etcd_every_path_is_503(fleet, lab):
    """Behaviour document, section 8, row 35: the units run on, the API says 503."""
    start(fleet, "runs-on.service", sleeper())
    number = fleet.wait_running("runs-on.service")["runs-on.service"]
    pid = lab.machine(number).run("systemctl", "show", "--property=MainPID", "--value", "runs-on.service").stdout
    lab.etcd.stop()
    address = f"http://{lab.machine(1).address}:{PORT}"

    def status(path):
        try:
            with opener.open(address + path, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            assert json.load(error)["error"]["message"].startswith("fleet server unable to communicate with etcd")
            return error.code
    wait_for("the API to know", lambda: status("/fleet/v1/discovery") == 503, 30)
    for path in ("/metrics", "/fleet/v1/units", "/fleet/v1/machines", "/nonsense"):
        assert status(path) == 503, path
    assert lab.machine(number).run("systemctl", "show", "--property=MainPID", "--value", "runs-on.service").stdout == pid
    lab.etcd.start()
    wait_for("the API to be back", lambda: status("/metrics") == 200, 60)
    assert lab.machine(number).run("systemctl", "show", "--property=MainPID", "--value", "runs-on.service").stdout == pid
