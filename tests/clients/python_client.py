"""The published Python client, unmodified, through every method of its incident monitor.

One flow, as an operator lives it: configure, report, read, decide, publish, check the receipts, assess, pause, clean up. A
method that was added to the client and is called nowhere fails the last step.

Reads TANDEM_URL, TANDEM_TOKEN, HOOK_SECRET_NAME and HOOK_SECRET. Prints one line a step and the totals.
"""

import asyncio
import hashlib
import hmac
import inspect
import json
import os
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from tandem_client import TandemClient

PROBES = {
    "approval_required_tool_policy", "destination_readiness_fail_closed", "mcp_tool_allowlist",
    "route_preview_high_risk_approval", "scoped_intake_restriction", "webhook_url_policy",
}  # fmt: skip
READINESS = {
    "config_valid", "repo_valid", "mcp_server_present", "mcp_connected", "github_read_ready", "github_write_ready",
    "selected_model_ready", "ingest_ready", "publish_ready", "runtime_ready", "destination_ready", "source_ready",
    "route_preview_ready", "enabled",
}  # fmt: skip
TRACE = """Traceback (most recent call last):
  File "/srv/shop/checkout/payment.py", line 88, in charge
    gateway.capture(order)
  File "/srv/shop/checkout/gateway.py", line 41, in capture
    raise GatewayTimeout(f"no answer in {timeout} s")
shop.checkout.gateway.GatewayTimeout: no answer in 30 s"""


class Receiver:
    """A webhook endpoint on a free port that keeps what it gets."""

    def __init__(self):
        kept = self.kept = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                kept.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Recorded:
    """The client's incident monitor; remembers which methods were called."""

    def __init__(self, monitor):
        self.monitor, self.called = monitor, set()

    def __getattr__(self, name):
        method = getattr(self.monitor, name)
        self.called.add(name)
        return method


class Suite:
    def __init__(self):
        self.number = self.passed = self.failed = 0

    async def run(self, steps):
        for step in steps:
            self.number += 1
            name = step.__name__.replace("_", " ")
            try:
                await step()
            except Exception as error:
                self.failed += 1
                print(f"not ok {self.number} - {name}")
                if isinstance(error, httpx.HTTPStatusError):
                    print(f"  # {error.request.method} {error.request.url}: {error.response.status_code}")
                    print(f"  # {error.response.text[:2000]}")
                for line in traceback.format_exc().splitlines()[-6:]:
                    print(f"  # {line}")
            else:
                self.passed += 1
                print(f"ok {self.number} - {name}")
        print(f"{self.passed} passed, {self.failed} failed")
        return self.failed == 0


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


async def refused(call, status, code):
    """Awaits a call that must be refused, in our envelope."""
    try:
        answer = await call
    except httpx.HTTPStatusError as error:
        body = error.response.json()
        equal((error.response.status_code, body["code"]), (status, code))
        assert isinstance(body["error"], str) and body["error"], body
        return body
    raise AssertionError(f"expected {status} {code}, got {str(answer)[:500]}")


def signature_holds(headers, body):
    """The signature as the receiver of a webhook checks it."""
    parts = dict(part.split("=", 1) for part in headers["x-tandem-signature"].split(","))
    wanted = hmac.new(os.environ["HOOK_SECRET"].encode(), parts["t"].encode() + b"." + body, hashlib.sha256)
    return hmac.compare_digest(parts["v1"], wanted.hexdigest())


def by_destination(answer):
    return {row["destination_id"]: row for row in answer["results"]}


async def flow(client):
    monitor = Recorded(client.incident_monitor)
    hook = Receiver()
    seen = {}

    def destination(destination_id, kind, **fields):
        return {"destination_id": destination_id, "name": destination_id, "kind": kind, **fields}

    async def a_fresh_config_has_its_defaults():
        config = (await monitor.get_config()).incident_monitor
        equal(config.enabled, False)
        equal(config.destinations, [])
        equal(config.safety_defaults.block_unready_destinations, True)
        equal(config.safety_defaults.require_approval_for_high_risk, True)

    async def the_config_is_saved_and_read_back():
        open_locally = {"allow_insecure_http": True, "allow_private_networks": True}
        config = {
            "enabled": True,
            "repo": "acme/shop",
            "destinations": [
                destination(
                    "hook",
                    "webhook",
                    webhook_url=hook.url,
                    webhook_secret_ref=f"env:{os.environ['HOOK_SECRET_NAME']}",
                    config=open_locally,
                ),
                destination("lines", "telemetry"),
                destination("memory", "internal_memory", memory_category="failure_pattern"),
            ],
            "default_destination_ids": ["hook"],
        }
        saved = (await monitor.patch_config({"incident_monitor": config})).incident_monitor
        equal([row.destination_id for row in saved.destinations], ["hook", "lines", "memory"])
        again = (await monitor.get_config()).incident_monitor
        equal(again.model_dump(), saved.model_dump())
        equal((again.enabled, again.repo), (True, "acme/shop"))

    async def a_broken_config_is_refused():
        await refused(monitor.patch_config({}), 400, "INCIDENT_MONITOR_CONFIG_REQUIRED")
        broken = {"incident_monitor": {"enabled": True, "repo": "no-slash"}}
        await refused(monitor.patch_config(broken), 400, "INCIDENT_MONITOR_CONFIG_INVALID")
        equal((await monitor.get_config()).incident_monitor.repo, "acme/shop")

    async def destinations_are_added_changed_and_removed():
        await monitor.upsert_destination(destination("spare", "telemetry", enabled=False))
        await monitor.upsert_destination(destination("spare", "telemetry", enabled=False, require_approval=True))
        rows = {row.destination_id: row for row in await monitor.list_destinations()}
        equal(sorted(rows), ["hook", "lines", "memory", "spare"])
        equal((rows["spare"].enabled, rows["spare"].require_approval), (False, True))
        # The client sends whole models back, with null for what is absent.
        await monitor.upsert_destination(rows["spare"])

    async def routes_are_added_and_removed():
        route = {
            "route_id": "payments",
            "name": "Payments",
            "priority": 10,
            "match_components": ["payments"],
            "destination_ids": ["hook", "spare"],
        }
        await monitor.upsert_route(route)
        await monitor.upsert_route({"route_id": "gone", "name": "Gone", "destination_ids": ["lines"]})
        equal([row.route_id for row in await monitor.list_routes()], ["payments", "gone"])
        await monitor.remove_route("gone")
        await monitor.remove_destination("spare")
        (row,) = await monitor.list_routes()
        equal((row.route_id, row.destination_ids, row.priority), ("payments", ["hook"], 10))
        equal([row.destination_id for row in await monitor.list_destinations()], ["hook", "lines", "memory"])

    async def the_status_says_what_is_ready():
        status = (await monitor.get_status()).status
        assert READINESS <= set(status.readiness), READINESS - set(status.readiness)
        equal((status.readiness["enabled"], status.readiness["destination_ready"]), (True, True))
        equal({row.destination_id: row.publish_ready for row in status.destination_readiness},
              {"hook": True, "lines": True, "memory": True})  # fmt: skip
        equal((await monitor.recompute_status()).status.readiness, status.readiness)

    async def debug_answers():
        debug = await monitor.debug()
        equal((debug["selected_server_tools"], debug["canonicalized_discovered_tools"]), ([], []))
        assert debug["status"]["config"]["enabled"] is True

    async def a_bare_report_becomes_an_incident_and_a_draft():
        report = {
            "title": "Payment gateway timed out",
            "detail": TRACE + "\npassword=hunter2-hunter2",
            "component": "payments",
            "event": "checkout.failed",
            "level": "error",
            "excerpt": TRACE.splitlines(),
            "risk_level": "medium",
            # Not believed through this door.
            "allowed_destination_ids": ["lines"],
            "tenant_id": "somebody-else",
        }
        first = await monitor.report(report)
        seen["draft"], seen["incident"] = first["draft"]["draft_id"], first["incident"]["incident_id"]
        equal(first["incident"]["occurrence_count"], 1)
        equal((first["draft"]["status"], first["draft"]["repo"]), ("draft_ready", "acme/shop"))
        assert "hunter2" not in json.dumps(first)
        assert first["draft"].get("tenant_id") != "somebody-else"
        assert not first["draft"]["allowed_destination_ids"]
        assert first["draft"]["fingerprint"].startswith("v2:"), first["draft"]["fingerprint"]
        second = await monitor.report(report)
        equal(second["incident"]["incident_id"], seen["incident"])
        equal(second["incident"]["occurrence_count"], 2)
        equal(second["draft"]["draft_id"], seen["draft"])

    async def a_report_without_content_is_refused():
        await refused(monitor.report({}), 400, "INCIDENT_MONITOR_REPORT_REQUIRED")
        await refused(monitor.report({"title": "x", "repo": "no-slash"}), 400, "INCIDENT_MONITOR_REPORT_INVALID")

    async def incidents_are_listed_and_read():
        listed = await monitor.list_incidents(limit=10)
        equal(listed.count, len(listed.incidents))
        assert seen["incident"] in [row.incident_id for row in listed.incidents]
        incident = await monitor.get_incident(seen["incident"])
        equal((incident.occurrence_count, incident.draft_id), (2, seen["draft"]))
        assert "hunter2" not in incident.model_dump_json()
        await refused(monitor.get_incident("failure-incident-none"), 404, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND")

    async def drafts_are_listed_and_read():
        listed = await monitor.list_drafts(limit=1)
        equal((listed.count, len(listed.drafts)), (1, 1))
        draft = await monitor.get_draft(seen["draft"])
        equal((draft.draft_id, draft.title), (seen["draft"], "Payment gateway timed out"))
        await refused(monitor.get_draft("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def the_preview_names_the_route():
        preview = await monitor.preview_route({"draft_id": seen["draft"]})
        equal((preview.matches[0].route_id, preview.effective_destination_ids), ("payments", ["hook"]))
        equal((preview.blocked, preview.blocked_reasons, preview.approval_required), (False, [], False))
        default = await monitor.preview_route()
        equal(default.effective_destination_ids, ["hook"])
        unknown = await monitor.preview_route({"destination_ids": ["nowhere"]})
        equal(unknown.blocked_reasons, ["Destination `nowhere` is not configured"])

    async def a_triage_run_in_progress_is_shared():
        first = await monitor.create_triage_run(seen["draft"])
        run = first["run"]["run_id"]
        equal((first["ok"], first["deduped"], first["draft"]["triage_run_id"]), (True, False, run))
        # By now it may have ended, and a new one is made then.
        second = await monitor.create_triage_run(seen["draft"])
        equal(second["deduped"], second["run"]["run_id"] == run)
        equal((await monitor.get_draft(seen["draft"])).triage_run_id, second["run"]["run_id"])
        await refused(monitor.create_triage_run("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def a_triage_summary_from_outside_is_taken_in():
        seen["summary"] = summary = {
            "suggested_title": "Gateway timeouts are not retried",
            "what_happened": "The capture call gave up after 30 s.",
            "why_it_likely_happened": "GatewayTimeout is not caught in charge().",
            "root_cause_confidence": "medium",
            "failure_type": "timeout",
            "expected_behavior": "A timed out capture is retried with the same key.",
            "likely_files_to_edit": ["checkout/payment.py"],
            "steps_to_reproduce": ["Let the gateway hang.", "Charge an order."],
            "logs": ["GatewayTimeout: no answer in 30 s"],
            "recommended_fix": "Catch GatewayTimeout and retry.",
            "acceptance_criteria": ["A hanging gateway leads to a retry."],
            "verification_steps": ["Run the checkout tests."],
            "research_sources": [{"kind": "stack_trace", "ref": "checkout/gateway.py:41"}],
            "risk_level": "medium",
        }
        answer = await monitor.create_triage_summary(seen["draft"], summary)
        stored = answer["triage_summary"]
        equal((stored["draft_id"], stored["failure_type"]), (seen["draft"], "timeout"))
        equal(stored["what_happened"], summary["what_happened"])

    async def an_issue_draft_is_rendered():
        answer = await monitor.create_issue_draft(seen["draft"])
        body = answer["issue_draft"]["rendered_body"]
        assert "The capture call gave up after 30 s." in body, body
        fingerprint = (await monitor.get_draft(seen["draft"])).fingerprint
        assert f"<!-- tandem:fingerprint:v1:{fingerprint} -->" in body, body
        await refused(monitor.create_issue_draft("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def publishing_delivers_once_signed():
        answer = await monitor.publish_draft(seen["draft"])
        equal((answer["ok"], answer["action"]), (True, "post_webhook"))
        equal((answer["post"]["status"], answer["post"]["route_id"]), ("posted", "payments"))
        equal([row["status"] for row in answer["results"]], ["posted"])
        # The run that went on meanwhile has not written over what a person or an agent found out.
        equal(answer["triage_summary"]["recommended_fix"], seen["summary"]["recommended_fix"])
        equal(len(hook.kept), 1)
        headers, body = hook.kept[0]
        assert signature_holds(headers, body), headers
        equal((headers["x-tandem-event"], headers["x-tandem-signature-scheme"]),
              ("incident_monitor.incident", "tandem_hmac_sha256_v1"))  # fmt: skip
        sent = json.loads(body)
        equal(sent["draft"]["draft_id"], seen["draft"])
        equal(sent["delivery_id"], headers["x-tandem-delivery-id"])
        equal(sent["idempotency_key"], headers["idempotency-key"])
        assert b"hunter2" not in body

    async def several_destinations_are_served_in_one_call():
        answer = await monitor.publish_draft_to_destinations(seen["draft"], ["hook", "lines", "memory"])
        rows = by_destination(answer)
        equal({name: row["status"] for name, row in rows.items()},
              {"hook": "posted", "lines": "posted", "memory": "posted"})  # fmt: skip
        equal([rows[name]["action"] for name in ("hook", "lines", "memory")],
              ["skip_duplicate", "record_telemetry", "store_memory_summary"])  # fmt: skip
        equal(answer["partial"], False)
        equal(len(hook.kept), 1)
        body = await refused(
            monitor.publish_draft_to_destinations(seen["draft"], ["nowhere"]), 400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED"
        )
        assert "not configured" in body["detail"], body
        await refused(monitor.publish_draft("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def receipts_are_listed_by_destination():
        posts = await monitor.list_posts(limit=50)
        ours = [row for row in posts.posts if row.draft_id == seen["draft"]]
        equal(sorted(row.destination_id for row in ours), ["hook", "lines", "memory"])
        assert all(row.status == "posted" and row.incident_id == seen["incident"] for row in ours), ours
        (one,) = (await monitor.list_posts(destination_id="memory")).posts
        equal((one.destination_kind, one.operation), ("internal_memory", "store_memory_summary"))
        equal((await monitor.list_posts(destination_id="nowhere")).count, 0)

    async def a_recheck_changes_nothing():
        equal((await monitor.recheck_match(seen["draft"]))["action"], "no_match")
        equal(len(hook.kept), 1)
        await refused(monitor.recheck_match("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def high_risk_waits_for_a_person():
        report = {"title": "Cards are charged twice", "detail": "DoubleCharge: order 7 was captured two times",
                  "component": "payments", "risk_level": "high"}  # fmt: skip
        draft = (await monitor.report(report))["draft"]
        seen["risky"] = draft["draft_id"]
        equal(draft["status"], "approval_required")
        equal((await monitor.preview_route({"draft_id": seen["risky"]})).approval_required, True)
        answer = await monitor.publish_draft(seen["risky"])
        equal((answer["action"], answer["post"]), ("approval_required", None))
        equal(len(hook.kept), 1)

    async def approval_publishes():
        answer = await monitor.approve_draft(seen["risky"], reason="seen, go")
        equal((answer["ok"], answer["action"]), (True, "post_webhook"))
        equal((answer["draft"]["status"], answer["post"]["status"]), ("webhook_posted", "posted"))
        assert answer["draft"]["approval_granted_at_ms"] > 0
        equal(len(hook.kept), 2)
        assert signature_holds(*hook.kept[1])
        await refused(monitor.approve_draft(seen["risky"]), 409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL")
        await refused(monitor.approve_draft("failure-draft-none"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND")

    async def denial_is_final():
        report = {"title": "Refund loop", "detail": "RecursionError: refund of refund", "risk_level": "critical"}
        draft = (await monitor.report(report))["draft"]["draft_id"]
        denied = await monitor.deny_draft(draft, reason="known and harmless")
        equal((denied["ok"], denied["draft"]["status"]), (True, "denied"))
        await refused(monitor.publish_draft(draft), 400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED")
        await refused(monitor.approve_draft(draft), 409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL")
        again = await monitor.report(report)
        equal(again["incident"]["occurrence_count"], 2)
        equal((await monitor.get_draft(draft)).status, "denied")
        equal(len(hook.kept), 2)

    async def a_replay_shows_the_context_without_counting():
        answer = await monitor.replay_incident(seen["incident"])
        equal((answer["ok"], answer["draft"]["draft_id"]), (True, seen["draft"]))
        equal(answer["run"]["run_id"], answer["draft"]["triage_run_id"])
        equal((await monitor.get_incident(seen["incident"])).occurrence_count, 2)
        await refused(monitor.replay_incident("failure-incident-none"), 404, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND")

    async def a_pause_stops_publishing_and_nothing_else():
        paused = await monitor.pause()
        equal((paused["ok"], paused["incident_monitor"]["paused"]), (True, True))
        status = (await monitor.get_status()).status
        equal((status.readiness["ingest_ready"], status.readiness["destination_ready"]), (False, False))
        draft = (await monitor.report({"title": "Cache miss storm", "detail": "CacheError: no peers"}))["draft"]["draft_id"]
        await refused(monitor.publish_draft(draft), 400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED")
        equal((await monitor.resume())["incident_monitor"]["paused"], False)
        equal((await monitor.publish_draft(draft))["action"], "post_webhook")
        equal(len(hook.kept), 3)

    async def the_inventory_names_what_there_is_without_its_secrets():
        inventory = await monitor.get_authority_inventory()
        equal(inventory.schema_version, 1)
        sections = inventory.model_dump()["inventory"]
        equal([row["destination_id"] for row in sections["destinations"]], ["hook", "lines", "memory"])
        equal(sections["destinations"][0]["webhook_secret_ref_present"], True)
        assert os.environ["HOOK_SECRET_NAME"] not in inventory.model_dump_json()
        assert hook.url not in inventory.model_dump_json()
        assert all(isinstance(count, int) for count in inventory.counts.values()), inventory.counts

    async def posture_is_checked_by_rule_and_severity():
        checks = await monitor.get_posture_checks()
        equal((checks.schema_version, checks.findings != []), (1, True))
        rule = "external_destination_without_approval"
        one = await monitor.get_posture_checks(mode="enabled", rules=[rule], min_severity="medium")
        equal({row.rule_id for row in one.findings}, {rule})
        none = await monitor.get_posture_checks(disabled_rules=[rule])
        assert rule not in {row.rule_id for row in none.findings}
        equal((await monitor.get_posture_checks(mode="disabled")).findings, [])

    async def probes_are_run_and_kept():
        run = await monitor.run_assessment_probes(mode="dry_run")
        equal({row.probe_id for row in run.results}, PROBES)
        pack = run.model_dump()["evidence_pack"]
        equal(pack["persisted"], True)
        one = await monitor.run_assessment_probes(probes=["webhook_url_policy"], include_draft_suggestions=False)
        equal({row.probe_id for row in one.results}, {"webhook_url_policy"})

    async def a_report_is_made_and_kept():
        report = await monitor.generate_assessment_report()
        equal((report.schema_version, len(report.sections)), (1, 15))
        assert report.markdown_summary.startswith("# Incident Monitor Security Gap Assessment")
        pack = report.evidence_pack if isinstance(report.evidence_pack, dict) else report.evidence_pack.model_dump()
        equal(pack["persisted"], True)
        kept = await client.incident_monitor._http.get(
            f"/context/runs/{pack['context_run_id']}/artifacts/{pack['artifact_id']}"
        )
        equal(hashlib.sha256(kept.content).hexdigest(), pack["content_sha256"])
        small = await monitor.generate_assessment_report(
            from_ms=1, source_kind="tandem_monitor", min_severity="high", probes=["webhook_url_policy"],
            include_probe_results=True, include_draft_suggestions=True, persist_artifact=False,
            route_destination_ids=["hook"], include_raw_payloads=True,
        )  # fmt: skip
        text = small.model_dump_json()
        assert "hunter2" not in text and os.environ["HOOK_SECRET"] not in text

    async def deployment_cards_are_made():
        cards = await monitor.generate_deployment_cards(
            defaults={"business_owner": "ann", "accountable_team": "core"},
            metadata={"tandem:self_monitoring:incident_monitor": {"purpose": "watches failures"}},
            include_markdown=True, include_raw_inventory=True,
        )  # fmt: skip
        own = cards.model_dump()["cards"][0]
        equal((own["card_id"], own["intended_purpose"]), ("tandem:self_monitoring:incident_monitor", "watches failures"))
        assert cards.markdown_export.startswith("# Incident Monitor Deployment Cards")

    async def the_audit_of_the_memory_is_read():
        audit = await client.memory.audit(limit=10)
        equal((audit.count, len(audit.entries) > 0), (len(audit.entries), True))
        equal((await client.memory.audit(run_id="none")).count, 0)

    automations = client.automations_v2

    async def an_automation_lives_from_create_to_delete():
        spec = {
            "name": "Nightly totals",
            "agents": [{"agent_id": "worker", "display_name": "Worker"}],
            "flow": {"nodes": [{"node_id": "sum", "agent_id": "worker", "objective": "add it up"}]},
            "schedule": {"type": "cron", "cron_expression": "0 3 * * *", "timezone": "UTC", "misfire_policy": "run_once"},
            "own_key": {"kept": True},
        }
        made = await automations.create(spec)
        equal((made.name, made.status), ("Nightly totals", "draft"))
        equal(made.model_extra["own_key"], {"kept": True})
        seen["automation"] = made.automation_id
        updated = await automations.update(made.automation_id, {"description": "adds up", "status": "active"})
        equal((updated.description, updated.status), ("adds up", "active"))
        dry = await automations.run_now(made.automation_id, dry_run=True)
        equal(dry.status, "completed")
        run = await automations.run_now(made.automation_id)
        equal((run.status, run.automation_id), ("queued", made.automation_id))
        seen["run"] = run.run_id
        listed = await automations.list()
        equal((listed.count, listed.automations[0].automation_id), (1, made.automation_id))
        equal((await automations.get(made.automation_id)).name, "Nightly totals")
        equal((await automations.pause(made.automation_id)).status, "paused")
        equal((await automations.get_run(run.run_id)).status, "paused")
        equal((await automations.resume(made.automation_id)).status, "active")

    async def runs_are_paused_resumed_recovered_and_cancelled():
        run = seen["run"]
        equal((await automations.resume_run(run)).status, "queued")
        equal((await automations.pause_run(run, reason="wait")).status, "paused")
        equal((await automations.recover_run(run)).status, "queued")
        runs = await automations.list_runs(seen["automation"], limit=10)
        equal((runs.count, {row.status for row in runs.runs}), (2, {"queued", "completed"}))
        equal((await automations.cancel_run(run)).status, "cancelled")
        equal((await automations.cancel_run(run)).status, "cancelled")

    async def statuses_that_the_client_does_not_know_are_shown_as_ones_it_knows():
        run = (await automations.run_now(seen["automation"])).run_id
        http = automations._http
        gate = {"report_id": "g", "status": "awaiting_approval", "awaiting_gate": {"node_id": "sum"}}
        (await http.post(f"/automations/v2/runs/{run}/report", json=gate)).raise_for_status()
        shown = await automations.get_run(run)
        equal((shown.status, shown.model_extra["stored_status"]), ("paused", "awaiting_approval"))
        await automations.cancel_run(run)
        run = (await automations.run_now(seen["automation"])).run_id
        blocked = {"report_id": "b", "status": "blocked", "blocked_nodes": ["sum"], "detail": "no key"}
        (await http.post(f"/automations/v2/runs/{run}/report", json=blocked)).raise_for_status()
        shown = await automations.get_run(run)
        equal((shown.status, shown.model_extra["stored_status"]), ("failed", "blocked"))
        await automations.list_runs(seen["automation"])

    async def events_are_streamed():
        heard = []

        async def listen():
            async for event in automations.events(automation_id=seen["automation"]):
                heard.append(event)
                if event.type == "automation.v2.run.cancelled":
                    return

        listening = asyncio.create_task(listen())
        # Asked for again and again, because nobody says when the stream has begun.
        while not listening.done():
            run = (await automations.run_now(seen["automation"])).run_id
            await automations.cancel_run(run)
            await asyncio.wait([listening], timeout=0.5)
        await listening
        assert all(event.properties["automationID"] == seen["automation"] for event in heard if "automationID" in event.properties)

    async def an_automation_is_deleted():
        answer = await automations.delete(seen["automation"])
        equal((answer["ok"], answer["deleted"], answer["automationID"]), (True, True, seen["automation"]))
        await refused(automations.get(seen["automation"]), 404, "AUTOMATION_V2_NOT_FOUND")
        equal((await automations.list()).count, 0)
        await refused(automations.list_webhook_triggers(seen["automation"]), 501, "FEATURE_UNAVAILABLE")
        await refused(automations.retry_task(seen["run"], "sum"), 501, "FEATURE_UNAVAILABLE")

    async def tool_servers_are_registered_changed_and_forgotten():
        # Real servers are another suite's; here it is every method and the shape of its answer.
        mcp = client.mcp
        added = await mcp.add("desk", "http://127.0.0.1:9/mcp", headers={"X-Team": "core"}, allowed_tools=["a"],
                              secret_headers={"Authorization": "Bearer env:NOT_SET_ANYWHERE"}, purpose="tickets")
        equal((added["ok"], added["server"]["connected"]), (True, False))
        equal((await mcp.list())["desk"]["secret_headers"]["authorization"]["secret_ref"], "env:NOT_SET_ANYWHERE")
        equal((await mcp.patch("desk", clear_allowed_tools=True))["ok"], True)
        equal((await mcp.set_enabled("desk", True))["ok"], True)
        connected = await mcp.connect("desk")
        equal((connected["ok"], connected["error_code"]), (False, "secret_unavailable"))
        equal((await mcp.authenticate("desk"))["ok"], False)
        await refused(mcp.refresh("desk"), 400, "MCP_REFRESH_FAILED")
        await refused(mcp.auth("desk"), 400, "MCP_OAUTH_FAILED")
        await refused(mcp.auth_callback("desk", {"code": "c", "state": "s"}), 400, "MCP_OAUTH_FAILED")
        equal((await mcp.delete_auth("desk"))["ok"], True)
        await refused(mcp.add("x", "stdio"), 403, "MCP_STDIO_TRANSPORT_DENIED")
        await refused(mcp.catalog_toml("github"), 404, "MCP_CATALOG_ENTRY_NOT_FOUND")
        equal((await mcp.list_tools(), await mcp.list_resources()), ([], []))
        equal((await mcp.disconnect("desk"))["ok"], True)
        equal((await mcp.delete("desk"))["deleted"], True)
        equal(await mcp.list(), {})

    async def every_method_was_called():
        public = {name for name, _ in inspect.getmembers(monitor.monitor, inspect.ismethod) if not name.startswith("_")}
        equal(sorted(public - monitor.called), [])

    steps = [step for step in list(locals().values()) if inspect.iscoroutinefunction(step)]
    return await Suite().run(steps)


async def main():
    async with TandemClient(base_url=os.environ["TANDEM_URL"], token=os.environ["TANDEM_TOKEN"]) as client:
        return 0 if await flow(client) else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
