// From the link that the server prints to a second factor, and back in with it.
import { assert, check, input, open, scenario, totp } from "./harness.mjs";

await scenario(async ({ page }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();

  // The link creates the owner.
  await page.goto(input.setup.replace(/^https:\/\/[^/]+/, input.base));
  assert.equal(new URL(page.url()).search, "", "the code has left the address");
  await check(page, "setup");
  await page.getByLabel("Name", { exact: true }).fill("Ada Lovelace");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password", { exact: true }).fill("password1234");
  await press("Continue");
  await page.getByText("most common passwords").first().waitFor();
  await check(page, "setup-refused");
  assert.equal(await page.getByLabel("Email").inputValue(), "ada@example.com", "what was typed is kept");
  await page.getByLabel("Password", { exact: true }).fill(input.password);
  await press("Continue");

  // The second factor.
  await page.getByRole("heading", { name: "Second factor" }).waitFor();
  await check(page, "second-factor");
  await press("Add an authenticator");
  await page.getByRole("img", { name: "QR code for the authenticator" }).waitFor();
  await check(page, "enrol");
  const secret = await page.locator("[data-secret] code").innerText();
  await page.getByLabel("Code", { exact: true }).fill(totp(secret));
  await press("Turn on");
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  await check(page, "recovery-codes");
  const codes = await page.locator(".codes code").allInnerTexts();
  assert.equal(codes.length, 10);
  await page.getByLabel("I have saved these codes").check();
  await press("Done");

  // The first page of a new server, and the profile.
  await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
  await check(page, "overview-new");
  await open(page, "/me");
  await page.getByRole("heading", { name: "Your profile" }).waitFor();
  await check(page, "me");
  await open(page, "/me/password");
  await check(page, "password");
  await open(page, "/nothing");
  await page.getByRole("heading", { name: "This page does not exist" }).waitFor();
  await check(page, "not-found");

  // Out, and in again with a recovery code, because the authenticator's code was used a moment ago.
  await open(page, "/me");
  await press("Sign out");
  await page.getByText("You are signed out.").waitFor();
  await check(page, "login");
  await open(page, "/me/password");
  assert.equal(new URL(page.url()).pathname, "/login");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password", { exact: true }).fill("not the password");
  await press("Sign in");
  await page.getByText("The email address or the password is wrong.").waitFor();
  await check(page, "login-refused");
  await page.getByLabel("Password", { exact: true }).fill(input.password);
  await press("Sign in");
  await page.getByRole("heading", { name: "Enter your code" }).waitFor();
  await check(page, "code");
  await page.getByRole("link", { name: "Use a recovery code" }).click();
  await page.getByLabel("Recovery code").fill(codes[0]);
  await press("Continue");
  await page.getByRole("heading", { name: "Change your password" }).waitFor();

  // A second browser uses the authenticator in the next time step.
  const theme = page.getByRole("button", { name: "Use the dark theme" }).filter({ visible: true });
  await theme.click();
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
});
