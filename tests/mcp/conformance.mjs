// The protocol's own conformance suite against our endpoint, scenario by scenario.
//
// Most of its scenarios call tools, prompts and resources of a reference server, by name; they cannot judge a server that
// offers its own. `conformance.yml` lists each of those with the reason. The rest must pass. Version 0.1.13 is the newest
// that runs on Node 20; it knows the revisions up to 2025-11-25 and can present no token.
//
// Reads TANDEM_URL. Prints one line a scenario and the totals.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const program = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
const url = `${process.env.TANDEM_URL}/mcp/rpc`;

const run = (args) => spawnSync(process.execPath, [program, ...args], { encoding: "utf8", timeout: 120_000 });
const listed = run(["list", "--server"]).stdout.matchAll(/^\s+- (\S+)$/gm);
const scenarios = [...listed].map((match) => match[1]);
const unjudged = new Map(
  [...readFileSync("conformance.yml", "utf8").matchAll(/^\s+- (\S+)(?:\s+# (.*))?$/gm)].map((match) => [match[1], match[2]]),
);

let passed = 0;
let failed = 0;
const fail = (text) => {
  failed += 1;
  console.log(`not ok - ${text}`);
};
if (scenarios.length < 10) fail(`only ${scenarios.length} scenarios are listed`);
for (const name of unjudged.keys()) {
  if (!scenarios.includes(name)) fail(`${name} is in conformance.yml and is no scenario`);
}
for (const name of scenarios.filter((name) => !unjudged.has(name))) {
  const { status, stdout, stderr } = run(["server", "--url", url, "--scenario", name]);
  if (status === 0) {
    passed += 1;
    console.log(`ok - ${name}`);
  } else {
    fail(`${name}\n${stdout}${stderr}`);
  }
}
console.log(`${unjudged.size} scenarios of ${scenarios.length} cannot judge this server; see conformance.yml`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
