// Real MCP servers behind the registry, through the published npm client, unmodified: `server-everything` over streamable
// HTTP and as a command, `server-memory` as a command. A draft is published through a tool of each.
//
// Reads TANDEM_URL, TANDEM_TOKEN and TANDEM_MCP_COMMANDS, the file of commands, which it writes. Prints one line a step
// and the totals.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { TandemClient } from "@frumu/tandem-client";

const url = process.env.TANDEM_URL;
const client = new TandemClient({ baseUrl: url, token: process.env.TANDEM_TOKEN, timeoutMs: 60_000 });
const here = (path) => join(process.cwd(), "node_modules/@modelcontextprotocol", path);
const scratch = mkdtempSync(join(tmpdir(), "tandem-mcp-"));

const commands = {
  everything: { command: process.execPath, args: [here("server-everything/dist/index.js"), "stdio"] },
  memory: {
    command: process.execPath,
    args: [here("server-memory/dist/index.js")],
    env: { MEMORY_FILE_PATH: join(scratch, "memory.json") },
  },
};
writeFileSync(process.env.TANDEM_MCP_COMMANDS, JSON.stringify({ servers: commands }));
chmodSync(process.env.TANDEM_MCP_COMMANDS, 0o600);

const port = await new Promise((told) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => told(port));
  });
});
const everything = spawn(process.execPath, [here("server-everything/dist/index.js"), "streamableHttp"], {
  env: { ...process.env, PORT: String(port) },
  stdio: "ignore",
});

async function ask(method, path, body) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${process.env.TANDEM_TOKEN}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

/** Waits until `look` answers with something. */
async function until(what, look) {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const found = await look();
    if (found) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  assert.fail(`not in time: ${what}`);
}

let passed = 0;
let failed = 0;
async function step(name, run) {
  try {
    await run();
    passed += 1;
    console.log(`ok - ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${name}\n${error.stack ?? error}`);
  }
}

function destination(id, server, tool, payload) {
  return {
    destination_id: id,
    name: id,
    kind: "mcp_tool",
    mcp_server: server,
    mcp_tool: tool,
    config: { allow_publish: true, timeout_ms: 20_000, payload },
  };
}

await step("a server over streamable HTTP is registered and connected", async () => {
  const added = await client.mcp.add({
    name: "everything",
    transport: `http://127.0.0.1:${port}/mcp`,
    purpose: "every feature",
    allow_private_networks: true,
  });
  assert.equal(added.ok, true);
  await until("it listens", async () => (await client.mcp.connect("everything")).ok);
  const listed = await client.mcp.list();
  assert.equal(listed.everything.connected, true);
  assert.ok(listed.everything.protocol_version >= "2025-03-26", listed.everything.protocol_version);
});

await step("commands are started from the operator's file", async () => {
  for (const [name, command] of [["everything-stdio", "everything"], ["memory", "memory"]]) {
    assert.equal((await client.mcp.add({ name, transport: `stdio:${command}` })).ok, true);
    const connected = await client.mcp.connect(name);
    assert.equal(connected.ok, true, JSON.stringify(connected));
  }
});

await step("tools and resources of all three are listed", async () => {
  const tools = await client.mcp.listTools();
  const names = tools.map((tool) => tool.namespaced_name);
  for (const name of ["mcp.everything.echo", "mcp.everything_stdio.echo", "mcp.memory.create_entities"]) {
    assert.ok(names.includes(name), `${name} is not in ${names}`);
  }
  assert.ok(tools.every((tool) => tool.schema_hash.length === 64 && tool.accepted));
  const resources = await client.mcp.listResources();
  assert.ok(resources.some((resource) => resource.server_name === "everything" && resource.uri), JSON.stringify(resources[0]));
});

await step("a refresh that changes nothing finds nothing", async () => {
  for (const name of ["everything", "everything-stdio", "memory"]) {
    const refreshed = await client.mcp.refresh(name);
    assert.equal(refreshed.ok, true);
    assert.ok(refreshed.count > 3);
    assert.deepEqual(refreshed.server.changed_tools, []);
  }
});

await step("allowlists are patched and cleared", async () => {
  assert.equal((await client.mcp.patch("everything", { allowed_tools: ["echo"] })).ok, true);
  const some = (await client.mcp.listTools()).filter((tool) => tool.server_name === "everything");
  assert.deepEqual(some.filter((tool) => tool.allowed).map((tool) => tool.tool_name), ["echo"]);
  assert.equal((await client.mcp.patch("everything", { clear_allowed_tools: true })).ok, true);
});

await step("a draft is published through a tool of each", async () => {
  const config = (await client.bugMonitor.getConfig()).bug_monitor;
  const destinations = [
    destination("echo-http", "everything", "echo", { message: "$draft.title" }),
    destination("echo-stdio", "everything-stdio", "mcp.everything_stdio.echo", { message: "$draft.fingerprint" }),
    destination("remember", "memory", "create_entities", {
      entities: [{ name: "$draft.fingerprint", entityType: "failure", observations: ["$draft.title"] }],
    }),
  ];
  await client.bugMonitor.patchConfig({
    ...config,
    enabled: true,
    repo: "acme/shop",
    triage_timeout_ms: 0,
    destinations,
    default_destination_ids: destinations.map((each) => each.destination_id),
  });
  const { draft } = await client.bugMonitor.report({ title: "Checkout fails", detail: "TypeError: sku of undefined" });
  await client.bugMonitor.publishDraft(draft.draft_id);
  for (const { destination_id: id } of destinations) {
    const delivery = await until(`${id} is posted`, async () => {
      const { deliveries } = await ask("GET", `/incident-monitor/deliveries?draft_id=${draft.draft_id}`);
      const own = deliveries.find((each) => each.destination_id === id);
      assert.ok(!["failed", "blocked", "unknown"].includes(own?.state), JSON.stringify(own));
      return own?.state === "posted" && own;
    });
    const post = (await client.bugMonitor.listPosts()).posts.find((each) => each.post_id === delivery.post_id);
    assert.equal(post.receipt.arguments_redacted, true);
    assert.ok(post.external_id.startsWith("bmmcp_"));
    if (id === "echo-http") assert.match(post.receipt.result_excerpt, /Checkout fails/);
  }
});

await step("a tool's own error is a failure", async () => {
  const config = (await client.bugMonitor.getConfig()).bug_monitor;
  const broken = destination("broken", "memory", "add_observations", {
    observations: [{ entityName: "nobody", contents: ["x"] }],
  });
  await client.bugMonitor.patchConfig({ ...config, destinations: [broken], default_destination_ids: ["broken"] });
  const { draft } = await client.bugMonitor.report({ title: "Another", detail: "Error: another one" });
  // The first attempt is waited for, so the publish itself says what the tool said.
  await client.bugMonitor.publishDraft(draft.draft_id).then(
    () => assert.fail("the tool cannot do this"),
    (error) => assert.match(String(error.message), /INCIDENT_MONITOR_DRAFT_PUBLISH_FAILED.*not found/),
  );
  await until("it has failed", async () => {
    const { deliveries } = await ask("GET", `/incident-monitor/deliveries?draft_id=${draft.draft_id}`);
    return deliveries[0]?.state === "failed" && deliveries[0].error_code === "mcp_tool_error";
  });
});

await step("a server that goes away is noticed, and found again", async () => {
  const gone = new Promise((ended) => everything.once("exit", ended));
  everything.kill("SIGKILL");
  await gone;
  await client.mcp.refresh("everything").then(
    () => assert.fail("nobody is there"),
    (error) => assert.match(String(error.message), /MCP_REFRESH_FAILED/),
  );
  assert.equal((await client.mcp.list()).everything.connected, false);
  const again = spawn(process.execPath, [here("server-everything/dist/index.js"), "streamableHttp"], {
    env: { ...process.env, PORT: String(port) },
    stdio: "ignore",
  });
  try {
    await until("it is connected again", async () => (await client.mcp.list()).everything.connected);
  } finally {
    again.kill("SIGKILL");
  }
});

await step("a server of the older transport is spoken to over its stream of events", async () => {
  const older = spawn(process.execPath, [here("server-everything/dist/index.js"), "sse"], {
    env: { ...process.env, PORT: String(port) },
    stdio: "ignore",
  });
  try {
    const transport = `http://127.0.0.1:${port}/sse`;
    assert.equal((await client.mcp.add({ name: "older", transport, allow_private_networks: true })).ok, true);
    await until("it listens", async () => (await client.mcp.connect("older")).ok);
    assert.ok((await client.mcp.refresh("older")).count > 3);
    const config = (await client.bugMonitor.getConfig()).bug_monitor;
    const echo = destination("echo-older", "older", "echo", { message: "$draft.title" });
    await client.bugMonitor.patchConfig({ ...config, destinations: [echo], default_destination_ids: ["echo-older"] });
    const { draft } = await client.bugMonitor.report({ title: "Over the stream", detail: "Error: over the stream" });
    await client.bugMonitor.publishDraft(draft.draft_id);
    await until("it is posted", async () => {
      const { deliveries } = await ask("GET", `/incident-monitor/deliveries?draft_id=${draft.draft_id}`);
      return deliveries[0]?.state === "posted";
    });
    assert.equal((await client.mcp.delete("older")).deleted, true);
  } finally {
    older.kill("SIGKILL");
  }
});

await step("servers are disabled, disconnected and deleted", async () => {
  assert.equal((await client.mcp.setEnabled("everything", false)).ok, true);
  assert.equal((await client.mcp.disconnect("memory")).ok, true);
  for (const name of ["everything", "everything-stdio", "memory"]) {
    assert.equal((await client.mcp.delete(name)).deleted, true);
  }
  assert.deepEqual(await client.mcp.list(), {});
});

everything.kill("SIGKILL");
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
