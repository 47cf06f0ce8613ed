"""/metrics as docs/metrics.md describes it, health, and which registry serves."""

import json
import re
import urllib.error

from units import sleeper, start

from conftest import REPO
from fleetlab.fleet import PORT
from fleetlab.host import opener, wait_for

PROMETHEUS = REPO / "packaging/prometheus"


def get(lab, number, path):
    """(status, body, content type) of the answer."""
    try:
        answer = opener.open(f"http://{lab.machine(number).address}:{PORT}{path}", timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(), answer.headers.get("Content-Type")


def told(text):
    """{name: (type, help)} of an answer of /metrics."""
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    types = dict(re.findall(r"^# TYPE (\S+) (.*)$", text, re.M))
    assert helps.keys() == types.keys()
    return {name: (types[name], helps[name]) for name in helps}


def leader(lab):
    return wait_for("an engine to lead", lambda: next(
        (k for k in (1, 2, 3) if "\nfleet_engine_leading 1\n" in get(lab, k, "/metrics")[1]), None), 20)


def names_in(expression):
    """Metrics that an expression names, without the suffixes of a histogram's parts."""
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)|\"[^\"]*\"", "", expression)
    found = set(re.findall(r"\b(?:fleet|http|process)_[a-z_]+|\bup\b", plain))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_are_what_the_document_says(fleet, lab):
    start(fleet, "a.service", sleeper())
    fleet.wait_running("a.service")
    status, text, content_type = get(lab, leader(lab), "/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4")
    document = {name: (kind, what) for name, kind, what in re.findall(
        r"^\| `(\w+)` \| (\w+) \|[^|]*\| (.*) \|$", (REPO / "docs/metrics.md").read_text(), re.M)}
    assert told(text) == document
    # Every line is a comment or a sample, and every sample belongs to the metric announced last.
    name = None
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
        elif not line.startswith("#"):
            sample = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? (\S+)', line)
            assert sample, line
            float(sample[3])
            suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            assert sample[1] in [name + suffix for suffix in suffixes], line


def test_the_example_alerts_and_dashboard_name_only_what_there_is(fleet, lab):
    there = told(get(lab, leader(lab), "/metrics")[1]).keys() | {"up"}
    rules = (PROMETHEUS / "fleet.rules.yml").read_text()
    alerts = re.findall(r"^        expr: (?:\|\n)?(.*)$", rules, re.M)
    assert len(alerts) == rules.count("- alert: ") > 5
    dashboard = json.loads((PROMETHEUS / "fleet-dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 5
    for expression in alerts + shown:
        named = names_in(expression)
        assert named and named <= there, expression


def test_health_is_answered_also_without_the_registry(fleet, lab):
    fleetctl = lab.machine(1).run("fleetctl", "info").stdout
    assert f"Registry: etcd, {lab.etcd.url}\n" in fleetctl and lab.machine(1).id in fleetctl
    assert get(lab, 1, "/healthz") == get(lab, 1, "/readyz") == (200, "ok\n", "text/plain; charset=utf-8")
    lab.etcd.freeze()
    try:
        wait_for("readyz to tell", lambda: get(lab, 1, "/readyz")[:2] == (
            503, "fleet server unable to communicate with etcd\n"), 30, lambda: str(get(lab, 1, "/readyz")))
        assert get(lab, 1, "/healthz")[:2] == (200, "ok\n")
        assert get(lab, 1, "/metrics")[0] == 503 and get(lab, 1, "/fleet/v1/info")[0] == 503
    finally:
        lab.etcd.thaw()
    wait_for("readyz to be well again", lambda: get(lab, 1, "/readyz")[0] == 200, 30)
