#!/usr/bin/env node
// standardwebhooks, as a receiver has it: real deliveries of a gateway are verified, changed ones are not.
import { createServer } from "node:http";
import { once } from "node:events";
import { Webhook } from "standardwebhooks";

const BASE = (process.argv[2] ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const RUN = Date.now().toString(36);
/** How long a delivery may take, in milliseconds. */
const ARRIVAL_TIME_MAX = 20_000;
let passed = 0;
let failed = 0;

async function check(what, work) {
  try {
    await work();
    passed += 1;
    console.log(`passed  ${what}`);
  } catch (error) {
    failed += 1;
    console.log(`failed  ${what}: ${error.message}`);
  }
}

async function ask(path, body) {
  const answer = await fetch(`${BASE}/v1/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    response.writeHead(204).end();
    server.emit("arrived", { headers: request.headers, body: Buffer.concat(pieces).toString() });
  });
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/`;
const endpoint = await ask(`projects/acme-${RUN}/webhookEndpoints`, { url });

async function ping() {
  const arrived = once(server, "arrived", { signal: AbortSignal.timeout(ARRIVAL_TIME_MAX) });
  await ask(`${endpoint.name}:ping`, {});
  return (await arrived)[0];
}

function verify(secret, { headers, body }) {
  return new Webhook(secret).verify(body, headers);
}

function refused(secret, message) {
  try {
    verify(secret, message);
  } catch {
    return;
  }
  throw new Error(`verified: ${JSON.stringify(message)}`);
}

let message;
await check("a delivery is verified", async () => {
  message = await ping();
  const event = verify(endpoint.secret, message);
  if (event.type !== "ping") throw new Error(`it is ${event.type}`);
});

await check("a changed body, id, time or secret is refused", () => {
  const { headers, body } = message;
  refused(endpoint.secret, { headers, body: `${body} ` });
  refused(endpoint.secret, { headers: { ...headers, "webhook-id": "evt_other" }, body });
  refused(endpoint.secret, { headers: { ...headers, "webhook-timestamp": `${headers["webhook-timestamp"] - 1}` }, body });
  refused(`whsec_${"A".repeat(32)}`, message);
});

await check("while a secret is rotated both verify", async () => {
  const rotated = await ask(`${endpoint.name}:rotateSecret`, { overlap: "3600s" });
  const both = await ping();
  for (const secret of [endpoint.secret, rotated.secret]) verify(secret, both);
});

server.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
