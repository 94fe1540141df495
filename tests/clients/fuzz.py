"""schemathesis against the server's own OpenAPI document: every operation, with the cases that its schema describes and
with cases that break it. Whatever is sent, the answer is one that the document promises.

Bounded and repeatable: a fixed seed, so many cases an operation, no shrinking. Streams are left out, because they do
not end; so are `/metrics`, which is no JSON, and what a run could cut its own branch off with.

Called with the path of the schemathesis program. Reads TANDEM_URL and TANDEM_TOKEN; prints the totals by operation.
"""

import json
import os
import subprocess
import sys
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
EXCLUDED = ["/audit/stream"]
EXAMPLES = "25"
SEED = "20260629"
# Coverage cases are counted by the document, not by EXAMPLES; a run that stalls must still end.
LIMIT_S = 420
REPORT = Path("schemathesis-events.ndjson")


def main(program):
    command = [
        program, "run", f"{os.environ['TANDEM_URL']}/openapi.json",
        "--header", f"Authorization: Bearer {os.environ['TANDEM_TOKEN']}",
        "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", EXAMPLES,
        "--seed", SEED,
        "--generation-deterministic",
        "--no-shrink",
        "--continue-on-failure",
        "--suppress-health-check", "all",
        "--request-timeout", "15",
        "--workers", "2",
        "--warnings", "off",
        "--no-color",
        "--report", "ndjson", "--report-ndjson-path", str(REPORT),
    ]  # fmt: skip
    for path in EXCLUDED:
        command += ["--exclude-path", path]
    REPORT.unlink(missing_ok=True)
    try:
        code = subprocess.run(command, timeout=LIMIT_S).returncode
    except subprocess.TimeoutExpired:
        print(f"not ok - no end within {LIMIT_S} s")
        code = 1
    passed, failed = operations(REPORT)
    # A run that could not begin, or broke off, has no failed operation to show.
    failed += 1 if code != 0 and failed == 0 else 0
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def operations(report):
    """How many operations kept their promises in every phase, and how many did not."""
    verdicts = {}
    lines = report.read_text().splitlines() if report.exists() else []
    for line in lines:
        finished = json.loads(line).get("ScenarioFinished")
        if finished:
            label = finished.get("label") or (finished.get("recorder") or {}).get("label")
            held = finished["status"] in ("success", "skip")
            verdicts[label] = verdicts.get(label, True) and held
    for label in sorted(label for label, held in verdicts.items() if not held):
        print(f"not ok - {label}")
    return sum(verdicts.values()), len(verdicts) - sum(verdicts.values())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
