"""A reference executor: claims runs, does their nodes, says what it spent, and stops when it is told.

Only the standard library. Start a server, then:

    TANDEM_URL=http://127.0.0.1:39731 TANDEM_TOKEN=... python3 examples/executor.py --create --rounds 1

What an executor has to keep to:

- A claim is a lease. Every heartbeat and report extends it; without either the run fails after it, and says so.
- Every report has an id of its own, made before it is sent. A report that got no answer is sent again under the same id.
- Every answer carries `directives`. After `stop`, no more work is done, and the next call says `stop_acknowledged`.
- 409 `AUTOMATION_V2_RUN_CLAIM_LOST` means that somebody else has the run: drop it. What was spent may still be reported.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

LEASE_MS = 30_000


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body.get('code')}: {body.get('error')}")
        self.status, self.body = status, body


def call(method, path, body=None, agent=None):
    """One call. A connection that breaks is tried again: every call here may be repeated."""
    headers = {"authorization": f"Bearer {os.environ['TANDEM_TOKEN']}", "content-type": "application/json"}
    if agent:
        headers["x-tandem-agent-id"] = agent
    data = json.dumps(body or {}).encode() if method != "GET" else None
    for attempt in range(8):
        request = urllib.request.Request(os.environ["TANDEM_URL"] + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < 500 or error.code == 501:
                raise Refused(error.code, json.load(error)) from None
        except OSError:
            pass
        time.sleep(min(0.1 * 2**attempt, 5))
    raise SystemExit(f"{path}: no answer")


def create(agent):
    """An agent makes an automation and asks for a run of it."""
    spec = {
        "name": "Reference",
        "agents": [{"agent_id": agent, "display_name": agent}],
        "flow": {"nodes": [
            {"node_id": "collect", "agent_id": agent, "objective": "collect the numbers"},
            {"node_id": "write", "agent_id": agent, "objective": "write the summary", "depends_on": ["collect"]},
        ]},
        "execution": {"max_total_cost_usd": 1.0},
    }  # fmt: skip
    automation = call("POST", "/automations/v2", spec, agent)["automation"]["automation_id"]
    run = call("POST", f"/automations/v2/{automation}/run_now", {}, agent)["run"]["run_id"]
    print(f"{agent} made {automation} and asked for {run}")


def work(claim):
    """Does the nodes of one run, in order."""
    run, claim_id = claim["run"]["run_id"], claim["claim_id"]

    def report(**said):
        said |= {"report_id": str(uuid.uuid4()), "claim_id": claim_id, "lease_ms": LEASE_MS}
        return call("POST", f"/automations/v2/runs/{run}/report", said)["directives"]

    try:
        report(status="running")
        for node in claim["run"]["checkpoint"]["pending_nodes"]:
            output, usage = do(node)
            directives = report(node_id=node, completed_nodes=[node], node_outputs={node: output}, usage=usage)
            if directives["stop"]:
                report(stop_acknowledged=True)
                print(f"{run}: stopped before the end: {directives.get('reason')}")
                return
        report(status="completed")
        print(f"{run}: completed")
    except Refused as refusal:
        print(f"{run}: {refusal}")
    except Exception as error:  # The work itself went wrong: say so, and where.
        report(status="failed", last_failure={"node_id": node, "reason": f"{type(error).__name__}: {error}"})
        print(f"{run}: failed at {node}")


def do(node):
    """Stands for a call of a model: what it put out, and what it used."""
    usage = {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020, "cost_usd": 0.004, "model": "reference"}
    return f"{node} is done", usage


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--create", action="store_true", help="make an automation and ask for a run first")
    options.add_argument("--agent", default="reference-agent")
    options.add_argument("--rounds", type=int, default=0, help="end after so many claims; 0 goes on")
    options = options.parse_args()
    if options.create:
        create(options.agent)
    wish = {"claimant_id": f"executor-{os.getpid()}", "lease_ms": LEASE_MS, "limit": 1}
    rounds = 0
    while not options.rounds or rounds < options.rounds:
        claims = call("POST", "/automations/v2/runs/claim", wish)["claims"]
        for claim in claims:
            work(claim)
        rounds += 1
        if not claims:
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
