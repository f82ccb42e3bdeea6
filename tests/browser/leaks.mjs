// A leaked key: the guide from its start to what waits for an hour.
import { readFileSync } from "node:fs";
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page, context }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  const send = (key, method, path, data) =>
    context.request.fetch(new URL(path, input.base).href, {
      method,
      data,
      headers: { authorization: `Bearer ${key}`, "user-agent": "gateway/4.1" },
      ignoreHTTPSErrors: true,
    });
  const createKey = async (name, preset) => {
    await open(page, "/settings/api-keys/new");
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.locator("label.pick").filter({ hasText: preset }).click();
    await press("Create New Key");
    const secret = await page.locator("[data-secret]").innerText();
    await page.getByLabel("I have saved this key somewhere safe").check();
    await press("Done");
    await page.waitForURL(/\/settings\/api-keys\/key_[^/]+$/);
    return secret;
  };
  const download = async (press) => {
    const [file] = await Promise.all([page.waitForEvent("download"), press()]);
    return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
  };

  await setUp(page);
  const leaked = await createKey("production-gateway", "Production");
  const other = await createKey("nightly export", "Testing");
  const trunk = { name: "Support line", ai_provider: "openai", sip_username: "support", openai_api_key: "sk-provider-x9Kd" };
  assert.equal((await send(leaked, "POST", "/v1/trunks", trunk)).status(), 201);

  await open(page, "/settings/api-keys");
  await page.getByRole("link", { name: "Leaked key", exact: true }).click();
  await check(page, "leaked-which");
  await page.getByLabel("Key", { exact: true }).selectOption({ label: await page.locator("option", { hasText: "production-gateway" }).innerText() });
  await press("Continue");
  await check(page, "leaked-start");
  await press("Start the guide for production-gateway");
  await page.getByText("The key still works.").waitFor();
  await check(page, "leaked-started");

  await page.getByRole("link", { name: "Revoke the key" }).click();
  assert.ok(await page.getByLabel("Leaked", { exact: true }).isChecked());
  await page.getByLabel("Type the name of the key").fill("production-gateway");
  await press("Revoke production-gateway");
  await page.getByRole("img", { name: "1 of 5 steps done" }).waitFor();
  assert.equal((await send(leaked, "GET", "/v1/calls")).status(), 401);
  assert.equal((await send(leaked, "GET", "/v1/calls")).status(), 401);
  // The counters of keys follow a moment later.
  while ((await page.getByText("2 rejected").count()) === 0) {
    await page.reload();
  }
  await page.getByText("1 client still uses").waitFor();
  await check(page, "leaked-revoked");

  await page.getByLabel("Keep the previous secrets").selectOption({ label: "Not at all: it leaked" });
  await press("Rotate the rest");
  await page.getByText("This is the only time that they are shown.").waitFor();
  const [rotated] = await page.locator("[data-secret]").allInnerTexts();
  await check(page, "leaked-secrets");
  if (input.javaScript !== false) {
    const env = await download(() => press(".env"));
    assert.equal(env.name, "telepath-keys.env");
    assert.ok(env.text.endsWith(`TELEPATH_API_KEY_NIGHTLY_EXPORT=${rotated}\n`), env.text);
    const json = await download(() => press("JSON"));
    assert.equal(JSON.parse(json.text)[0].secret, rotated);
  }
  await page.getByLabel("I have saved these secrets somewhere safe").check();
  await press("Done");
  await page.getByRole("img", { name: "2 of 5 steps done" }).waitFor();
  assert.equal((await send(other, "GET", "/v1/calls")).status(), 401, "the older secret");
  assert.equal((await send(rotated, "GET", "/v1/calls")).status(), 200);

  await press("Mark as reviewed");
  await page.getByText("Skip with a reason").click();
  await page.getByLabel("Why the credentials are kept").fill("The key was never used by others");
  await press("Skip");
  await page.getByRole("img", { name: "4 of 5 steps done" }).waitFor();
  await check(page, "leaked");
  const report = await download(() => page.getByRole("link", { name: "Report" }).click());
  assert.match(report.text, /^# Leaked key: production-gateway/);
  assert.ok(!report.text.includes("sk_live_"), report.text);

  await open(page, "/settings/api-keys/rotate-all");
  await check(page, "rotate-all");
});
