// An OpenID Connect provider for users whose password is anything: `oidc-provider` over HTTPS on a free port. It prints its port,
// reads where browsers come back to, and then answers.
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { modules, certificate, key } = JSON.parse((await lines.next()).value);
const require = createRequire(`${modules}/package.json`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

let answer = (_request, response) => response.writeHead(503).end();
const server = createServer({ cert: certificate, key }, (request, response) => answer(request, response));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const { port } = server.address();
console.log(port);

const { redirect, secret } = JSON.parse((await lines.next()).value);
const groups = { "grace@example.com": ["staff", "voice"], "nobody@example.com": ["others"] };
const provider = new Provider(`https://localhost:${port}`, {
  clients: [{ client_id: "telepath", client_secret: secret, redirect_uris: [redirect], grant_types: ["authorization_code"] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  conformIdTokenClaims: false,
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: true, name: "Grace Hopper", groups: groups[id] ?? [] }),
  }),
});
answer = provider.callback();
console.log("ready");
