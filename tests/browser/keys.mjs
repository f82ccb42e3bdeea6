// A key from its creation to its end: created, used, rotated, the old secret expired, revoked.
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page, context }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  // A request with a key, as a program sends it.
  const request = (key, path = "/v1/calls") =>
    context.request.get(new URL(path, input.base).href, { headers: { authorization: `Bearer ${key}` }, ignoreHTTPSErrors: true });
  const hostile = `<img src=x onerror=alert(1)> "Prod"`;

  await setUp(page);

  await open(page, "/settings/api-keys");
  await check(page, "keys-none");
  await page.getByRole("link", { name: "Create New Key" }).first().click();
  await check(page, "key-new");
  await page.getByLabel("Name", { exact: true }).fill(hostile);
  await page.getByLabel("Description").fill(hostile);
  await page.locator("label.pick").filter({ hasText: "Monitoring" }).click();
  await page.getByLabel("Allowed IP addresses").fill("127.0.0.0/8\n203.0.113.300");
  await press("Check");
  await page.getByText("203.0.113.300").first().waitFor();
  await check(page, "key-refused");
  await page.getByLabel("Allowed IP addresses").fill("127.0.0.0/8\n::1");
  if (input.javaScript === false) {
    await press("Check");
  }
  await page.locator("#summary .sentence").waitFor();
  await check(page, "key-checked");
  await press("Create New Key");
  await page.getByText("This is the only time it will be shown.").waitFor();
  const first = await page.locator("[data-secret]").innerText();
  assert.match(first, /^sk_live_/);
  await check(page, "key-secret");
  assert.equal((await request(first)).status(), 200);
  if (input.javaScript !== false) {
    await page.getByText("It works: the first request came from").waitFor();
    await check(page, "key-works");
  }
  await page.getByLabel("I have saved this key somewhere safe").check();
  await press("Done");
  await page.getByRole("heading", { name: hostile }).waitFor();
  await request(first);
  await check(page, "key");
  await open(page, "/settings/api-keys");
  await page.getByRole("link", { name: hostile }).waitFor();
  await check(page, "keys");
  await page.getByRole("link", { name: hostile }).click();

  // The rotation: the previous secret is still used, then nothing uses it.
  await page.getByRole("link", { name: "Rotate", exact: true }).click();
  await check(page, "key-rotate");
  await page.getByLabel("1 hour").check();
  await press(`Rotate ${hostile}`);
  const second = await page.locator("[data-secret]").innerText();
  assert.notEqual(second, first);
  await page.getByLabel("I have saved this key somewhere safe").check();
  await press("Done");
  await page.waitForURL(/\/settings\/api-keys\/key_[^/]+$/);
  assert.equal((await request(first)).status(), 200, "the previous secret works");
  assert.equal((await request(second)).status(), 200);
  await page.reload();
  await check(page, "key-rotating");
  await page.getByRole("button", { name: /^Expire now/ }).click();
  await page.getByText("The secret stopped working.").waitFor();
  assert.equal((await request(first)).status(), 401);
  assert.equal((await request(second)).status(), 200);

  // The end.
  await page.getByRole("link", { name: "Revoke", exact: true }).click();
  await page.getByLabel("No longer needed").check();
  await page.getByLabel("Type the name of the key").fill("something else");
  await press(`Revoke ${hostile}`);
  await page.getByText("Type the name of the key as it is shown").first().waitFor();
  await check(page, "key-revoke");
  await page.getByLabel("Type the name of the key").fill(hostile);
  await press(`Revoke ${hostile}`);
  await page.getByText("Reason: No longer needed.").waitFor();
  assert.equal((await request(second)).status(), 401);
  await check(page, "key-revoked");
});
