// An owner looks at the server, changes the policies of the account, and stays signed in when the session is about to end.
import { assert, check, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page, context, input }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  await setUp(page);

  // The server.
  await open(page, "/settings/system");
  await page.getByRole("heading", { name: "Health" }).waitFor();
  await check(page, "system");
  const bundle = await context.request.get(new URL("/settings/system/bundle", input.base).href);
  assert.equal(bundle.status(), 200);
  assert.match(bundle.headers()["content-disposition"], /^attachment; filename="telepath-support-/);
  const text = await bundle.text();
  await open(page, "/settings/system/configuration");
  await check(page, "system-configuration");
  const configuration = await page.content();
  for (const secret of input.secrets) {
    assert.ok(!text.includes(secret) && !configuration.includes(secret), "a secret of the configuration");
  }
  assert.equal(JSON.parse(text).settings["smtp.password"].secret, true);
  await page.getByRole("link", { name: /set on this server/ }).click();
  await page.getByRole("rowheader", { name: /^smtp\.host/ }).waitFor();
  const authority = await context.request.get(new URL("/settings/system/authority", input.base).href);
  assert.match(await authority.text(), /^-----BEGIN CERTIFICATE-----/);

  // The account.
  await open(page, "/settings/account");
  await check(page, "account");
  await page.getByLabel("Maximum lifetime of keys, in days").fill("0");
  await press("Save account");
  await page.locator("#max_key_lifetime_days-error").waitFor();
  await check(page, "account-wrong");
  await page.getByLabel("Maximum lifetime of keys, in days").fill("90");
  await page.getByLabel(/Keys must expire/).check();
  await press("Save account");
  await page.getByText("The account is changed").waitFor();
  await check(page, "account-saved");

  await open(page, "/analytics");
  await check(page, "analytics-empty");
  await open(page, "/settings/webhooks");
  await check(page, "webhooks-empty");

  if (input.javaScript === false) {
    return;
  }

  // The session is about to end.
  await page.clock.install();
  await open(page, "/settings/account");
  const dialog = page.getByRole("alertdialog");
  await page.clock.fastForward("11:57:00");
  assert.equal(await dialog.isVisible(), false);
  await page.clock.fastForward("01:30");
  await dialog.getByRole("heading", { name: "Your session ends soon" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Stay signed in");
  await check(page, "session-ends");
  await press("Stay signed in");
  await dialog.waitFor({ state: "hidden" });

  // It ends. What was typed is there again after the sign-in.
  await page.getByLabel("Name", { exact: true }).fill("Analytical Engines");
  await page.getByLabel(/Revoke keys/).check();
  await page.clock.fastForward("12:00:00");
  await page.clock.fastForward("02:00");
  await dialog.getByRole("heading", { name: "You are signed out" }).waitFor();
  await check(page, "session-over");
  await context.clearCookies();
  await press("Sign in again");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password", { exact: true }).fill(input.password);
  await press("Sign in");
  await page.getByRole("heading", { name: "Account", exact: true }).waitFor();
  assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Analytical Engines");
  assert.ok(await page.getByLabel(/Revoke keys/).isChecked());
  await press("Save account");
  await page.getByText("The account is changed").waitFor();
});
