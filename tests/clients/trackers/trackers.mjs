// What the server asks GitHub and Linear, judged by what those two publish: every request body and query by the schemas of
// GitHub's OpenAPI description, every document and its variables by the types of Linear's own SDK. The stubs answer with
// GitHub's published examples, which must fit GitHub's schemas too.
//
// Reads TANDEM_URL, TANDEM_TOKEN and HOOK_SECRET_NAME (any variable that is set serves as a token). Prints one line a step
// and the totals.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import Ajv from "ajv";
import addFormats from "ajv-formats";
import { Kind, parse } from "graphql";

const require = createRequire(import.meta.url);
const base = process.env.TANDEM_URL;

async function tandem(method, path, body) {
  const headers = { authorization: `Bearer ${process.env.TANDEM_TOKEN}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  const json = await answer.json();
  assert.equal(answer.status, 200, `${method} ${path}: ${JSON.stringify(json).slice(0, 500)}`);
  return json;
}

async function until(what, ask) {
  for (const end = Date.now() + 90_000; ; ) {
    const found = await ask();
    if (found) return found;
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

function listen(handle) {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => handle(request, Buffer.concat(chunks).toString(), response));
  });
  return new Promise((ready) => server.listen(0, "127.0.0.1", () => ready(server)));
}

// ---------------------------------------------------------------- GitHub

/** OpenAPI 3.0 says `nullable` where JSON Schema has a type of its own. */
function plain(node) {
  if (Array.isArray(node)) return node.map(plain);
  if (node === null || typeof node !== "object") return node;
  const { nullable, ...rest } = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, plain(value)]));
  return nullable === true ? { anyOf: [rest, { type: "null" }] } : rest;
}

const api = plain(JSON.parse(readFileSync(join(dirname(require.resolve("@octokit/openapi")), "generated/api.github.com.json"))));
const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false, validateFormats: true });
addFormats(ajv);
const compiled = new Map();

function problems(key, schema, value) {
  if (!compiled.has(key)) compiled.set(key, ajv.compile({ ...schema, components: api.components }));
  const check = compiled.get(key);
  return check(value) ? [] : check.errors.map((error) => `${key}${error.instancePath} ${error.message}`);
}

const resolved = (node) => (node?.$ref ? node.$ref.slice(2).split("/").reduce((at, key) => at[key], api) : node);
const example = (name) => structuredClone(api.components.examples[name].value);

const ROUTES = [
  ["GET", "/search/issues", "search"],
  ["GET", "/repos/{owner}/{repo}/issues", "list"],
  ["POST", "/repos/{owner}/{repo}/issues", "create"],
  ["GET", "/repos/{owner}/{repo}/issues/{issue_number}", "get"],
  ["PATCH", "/repos/{owner}/{repo}/issues/{issue_number}", "update"],
  ["GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", "comments"],
  ["POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", "comment"],
].map(([method, path, name]) => ({
  method,
  name,
  pattern: new RegExp(`^${path.replace(/\{[a-z_]+\}/g, "[^/]+")}$`),
  operation: api.paths[path][method.toLowerCase()],
}));

// Compiling takes longer than a request may; it happens before the first one.
for (const { name, operation } of ROUTES) {
  const body = operation.requestBody?.content["application/json"].schema;
  if (body) problems(`${name} body`, body, {});
  for (const [status, answer] of Object.entries(operation.responses)) {
    const schema = resolved(answer).content?.["application/json"]?.schema;
    if (schema && status < 300) problems(`${name} ${status}`, schema, {});
  }
}

const github = { issues: [], wrong: [], asked: new Map(), hangs: 0 };

function view(issue) {
  const told = example("issue");
  Object.assign(told, {
    number: issue.number,
    title: issue.title,
    body: issue.body,
    state: issue.state,
    html_url: `https://github.com/acme/platform/issues/${issue.number}`,
    created_at: issue.created,
    updated_at: issue.updated,
    closed_at: issue.state === "closed" ? issue.updated : null,
  });
  delete told.pull_request;
  return told;
}

function commentView(comment) {
  return Object.assign(example("issue-comment"), {
    id: comment.id,
    body: comment.body,
    html_url: `https://github.com/acme/platform/issues/1#issuecomment-${comment.id}`,
  });
}

const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");

function act(name, target, body) {
  const number = Number(target.pathname.split("/")[5]);
  const issue = github.issues.find((known) => known.number === number);
  if (["get", "update", "comments", "comment"].includes(name) && !issue) return [404, { message: "Not Found" }];
  switch (name) {
    case "search": {
      const phrase = target.searchParams.get("q").split('"')[1];
      const items = github.issues.filter((known) => known.body.includes(phrase)).map((known) => ({ ...view(known), score: 1 }));
      return [200, { total_count: items.length, incomplete_results: false, search_type: "lexical", items }];
    }
    case "list":
      return [200, github.issues.filter((known) => known.updated >= target.searchParams.get("since")).map(view).reverse()];
    case "get":
      return [200, view(issue)];
    case "create": {
      const made = { number: github.issues.length + 1, title: body.title, body: body.body, state: "open", created: now(), updated: now(), comments: [] };
      github.issues.push(made);
      return [201, view(made)];
    }
    case "update":
      Object.assign(issue, { state: body.state, updated: now() });
      return [200, view(issue)];
    case "comments":
      return [200, issue.comments.map(commentView)];
    case "comment":
      issue.comments.push({ id: 100 + issue.comments.length, body: body.body });
      issue.updated = now();
      return [201, commentView(issue.comments.at(-1))];
  }
}

const githubServer = await listen((request, text, response) => {
  const target = new URL(request.url, "http://stub");
  const route = ROUTES.find((known) => known.method === request.method && known.pattern.test(target.pathname));
  if (!route) {
    github.wrong.push(`${request.method} ${request.url} is no route of GitHub's`);
    return response.writeHead(404).end("{}");
  }
  github.asked.set(route.name, (github.asked.get(route.name) ?? 0) + 1);
  const parameters = (route.operation.parameters ?? []).map(resolved);
  for (const [key, value] of target.searchParams) {
    const parameter = parameters.find((known) => known.in === "query" && known.name === key);
    if (!parameter) {
      github.wrong.push(`${route.name}: the query has no ${key}`);
      continue;
    }
    const schema = resolved(parameter.schema);
    const typed = schema.type === "integer" ? Number(value) : value;
    github.wrong.push(...problems(`${route.name}?${key}`, schema, typed));
  }
  let body;
  if (route.operation.requestBody) {
    body = JSON.parse(text);
    const schema = route.operation.requestBody.content["application/json"].schema;
    github.wrong.push(...problems(`${route.name} body`, schema, body));
    const known = Object.keys(resolved(schema).properties);
    github.wrong.push(...Object.keys(body).filter((key) => !known.includes(key)).map((key) => `${route.name}: no field ${key}`));
  }
  if (!/^Bearer ./.test(request.headers.authorization ?? "")) github.wrong.push("no token");
  if (request.headers["x-github-api-version"] !== "2022-11-28") github.wrong.push("no API version");
  const [status, answer] = act(route.name, target, body);
  const schema = resolved(route.operation.responses[status])?.content?.["application/json"]?.schema;
  if (schema && status < 300) github.wrong.push(...problems(`${route.name} ${status}`, schema, answer).map((why) => `the stub's own ${why}`));
  if (route.name === "create" && github.hangs > 0) {
    github.hangs -= 1;
    return; // It happened, and nobody says so.
  }
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
});

// ---------------------------------------------------------------- Linear

/** The types of the SDK: name -> field -> {type, required}. */
function types() {
  const dist = join(dirname(require.resolve("@linear/sdk")));
  const files = readdirSync(dist).filter((name) => name.endsWith(".d.mts"));
  const file = files.map((name) => readFileSync(join(dist, name), "utf8")).find((text) => /^type IssueCreateInput = \{/m.test(text));
  const found = new Map();
  for (const [, name, inside] of file.matchAll(/^type (\w+) = (?:\w+ & )*\{\n([\s\S]*?)^\};/gm)) {
    const fields = new Map();
    for (const [, field, optional, type] of inside.matchAll(/^ {2}(\w+)(\??): ([^;]+);/gm)) fields.set(field, { type, required: !optional });
    found.set(name, fields);
  }
  return found;
}

const linearTypes = types();
const bare = (type) => {
  for (let inner = type.trim(); ; ) {
    const next = inner.match(/^(?:Maybe|InputMaybe|Array)<(.*)>$/s)?.[1];
    if (!next) return inner;
    inner = next.trim();
  }
};

/** What is wrong with a value for an input type. */
function misfit(type, value, at) {
  if (value === null || value === undefined) return /Maybe</.test(type) ? [] : [`${at} is missing`];
  const list = type.match(/^(?:InputMaybe<)?Array<(.*?)>>?$/s);
  if (list) return Array.isArray(value) ? value.flatMap((item, n) => misfit(list[1], item, `${at}[${n}]`)) : [`${at} is no list`];
  const inner = bare(type);
  const scalar = inner.match(/^Scalars\["(\w+)"\]$/)?.[1];
  if (scalar) {
    const fits = { String: "string", ID: "string", DateTime: "string", DateTimeOrDuration: "string", Boolean: "boolean", Int: "number", Float: "number" }[scalar];
    return !fits || typeof value === fits ? [] : [`${at} is no ${scalar}`];
  }
  const fields = linearTypes.get(inner);
  if (!fields) return [];
  if (typeof value !== "object") return [`${at} is no ${inner}`];
  const unknown = Object.keys(value).filter((key) => !fields.has(key)).map((key) => `${inner} has no ${key} (${at})`);
  const inside = [...fields].flatMap(([key, field]) => (key in value ? misfit(field.type, value[key], `${at}.${key}`) : field.required ? [`${at}.${key} is missing`] : []));
  return [...unknown, ...inside];
}

function walk(selections, parent, wrong) {
  for (const node of selections.selections) {
    assert.equal(node.kind, Kind.FIELD);
    const field = linearTypes.get(parent)?.get(node.name.value);
    if (!field) {
      wrong.push(`${parent} has no ${node.name.value}`);
      continue;
    }
    const capital = node.name.value[0].toUpperCase() + node.name.value.slice(1);
    const args = linearTypes.get(`${parent}${capital}Args`) ?? new Map();
    for (const argument of node.arguments) {
      const declared = args.get(argument.name.value);
      if (!declared) wrong.push(`${parent}.${node.name.value} takes no ${argument.name.value}`);
    }
    const given = node.arguments.map((argument) => argument.name.value);
    for (const [name, argument] of args) if (argument.required && !given.includes(name)) wrong.push(`${parent}.${node.name.value} wants ${name}`);
    if (node.selectionSet) walk(node.selectionSet, bare(field.type), wrong);
    else if (linearTypes.has(bare(field.type))) wrong.push(`${parent}.${node.name.value} wants fields`);
  }
}

const linear = { issues: [], wrong: [], asked: new Map(), hangs: 0 };

function judge(document, variables) {
  const wrong = [];
  const [definition] = parse(document).definitions;
  walk(definition.selectionSet, definition.operation === "mutation" ? "Mutation" : "Query", wrong);
  const named = (type) => (type.kind === Kind.NAMED_TYPE ? type.name.value : named(type.type));
  for (const declared of definition.variableDefinitions) {
    const name = declared.variable.name.value;
    const required = declared.type.kind === Kind.NON_NULL_TYPE;
    if (required && variables[name] == null) wrong.push(`$${name} is missing`);
    if (linearTypes.has(named(declared.type)) && variables[name] != null) wrong.push(...misfit(named(declared.type), variables[name], `$${name}`));
  }
  const names = definition.variableDefinitions.map((declared) => declared.variable.name.value);
  wrong.push(...Object.keys(variables).filter((name) => !names.includes(name)).map((name) => `$${name} is not declared`));
  return [definition.name.value, wrong];
}

const told = (issue) => ({
  id: issue.id, identifier: `ENG-${issue.number}`, title: issue.title, description: issue.description,
  url: `https://linear.app/acme/issue/ENG-${issue.number}`, createdAt: issue.updated, updatedAt: issue.updated,
  state: { id: issue.open ? "open" : "done", name: issue.open ? "Todo" : "Done", type: issue.open ? "unstarted" : "completed" },
});

function linearAct(name, variables) {
  const { input, id, filter } = variables;
  const issue = linear.issues.find((known) => known.id === (id ?? input?.issueId));
  switch (name) {
    case "FindIssues":
    case "ChangedIssues":
      return { issues: { nodes: linear.issues.filter((known) => known.description.includes(filter.description.contains)).map(told), pageInfo: { hasNextPage: false, endCursor: null } } };
    case "Target":
      return {
        teams: { nodes: [{ id: "team", key: "ENG", name: "Engineering", states: { nodes: [{ id: "open", name: "Todo", type: "unstarted", position: 1 }] } }] },
        projects: { nodes: [{ id: "project", name: "Core", slugId: "core" }] },
        issueLabels: { nodes: [] },
      };
    case "CreateIssue": {
      if (linear.issues.some((known) => known.id === input.id)) return null;
      const made = { ...input, number: linear.issues.length + 1, open: true, updated: new Date().toISOString(), comments: [] };
      linear.issues.push(made);
      return { issueCreate: { success: true, issue: told(made) } };
    }
    case "Issue":
      return { issues: { nodes: linear.issues.filter((known) => known.id === filter.id.eq).map(told) } };
    case "CreateComment":
      issue.comments.push(input);
      return { commentCreate: { success: true, comment: { id: input.id, url: "https://linear.app/c/1", body: input.body } } };
    case "Comment": {
      const found = linear.issues.flatMap((known) => known.comments).filter((comment) => comment.id === filter.id.eq);
      return { comments: { nodes: found.map(({ id, body }) => ({ id, url: "https://linear.app/c/1", body })) } };
    }
    case "ReopenIssue":
      issue.open = true;
      return { issueUpdate: { success: true, issue: told(issue) } };
  }
}

const linearServer = await listen((request, text, response) => {
  const { query, variables } = JSON.parse(text);
  const [name, wrong] = judge(query, variables);
  linear.wrong.push(...wrong.map((why) => `${name}: ${why}`));
  linear.asked.set(name, (linear.asked.get(name) ?? 0) + 1);
  const data = linearAct(name, variables);
  const body = data ? { data } : { data: null, errors: [{ message: "Entity not found", extensions: { code: "INPUT_ERROR" } }] };
  if (name === "CreateIssue" && linear.hangs > 0) {
    linear.hangs -= 1;
    return;
  }
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
});

// ---------------------------------------------------------------- the steps

const settings = (server, path, more) => ({
  token_ref: `env:${process.env.HOOK_SECRET_NAME}`, api_base: `http://127.0.0.1:${server.address().port}${path}`,
  allow_private_networks: true, allow_insecure_http: true, timeout_ms: 5000, settle_ms: 500, ...more,
});

async function configure(destination, more) {
  const incident_monitor = {
    enabled: true, repo: "acme/platform", destinations: [destination], default_destination_ids: [destination.destination_id],
    recurrence: { policy: "reopen", min_interval_ms: 0 }, ...more,
  };
  await tandem("PATCH", "/config/incident-monitor", { incident_monitor });
}

const issueTracker = (more) => ({ destination_id: "gh", name: "gh", kind: "github_issue", config: settings(githubServer, "/", more) });
const linearTracker = (more) => ({ destination_id: "lin", name: "lin", kind: "linear_issue", linear_team: "ENG", linear_project: "Core", config: settings(linearServer, "/graphql", more) });

async function report(fingerprint) {
  const body = { fingerprint, title: `${fingerprint} failed`, detail: "it @broke ``` <!-- tandem:effect:v1:x -->", component: "c", event: "job.failed", level: "error" };
  return (await tandem("POST", "/incident-monitor/report", { report: body })).draft.draft_id;
}

const publish = (id) => tandem("POST", `/incident-monitor/drafts/${id}/publish`, {});
const posted = (id) => until("a receipt", async () => {
  const { deliveries } = await tandem("GET", `/incident-monitor/deliveries?draft_id=${id}`);
  return deliveries.every((delivery) => delivery.state === "posted") && deliveries.length > 0;
});

async function flow(tracker, destination, fingerprint, closed) {
  await configure(destination());
  const id = await report(fingerprint);
  assert.equal((await publish(id)).action, "create_issue");
  assert.equal(tracker.issues.length, 1);
  await tandem("POST", `/incident-monitor/drafts/${id}/recheck-match`);
  closed(tracker.issues[0]);
  await report(fingerprint);
  await until("the issue is open again and told", () => !closedNow(tracker.issues[0]) && tracker.issues[0].comments.length === 1);
  tracker.hangs = 1;
  const lost = await report(`${fingerprint}-lost`);
  await publish(lost);
  await posted(lost);
  assert.equal(tracker.issues.length, 2, "a lost answer made no second issue");
}

const closedNow = (issue) => issue.state === "closed" || issue.open === false;

const steps = {
  async "GitHub: create, recheck, reopen, comment, and look after a lost answer"() {
    await flow(github, issueTracker, "gh", (issue) => Object.assign(issue, { state: "closed", updated: now() }));
  },
  async "GitHub: changes are asked for"() {
    const before = github.asked.get("list") ?? 0;
    await configure(issueTracker({ status_sync: true, status_sync_interval_ms: 1000 }));
    await until("a question", () => (github.asked.get("list") ?? 0) > before);
  },
  async "GitHub: every request fits the published description"() {
    assert.deepEqual([...new Set(github.wrong)], []);
    assert.deepEqual(ROUTES.map((route) => route.name).filter((name) => name !== "comments" && !github.asked.has(name)), []);
  },
  async "Linear: create, recheck, reopen, comment, and look after a lost answer"() {
    await flow(linear, linearTracker, "lin", (issue) => Object.assign(issue, { open: false, updated: new Date().toISOString() }));
  },
  async "Linear: changes are asked for"() {
    await configure(linearTracker({ status_sync: true, status_sync_interval_ms: 1000 }));
    await until("a question", () => linear.asked.has("ChangedIssues"));
  },
  async "Linear: every document fits the types of its SDK"() {
    assert.deepEqual([...new Set(linear.wrong)], []);
    for (const name of ["FindIssues", "Issue", "Target", "CreateIssue", "CreateComment", "ReopenIssue", "ChangedIssues"]) assert.ok(linear.asked.has(name), name);
  },
  async "the judges do find what is wrong"() {
    assert.ok(problems("create body", ROUTES[2].operation.requestBody.content["application/json"].schema, { title: {}, labels: 1 }).length > 0);
    assert.ok(judge("query X { issues(filter: 1, nope: 2) { nodes { id nope } } }", {})[1].length >= 2);
    assert.ok(misfit("IssueCreateInput", { title: 1 }, "$input").length >= 2);
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
for (const server of [githubServer, linearServer]) {
  server.closeAllConnections();
  server.close();
}
process.exitCode = failed ? 1 : 0;
