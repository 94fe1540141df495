// The published npm client, unmodified, through every method of `client.bugMonitor`: the names and paths of before the
// rename. One flow, as an operator lives it, with intake keys and deletes, which only this client has. A method that was
// added to the client and is called nowhere fails the last step.
//
// Reads TANDEM_URL, TANDEM_TOKEN, HOOK_SECRET_NAME and HOOK_SECRET. Prints one line a step and the totals.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { appendFileSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { TandemClient } from "@frumu/tandem-client";

const url = process.env.TANDEM_URL;
const client = new TandemClient({ baseUrl: url, token: process.env.TANDEM_TOKEN });

/** A webhook endpoint on a free port that keeps what it gets. */
const kept = [];
const hook = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    kept.push({ headers: request.headers, body: Buffer.concat(chunks) });
    response.writeHead(204).end();
  });
});
await new Promise((listening) => hook.listen(0, "127.0.0.1", listening));
const hookUrl = `http://127.0.0.1:${hook.address().port}/hook`;

/** A workspace with a log file, for the project that has a log source. */
const workspace = realpathSync(mkdtempSync(join(tmpdir(), "tandem-node-client-")));
process.on("exit", () => rmSync(workspace, { recursive: true, force: true }));
const logFile = join(workspace, "app.log");
appendFileSync(logFile, "INFO before anybody looked\n");

/** Asks until there is an answer. */
async function until(what, ask) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

const called = new Set();
const monitor = new Proxy(client.bugMonitor, {
  get(target, name) {
    called.add(name);
    return target[name].bind(target);
  },
});

/** Awaits a call that must be refused, in our envelope. The client throws the status and the raw body as text. */
async function refused(call, status, code) {
  const error = await call.then(
    (answer) => assert.fail(`expected ${status} ${code}, got ${JSON.stringify(answer).slice(0, 500)}`),
    (error) => error,
  );
  if (error instanceof assert.AssertionError) throw error;
  const text = String(error.message);
  assert.match(text, new RegExp(`\\b${status}\\b`), text);
  assert.ok(text.includes(`"code":"${code}"`), text);
}

async function report(headers, body) {
  const response = await fetch(`${url}/bug-monitor/intake/report`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

function signatureHolds({ headers, body }) {
  const parts = Object.fromEntries(headers["x-tandem-signature"].split(",").map((part) => part.split("=")));
  const signed = createHmac("sha256", process.env.HOOK_SECRET).update(`${parts.t}.`).update(body).digest("hex");
  return parts.v1 === signed;
}

const seen = {};
const trace = [
  "TypeError: Cannot read properties of undefined (reading 'sku')",
  "    at priceOf (/srv/shop/src/cart.js:31:17)",
  "    at Array.map (<anonymous>)",
  "    at total (/srv/shop/src/cart.js:52:23)",
];

const steps = {
  async "a fresh config has its defaults"() {
    const { bug_monitor: config } = await monitor.getConfig();
    assert.equal(config.enabled, false);
    assert.deepEqual(config.destinations, []);
  },

  async "the config is saved under the old name and read back"() {
    const { bug_monitor: config } = await monitor.getConfig();
    const wanted = {
      ...config,
      enabled: true,
      repo: "acme/shop",
      destinations: [
        {
          destination_id: "hook",
          name: "Hook",
          kind: "webhook",
          webhook_url: hookUrl,
          webhook_secret_ref: `env:${process.env.HOOK_SECRET_NAME}`,
          config: { allow_insecure_http: true, allow_private_networks: true },
        },
        { destination_id: "lines", name: "Lines", kind: "telemetry" },
      ],
      default_destination_ids: ["lines"],
      monitored_projects: [
        {
          project_id: "shop",
          name: "Shop",
          repo: "acme/shop-web",
          workspace_root: "/srv/shop",
          source_kind: "external_app",
          allowed_destination_ids: ["hook", "lines"],
          default_destination_ids: ["hook"],
          default_route_tags: ["web"],
        },
        {
          project_id: "logged",
          name: "Logged",
          repo: "acme/logged",
          workspace_root: workspace,
          auto_create_new_issues: false,
          log_sources: [{ source_id: "app", path: "app.log" }],
        },
      ],
    };
    const { bug_monitor: saved } = await monitor.patchConfig(wanted);
    const { bug_monitor: again } = await monitor.getConfig();
    assert.deepEqual(again, saved);
    assert.equal(again.monitored_projects[0].project_id, "shop");
    assert.ok(again.updated_at_ms > 0);
    await refused(monitor.patchConfig({ ...wanted, repo: "no-slash" }), 400, "INCIDENT_MONITOR_CONFIG_INVALID");
  },

  async "the status says what is ready"() {
    const { status } = await monitor.getStatus();
    assert.equal(status.readiness.enabled, true);
    assert.equal(status.readiness.destination_ready, true);
    assert.deepEqual((await monitor.recomputeStatus()).status.readiness, status.readiness);
  },

  async "debug answers"() {
    assert.deepEqual((await monitor.debug()).selected_server_tools, []);
  },

  async "a report becomes an incident and a draft"() {
    const submission = { title: "Cart total fails", detail: trace.join("\n"), excerpt: trace, risk_level: "low" };
    const first = await monitor.report(submission);
    Object.assign(seen, { draft: first.draft.draft_id, incident: first.incident.incident_id });
    assert.equal(first.incident.occurrence_count, 1);
    const second = await monitor.report({ report: submission });
    assert.equal(second.incident.incident_id, seen.incident);
    assert.equal(second.incident.occurrence_count, 2);
  },

  async "incidents and drafts are listed and read"() {
    const incidents = await monitor.listIncidents({ limit: 5 });
    assert.equal(incidents.count, incidents.incidents.length);
    assert.equal((await monitor.getIncident(seen.incident)).draft_id, seen.draft);
    assert.equal((await monitor.listDrafts({ limit: 1 })).count, 1);
    assert.equal((await monitor.getDraft(seen.draft)).title, "Cart total fails");
    // Ids are escaped by this client; what no id looks like must be a plain 404.
    await refused(monitor.getDraft("no such/draft"), 404, "INCIDENT_MONITOR_DRAFT_NOT_FOUND");
    await refused(monitor.getIncident("%"), 404, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND");
  },

  async "the preview names the default destination"() {
    const preview = await monitor.previewRoute({ draft_id: seen.draft });
    assert.deepEqual(preview.effective_destination_ids, ["lines"]);
    assert.deepEqual(preview.blocked_reasons, []);
  },

  async "a triage run in progress is shared"() {
    const { run } = await monitor.createTriageRun(seen.draft);
    // By now it may have ended, and a new one is made then.
    const second = await monitor.createTriageRun(seen.draft);
    assert.equal(second.deduped, second.run.run_id === run.run_id);
    assert.equal((await monitor.getDraft(seen.draft)).triage_run_id, second.run.run_id);
  },

  async "a triage summary from outside is taken in and rendered"() {
    const { triage_summary: summary } = await monitor.createTriageSummary(seen.draft, {
      suggested_title: "A cart line may have no product",
      what_happened: "total() read the price of a line without a product.",
      why_it_likely_happened: "priceOf() does not check for a removed product.",
      root_cause_confidence: "high",
      failure_type: "code_defect",
      steps_to_reproduce: ["Remove a product that is in a cart.", "Open the cart."],
      logs: trace,
      recommended_fix: "Skip lines without a product.",
      acceptance_criteria: ["A cart with a removed product shows a total."],
      verification_steps: ["Run the cart tests."],
      research_sources: ["src/cart.js:31"],
      risk_level: "low",
    });
    assert.equal(summary.failure_type, "code_defect");
    const { issue_draft: issue } = await monitor.createIssueDraft(seen.draft);
    assert.ok(issue.rendered_body.includes("Skip lines without a product."), issue.rendered_body);
  },

  async "publishing writes the line and leaves a receipt"() {
    const answer = await monitor.publishDraft(seen.draft);
    assert.equal(answer.action, "record_telemetry");
    assert.equal(answer.post.status, "posted");
    const again = await monitor.publishDraft(seen.draft);
    assert.equal(again.action, "skip_duplicate");
    for (const filter of [{ destinationId: "lines" }, { destination_id: "lines", limit: 10 }]) {
      const { posts } = await monitor.listPosts(filter);
      assert.deepEqual(posts.map((post) => post.draft_id), [seen.draft]);
    }
    seen.post = answer.post.post_id;
  },

  async "a publish to a named destination is signed"() {
    const answer = await monitor.publishDraft(seen.draft, { destination_id: "hook" });
    assert.equal(answer.action, "post_webhook");
    assert.equal(kept.length, 1);
    assert.ok(signatureHolds(kept[0]));
    assert.equal(JSON.parse(kept[0].body).draft.draft_id, seen.draft);
  },

  async "a recheck changes nothing"() {
    assert.equal((await monitor.recheckMatch(seen.draft)).ok, true);
    assert.equal(kept.length, 1);
  },

  async "a replay counts nothing"() {
    const answer = await monitor.replayIncident(seen.incident);
    assert.equal(answer.draft.draft_id, seen.draft);
    assert.equal((await monitor.getIncident(seen.incident)).occurrence_count, 2);
  },

  async "approval publishes, denial is final"() {
    const risky = (title) => ({ title, detail: `${title}: PaymentError: declined twice`, risk_level: "high" });
    const first = (await monitor.report(risky("Double charge"))).draft;
    assert.equal(first.status, "approval_required");
    const approved = await monitor.approveDraft(first.draft_id, "seen");
    assert.equal(approved.action, "record_telemetry");
    await refused(monitor.approveDraft(first.draft_id), 409, "INCIDENT_MONITOR_DRAFT_NOT_PENDING_APPROVAL");
    const second = (await monitor.report(risky("Lost refund"))).draft;
    assert.equal((await monitor.denyDraft(second.draft_id)).draft.status, "denied");
    await refused(monitor.publishDraft(second.draft_id), 400, "INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED");
    Object.assign(seen, { approved: first.draft_id, denied: second.draft_id });
  },

  async "an intake key is shown once"() {
    const { key, raw_key: raw } = await monitor.createIntakeKey({
      project_id: "shop",
      name: "ci",
      scopes: ["bug_monitor:report"],
    });
    assert.match(raw, /^tim_intake_[0-9a-f]{64}$/);
    assert.equal(key.key_hash, "[redacted]");
    const { keys } = await monitor.listIntakeKeys();
    assert.deepEqual(keys.map((row) => [row.key_id, row.enabled]), [[key.key_id, true]]);
    assert.ok(!JSON.stringify(keys).includes(raw));
    Object.assign(seen, { key: key.key_id, raw });
    await refused(monitor.createIntakeKey({ project_id: "none", name: "x" }), 400, "INCIDENT_MONITOR_INTAKE_PROJECT_UNKNOWN");
  },

  async "a report with the key is bound to its project"() {
    const body = {
      project_id: "shop",
      source_id: "ci",
      report: { title: "Build broke", detail: "error[E0308]: mismatched types", repo: "evil/repo", route_tags: ["x"] },
    };
    for (const headers of [
      { "x-tandem-bug-monitor-intake-key": seen.raw },
      { "x-tandem-incident-monitor-intake-key": seen.raw },
      { authorization: `Bearer ${seen.raw}` },
    ]) {
      const answer = await report(headers, body);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.body.draft.repo, "acme/shop-web");
      assert.deepEqual(answer.body.draft.route_tags, ["web"]);
      seen.bound = answer.body;
    }
    assert.equal(seen.bound.incident.occurrence_count, 3);
    const preview = await monitor.previewRoute({ draft_id: seen.bound.draft.draft_id });
    assert.deepEqual(preview.effective_destination_ids, ["hook"]);
  },

  async "the key opens nothing else"() {
    const body = { project_id: "shop", report: { title: "x" } };
    const code = async (...given) => {
      const answer = await report(...given);
      return [answer.status, answer.body.code];
    };
    assert.deepEqual(await code({}, body), [401, "INCIDENT_MONITOR_INTAKE_KEY_REQUIRED"]);
    const key = { "x-tandem-bug-monitor-intake-key": seen.raw };
    assert.deepEqual(await code(key, { ...body, project_id: "other" }), [401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID"]);
    assert.deepEqual(
      await code({ authorization: `Bearer ${process.env.TANDEM_TOKEN}` }, body),
      [401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID"],
    );
    const holder = new TandemClient({ baseUrl: url, token: seen.raw }).bugMonitor;
    await refused(holder.listIncidents(), 401, "AUTH_REQUIRED");
    await refused(holder.report({ title: "x" }), 401, "AUTH_REQUIRED");
  },

  async "a disabled key is refused at once"() {
    assert.equal((await monitor.disableIntakeKey(seen.key)).key.enabled, false);
    assert.equal((await monitor.disableIntakeKey(seen.key)).key.enabled, false);
    const answer = await report({ authorization: `Bearer ${seen.raw}` }, { project_id: "shop", report: { title: "x" } });
    assert.deepEqual([answer.status, answer.body.code], [401, "INCIDENT_MONITOR_INTAKE_KEY_INVALID"]);
    await refused(monitor.disableIntakeKey("intake-key-none"), 404, "INCIDENT_MONITOR_INTAKE_KEY_NOT_FOUND");
  },

  async "log sources that do not exist are not found"() {
    await refused(monitor.resetLogSourceOffset("shop", "app"), 404, "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND");
    await refused(monitor.replayLatestLogSourceCandidate("shop", "app"), 404, "INCIDENT_MONITOR_LOG_SOURCE_NOT_FOUND");
  },

  async "a log source is read, replayed and read again"() {
    const row = async () => {
      const { status } = await monitor.getStatus();
      return status.log_watcher.sources.find((source) => source.project_id === "logged");
    };
    await until("the source is looked at", async () => (await row()).last_poll_at_ms);
    await refused(
      monitor.replayLatestLogSourceCandidate("logged", "app"),
      404,
      "INCIDENT_MONITOR_LOG_SOURCE_REPLAY_NOT_FOUND",
    );
    appendFileSync(logFile, '{"level":"error","msg":"the disk of node 7 is full"}\n');
    await until("the failure is counted", async () => (await row()).total_submitted === 1);
    const replayed = await monitor.replayLatestLogSourceCandidate("logged", "app");
    assert.equal(replayed.incident.log_source_id, "app");
    assert.equal(replayed.incident.occurrence_count, 1);
    assert.ok(replayed.draft.draft_id);
    const { state } = await monitor.resetLogSourceOffset("logged", "app");
    assert.deepEqual([state.project_id, state.source_id, state.offset], ["logged", "app", 0]);
    const id = replayed.incident.incident_id;
    await until("it is read again", async () => (await monitor.getIncident(id)).occurrence_count === 3);
    const { healthy, lag_bytes, consecutive_errors } = await row();
    assert.deepEqual([healthy, lag_bytes, consecutive_errors], [true, 0, 0]);
    await monitor.deleteIncident(id);
    await monitor.deleteDraft(replayed.draft.draft_id);
  },

  async "pause and resume answer under both names"() {
    const paused = await monitor.pause();
    assert.deepEqual([paused.ok, paused.bug_monitor.paused, paused.incident_monitor.paused], [true, true, true]);
    assert.equal((await monitor.getStatus()).status.readiness.ingest_ready, false);
    assert.equal((await monitor.resume()).bug_monitor.paused, false);
  },

  async "single rows are deleted"() {
    for (const [remove, id, code] of [
      [monitor.deletePost, seen.post, "INCIDENT_MONITOR_POST_NOT_FOUND"],
      [monitor.deleteDraft, seen.approved, "INCIDENT_MONITOR_DRAFT_NOT_FOUND"],
      [monitor.deleteIncident, seen.bound.incident.incident_id, "INCIDENT_MONITOR_INCIDENT_NOT_FOUND"],
    ]) {
      assert.deepEqual(await remove(id), { ok: true, deleted: 1 });
      await refused(remove(id), 404, code);
    }
    // Forgetting a receipt must not let the same content out again.
    assert.equal((await monitor.publishDraft(seen.draft)).action, "skip_duplicate");
  },

  async "many rows are deleted"() {
    assert.deepEqual(await monitor.bulkDeleteDrafts({ ids: [seen.denied, "failure-draft-none"] }), { ok: true, deleted: 1 });
    assert.deepEqual(await monitor.bulkDeleteDrafts({ ids: [] }), { ok: true, deleted: 0 });
    for (const [remove, list, rows] of [
      [monitor.bulkDeletePosts, monitor.listPosts, "posts"],
      [monitor.bulkDeleteDrafts, monitor.listDrafts, "drafts"],
      [monitor.bulkDeleteIncidents, monitor.listIncidents, "incidents"],
    ]) {
      const before = (await list({ limit: 200 }))[rows].length;
      assert.ok(before > 0, rows);
      assert.deepEqual(await remove({ all: true }), { ok: true, deleted: before });
      assert.equal((await list())[rows].length, 0);
    }
  },

  async "an automation in camel case lives from create to delete"() {
    const automations = client.automationsV2;
    const spec = {
      name: "Nightly totals",
      schedule: { type: "interval", intervalSeconds: 3600, timezone: "UTC", misfirePolicy: "skip" },
      agents: [{ agentId: "worker", displayName: "Worker", mcpPolicy: { allowedServers: ["files"] } }],
      flow: { nodes: [{ nodeId: "sum", agentId: "worker", objective: "add it up", dependsOn: [], timeoutMs: 1000 }] },
      execution: { maxParallelAgents: 2 },
      outputTargets: ["file:///out"],
      workspaceRoot: "/srv/shop",
      ownKey: { kept: [1, 2] },
    };
    const { automation } = await automations.create(spec);
    const id = automation.automationId;
    assert.ok(id && id === automation.automation_id && id === automation.automationID);
    assert.deepEqual(automation.ownKey, { kept: [1, 2] });
    assert.equal(automation.agents[0].mcp_policy.allowed_servers[0], "files");
    assert.equal(automation.schedule.misfire_policy.type, "skip");
    assert.equal((await automations.update(id, { outputTargets: ["b"] })).automation.output_targets[0], "b");
    const dry = await automations.runNow(id, { dryRun: true });
    assert.deepEqual([dry.ok, dry.dry_run, dry.run.status], [true, true, "completed"]);
    const { run } = await automations.runNow(id, { executionProfile: "strict" });
    assert.deepEqual([run.status, run.automationId, run.effective_execution_profile], ["queued", id, "strict"]);
    const listed = await automations.list();
    assert.equal(listed.automations.find((row) => row.automationId === id).name, "Nightly totals");
    assert.equal((await automations.get(id)).automation.name, "Nightly totals");
    assert.equal((await automations.pause(id, "for now")).automation.status, "paused");
    assert.equal((await automations.resume(id)).automation.status, "active");
    assert.equal((await automations.resumeRun(run.runId)).run.status, "queued");
    assert.equal((await automations.pauseRun(run.runId)).run.status, "paused");
    assert.equal((await automations.recoverRun(run.runId)).run.status, "queued");
    assert.equal((await automations.listRuns(id)).count, 2);
    assert.equal((await automations.getRun(run.runId)).run.runId, run.runId);

    const stop = new AbortController();
    const heard = (async () => {
      for await (const event of automations.events({ automationId: id, signal: stop.signal })) {
        if (event.type === "automation.v2.run.cancelled") return event;
      }
    })();
    let event;
    while (!event) {
      // Asked for again and again, because nobody says when the stream has begun.
      const asked = await automations.runNow(id);
      await automations.cancelRun(asked.run.runId);
      event = await Promise.race([heard, new Promise((later) => setTimeout(later, 500))]);
    }
    assert.equal(event.properties.automationID, id);
    stop.abort();

    assert.equal((await automations.cancelRun(run.runId)).run.status, "cancelled");
    await refused(automations.gateDecide(run.runId, { decision: "approve" }), 403, "AUTOMATION_V2_GATE_REQUIRES_HUMAN");
    await refused(automations.listHandoffs(id), 501, "FEATURE_UNAVAILABLE");
    await refused(automations.graduationSummary(), 501, "FEATURE_UNAVAILABLE");
    const deleted = await automations.delete(id);
    assert.deepEqual([deleted.ok, deleted.deleted], [true, true]);
    await refused(automations.get(id), 404, "AUTOMATION_V2_NOT_FOUND");
  },

  async "every method was called"() {
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(client.bugMonitor));
    assert.deepEqual(methods.filter((name) => name !== "constructor" && !called.has(name)), []);
  },
};

let number = 0;
let failed = 0;
for (const [name, step] of Object.entries(steps)) {
  number += 1;
  try {
    await step();
    console.log(`ok ${number} - ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok ${number} - ${name}`);
    for (const line of String(error.stack ?? error).split("\n").slice(0, 20)) console.log(`  # ${line}`);
  }
}
console.log(`${number - failed} passed, ${failed} failed`);
hook.closeAllConnections();
hook.close();
process.exitCode = failed ? 1 : 0;
