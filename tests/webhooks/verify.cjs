// Lets the standardwebhooks package of npm judge deliveries that come over standard input.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
for (const { what, secret, headers, body, good } of cases) {
  let verified = true;
  try {
    new Webhook(secret).verify(body, headers);
  } catch (problem) {
    if (!(problem instanceof WebhookVerificationError)) throw problem;
    verified = false;
  }
  if (verified !== good) throw new Error(`${what}: ${verified ? "verified" : "refused"}`);
}
console.log(`${cases.length} as expected`);
