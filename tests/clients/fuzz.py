"""schemathesis against the server's own OpenAPI document. Whatever is sent, the answer is one that the document promises.

Two runs. The first follows ids from one answer into the next request, on a server that is configured, so that requests
reach incidents, drafts and receipts that exist. The second sends to every operation what its schema describes and what
breaks it, the configuration included. Both are bounded and repeatable. Streams are left out, because they do not end.

Called with the path of the schemathesis program. Reads TANDEM_URL and TANDEM_TOKEN; prints the totals by operation.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
]
STREAMS = ["--exclude-path", "/audit/stream", "--exclude-path", "/automations/v2/events"]
# What is not offered answers 501, which the fuzzer would take for a fault; the server's own tests ask for each.
STREAMS += ["--exclude-tag", "not offered"]
# What would undo the configuration under the first run, and the former names, which are the same handlers.
UNDOING = ["--exclude-path-regex", "^/(config|bug-monitor)/|/(pause|resume)$"]
RUNS = {
    "followed": ["--phases", "stateful", "--max-examples", "60", *UNDOING],
    "described": ["--phases", "examples,coverage,fuzzing", "--max-examples", "30"],
}
# The number of coverage cases is the document's; a run that stalls must still end.
LIMIT_S = 1500
CONFIG = {
    "enabled": True,
    "repo": "acme/shop",
    "destinations": [
        {"destination_id": "lines", "name": "Lines", "kind": "telemetry"},
        {"destination_id": "memory", "name": "Memory", "kind": "internal_memory"},
    ],
    "default_destination_ids": ["lines", "memory"],
    "monitored_projects": [{"project_id": "shop", "name": "Shop", "repo": "acme/shop", "workspace_root": "/srv/shop"}],
}


def main(program):
    send("PATCH", "/config/incident-monitor", {"incident_monitor": CONFIG})
    for risk in ("low", "high"):
        report = {"title": f"A failure of {risk} risk", "detail": f"RiskError: {risk} risk", "risk_level": risk}
        send("POST", "/incident-monitor/report", {"report": report})
    verdicts, broken = {}, []
    for name, arguments in RUNS.items():
        code, found = run(program, name, arguments)
        verdicts.update({f"{label} ({name})": held for label, held in found.items()})
        # A run that could not begin, or broke off, has no failed operation to show.
        if code != 0 and all(found.values()) or not found:
            broken.append(f"the run `{name}` ended with {code}")
    failed = [label for label, held in verdicts.items() if not held] + broken
    for label in sorted(failed):
        print(f"not ok - {label}")
    print(f"{sum(verdicts.values())} passed, {len(failed)} failed")
    return 1 if failed else 0


def send(method, path, body):
    request = urllib.request.Request(f"{os.environ['TANDEM_URL']}{path}", json.dumps(body).encode(), method=method)
    request.add_header("authorization", f"Bearer {os.environ['TANDEM_TOKEN']}")
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=15) as answer:
        answer.read()


def run(program, name, arguments):
    """One run of the fuzzer: its exit code, and for every operation whether it kept its promises."""
    report = Path(f"schemathesis-{name}.ndjson")
    report.unlink(missing_ok=True)
    command = [
        program, "run", f"{os.environ['TANDEM_URL']}/openapi.json",
        "--header", f"Authorization: Bearer {os.environ['TANDEM_TOKEN']}",
        "--checks", ",".join(CHECKS),
        "--generation-deterministic",
        "--no-shrink",
        "--continue-on-failure",
        "--suppress-health-check", "all",
        # The largest answer holds 32 MiB of kept reports, which a debug build hashes for ten seconds where the processor
        # has no instructions for it.
        "--request-timeout", "60",
        "--workers", "2",
        "--warnings", "off",
        "--no-color",
        "--report", "ndjson", "--report-ndjson-path", str(report),
        *STREAMS, *arguments,
    ]  # fmt: skip
    try:
        code = subprocess.run(command, timeout=LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        code = f"no end within {LIMIT_S} s"
    return code, operations(report)


def operations(report):
    verdicts = {}
    for line in report.read_text().splitlines() if report.exists() else []:
        finished = json.loads(line).get("ScenarioFinished")
        if finished:
            label = finished.get("label") or (finished.get("recorder") or {}).get("label")
            verdicts[label] = verdicts.get(label, True) and finished["status"] in ("success", "skip")
    return verdicts


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
