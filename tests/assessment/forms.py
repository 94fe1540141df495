"""The forms of an assessment report, judged by those who read them.

SARIF by its published schema, OCSF by py-ocsf-models, OSCAL by compliance-trestle. The reports are made on an estate with
something wrong in every corner: findings of each severity, a risk that a person took, failed probes, hostile names.

Reads TANDEM_URL, TANDEM_TOKEN and SARIF_SCHEMA. Prints one line a step and the totals.
"""

import base64
import hashlib
import json
import os
import sys
import tempfile
import traceback
import urllib.error
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from trestle.oscal.assessment_results import AssessmentResults

URL, TOKEN = os.environ["TANDEM_URL"], os.environ["TANDEM_TOKEN"]
REPORT = "/incident-monitor/security/assessment-report"
FINDINGS = "/incident-monitor/security/findings"
seen = {}


def call(method, path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, method=method)
    request.add_header("authorization", f"Bearer {TOKEN}")
    if data is not None:
        request.add_header("content-type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()[:1000]!r}") from error


def form(name):
    return call("GET", f"{REPORT}/{seen['artifact']}?format={name}")


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def the_estate_has_something_wrong_everywhere():
    hostile = "x\"><script>alert(1)</script>|`*_\n& \u202e\u00e9"
    config = {
        "enabled": True,
        "repo": "acme/shop",
        "destinations": [
            {"destination_id": "hook", "name": hostile, "kind": "webhook", "webhook_url": "https://hooks.example.com/in"},
            {"destination_id": "tool", "name": "tool", "kind": "mcp_tool", "config": {"allow_publish": True}},
            {"destination_id": "lines", "name": "lines", "kind": "telemetry"},
        ],
        "default_destination_ids": ["hook"],
        "monitored_projects": [
            {"project_id": "shop", "name": hostile, "repo": "acme/shop", "workspace_root": "/srv/shop"},
        ],
        "safety_defaults": {"require_approval_for_high_risk": False, "block_unready_destinations": False},
    }
    call("PATCH", "/config/incident-monitor", {"incident_monitor": config})
    call("POST", "/incident-monitor/intake/keys", {"project_id": "shop", "name": "k"})
    spec = {
        "name": hostile,
        "agents": [{"agent_id": "w", "tool_policy": {"allowlist": ["bash"]}, "mcp_policy": {"allowed_servers": ["s"]}}],
        "flow": {"nodes": [{"node_id": "n", "agent_id": "w", "objective": "x"}]},
    }
    call("POST", "/automations/v2", spec)
    call("POST", "/incident-monitor/report", {"report": {"title": hostile, "detail": "TimeoutError: no answer"}})


def a_risk_that_a_person_took_is_recorded():
    # A reassessment records what it finds; only what is recorded has a life.
    call("POST", "/incident-monitor/security/reassessments")
    rows = json.loads(call("GET", FINDINGS))["findings"]
    assert rows, "nothing was recorded"
    person = {"x-tandem-request-source": "control_panel", "x-tandem-actor-id": "ann"}
    seen["accepted"] = rows[0]["fingerprint"]
    body = {"accept": {"reason": "known", "expires_at_ms": rows[0]["last_seen_at_ms"] + 86_400_000}}
    call("PATCH", f"{FINDINGS}/{rows[0]['fingerprint']}", body, person)


def a_report_is_made():
    seen["report"] = report = json.loads(call("POST", REPORT, {}))
    seen["artifact"] = report["evidence_pack"]["artifact_id"]
    seen["findings"] = report["sections"]["detected_findings"]["findings"]
    severities = {row["severity"] for row in seen["findings"]}
    assert {"high", "medium"} <= severities, severities
    results = report["sections"]["controlled_probe_results"]["results"]
    assert any(row["status"] == "fail" for row in results), results


def the_kept_bytes_have_the_digest_and_the_signature_holds():
    report = seen["report"]
    run = report["evidence_pack"]["context_run_id"]
    kept = call("GET", f"/context/runs/{run}/artifacts/{seen['artifact']}")
    equal(hashlib.sha256(kept).hexdigest(), report["evidence_pack"]["content_sha256"])
    envelope = report["attestation"]
    (signature,) = envelope["signatures"]
    equal(signature["keyid"], report["audit_ledger"]["public_key"])
    # name+id+base64(type byte and key)
    raw = base64.b64decode(signature["keyid"].split("+", 2)[2])
    equal((raw[0], len(raw)), (1, 33))
    kind, payload = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    Ed25519PublicKey.from_public_bytes(raw[1:]).verify(base64.b64decode(signature["sig"]), signed)
    statement = json.loads(payload)
    equal(statement["subject"][0]["digest"]["sha256"], report["evidence_pack"]["content_sha256"])


def sarif_fits_its_schema():
    log = json.loads(form("sarif"))
    schema = json.loads(Path(os.environ["SARIF_SCHEMA"]).read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    errors = [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(log)]
    assert not errors, errors[:10]
    (run,) = log["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    equal(len(ids), len(set(ids)))
    for result in run["results"]:
        equal(ids[result["ruleIndex"]], result["ruleId"])
    found = [row for row in run["results"] if "tandemFinding/v1" in row["partialFingerprints"]]
    equal([row["partialFingerprints"]["tandemFinding/v1"] for row in found], [row["fingerprint"] for row in seen["findings"]])
    suppressed = [row for row in found if row.get("suppressions")]
    equal([row["partialFingerprints"]["tandemFinding/v1"] for row in suppressed], [seen["accepted"]])
    assert all(row["baselineState"] in ("new", "unchanged") for row in found), found[0]


def ocsf_fits_its_models():
    events = json.loads(form("ocsf"))
    kinds = {2003: ComplianceFinding, 2004: DetectionFinding}
    counted = {2003: 0, 2004: 0}
    for event in events:
        model = kinds[event["class_uid"]].model_validate(event)
        counted[event["class_uid"]] += 1
        equal(model.finding_info.uid, event["finding_info"]["uid"])
        # Nothing was dropped on the way in: what we call it is what they call it.
        unknown = set(event) - set(type(model).model_fields)
        assert not unknown, unknown
    equal(counted[2003], len(seen["findings"]))
    assert counted[2004] > 0, counted
    statuses = {event["finding_info"]["uid"]: event["status"] for event in events}
    equal(statuses[seen["accepted"]], "Suppressed")


def oscal_fits_its_models():
    text = form("oscal")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "assessment-results.json"
        path.write_bytes(text)
        model = AssessmentResults.oscal_read(path)
    (result,) = model.results
    equal(model.metadata.oscal_version.__root__ if hasattr(model.metadata.oscal_version, "__root__")
          else str(model.metadata.oscal_version), "1.1.3")  # fmt: skip
    equal(len(result.risks), len(seen["findings"]))
    raw = json.loads(text)["assessment-results"]["results"][0]
    observations = {row["uuid"] for row in raw["observations"]}
    risks = {row["uuid"]: row["status"] for row in raw["risks"]}
    equal(len(observations), len(raw["observations"]))
    for finding in raw["findings"]:
        equal(finding["target"]["status"]["state"], "not-satisfied")
        assert {row["observation-uuid"] for row in finding["related-observations"]} <= observations
        assert {row["risk-uuid"] for row in finding["related-risks"]} <= set(risks)
    assert "deviation-approved" in risks.values(), set(risks.values())
    selected = raw["reviewed-controls"]["control-selections"][0]["include-controls"]
    targets = {finding["target"]["target-id"] for finding in raw["findings"]}
    assert targets <= {row["control-id"] for row in selected}, targets


class Page(HTMLParser):
    """Every tag closed where it was opened, and none that loads or runs anything."""

    VOID = {"meta", "br", "rect"}
    ALLOWED = {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b", "span", "div", "ul", "li", "br",
        "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "svg", "text", "rect",
    }  # fmt: skip

    def __init__(self):
        super().__init__()
        self.open, self.charts, self.shown = [], 0, []

    def handle_starttag(self, tag, attributes):
        assert tag in self.ALLOWED, tag
        assert not any(name.startswith("on") or name in ("src", "href", "style") for name, _ in attributes), attributes
        self.charts += tag == "svg"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            equal(self.open.pop(), tag)

    def handle_data(self, data):
        self.shown.append(data)


def html_is_closed_in_both_senses():
    text = form("html").decode()
    page = Page()
    page.feed(text)
    page.close()
    equal(page.open, [])
    assert page.charts >= 3, page.charts
    assert any("<script>alert(1)</script>" in piece for piece in page.shown), "hostile names are shown as text"


def no_form_says_compliant():
    for name in ("json", "markdown", "html", "sarif", "ocsf", "oscal"):
        assert b"compliant" not in form(name).lower(), name


STEPS = [
    the_estate_has_something_wrong_everywhere,
    a_risk_that_a_person_took_is_recorded,
    a_report_is_made,
    the_kept_bytes_have_the_digest_and_the_signature_holds,
    sarif_fits_its_schema,
    ocsf_fits_its_models,
    oscal_fits_its_models,
    html_is_closed_in_both_senses,
    no_form_says_compliant,
]


def main():
    failed = 0
    for number, step in enumerate(STEPS, 1):
        name = step.__name__.replace("_", " ")
        try:
            step()
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines()[-8:]:
                print(f"  # {line}")
        else:
            print(f"ok {number} - {name}")
    print(f"{len(STEPS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
