// Judges v1a signatures with Node's own cryptography, as the Standard Webhooks specification describes them.
const { createPublicKey, verify } = require("node:crypto");

function verified(publicKey, headers, body) {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return headers["webhook-signature"].split(" ").some((part) => {
    const [version, signature] = part.split(",");
    return version === "v1a" && verify(null, signed, key, Buffer.from(signature, "base64"));
  });
}

const cases = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
for (const { what, secret, headers, body, good } of cases) {
  if (verified(secret, headers, body) !== good) throw new Error(`${what}: ${good ? "refused" : "verified"}`);
}
console.log(`${cases.length} as expected`);
