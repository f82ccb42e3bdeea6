// A connection is created page by page, called by a real caller, looked at, changed and deleted; its call is read and erased.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

const run = promisify(execFile);

// Places a call with the SIP password that the page has shown, from a file, so that no argument holds it.
async function place(uri, username, password) {
  const folder = mkdtempSync(join(tmpdir(), "telepath-voice-"));
  try {
    const file = join(folder, "password");
    writeFileSync(file, password, { mode: 0o600 });
    await run(input.telepath, ["call", uri, "--username", username, "--password-file", file, "--play", input.play]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

await scenario(async ({ page }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  const follow = (name) => page.getByRole("link", { name, exact: true }).filter({ visible: true }).first().click();
  const text = (words) => page.getByText(words).first().waitFor();
  await setUp(page);
  await open(page, "/connections");
  await text("No connections yet.");
  await check(page, "connections-empty");

  // Five pages.
  await follow("New connection");
  await page.getByLabel("Name", { exact: true }).fill("Support line");
  await check(page, "connection-new");
  await press("Continue");
  await page.getByLabel("Agent URL").fill("ws://127.0.0.1:1/");
  await press("Test agent");
  await text("Cannot be used");
  await check(page, "connection-new-refused");
  await page.getByLabel("Agent URL").fill(input.agent);
  await page.getByLabel("HTTP headers").fill("Authorization: Bearer abc");
  await press("Test agent");
  await text("The socket was open after");
  await check(page, "connection-new-tested");
  assert.equal(await page.getByLabel("HTTP headers").inputValue(), "", "a header is not sent back");
  await press("Continue");
  await page.getByLabel("SIP user name").fill("support-01");
  await page.getByLabel("Networks that need no password").fill("203.0.113.300");
  await press("Create connection");
  await text("“203.0.113.300”");
  await check(page, "connection-new-sip");
  await page.getByLabel("Networks that need no password").fill("");
  await press("Create connection");
  await page.getByRole("heading", { name: "SIP password" }).waitFor();
  const password = (await page.locator("[data-secret]").textContent()).trim();
  assert.equal(password.length, 24);
  await check(page, "connection-password");
  await page.getByLabel("I have entered or saved this password").check();
  await press("Continue");
  await text("Step 4 of 5");
  await follow("Twilio");
  await text("This connection allows no network");
  await check(page, "connection-carrier");
  const uri = (await page.locator("#uri").textContent()).trim();
  await follow("Try it");
  await text("Waiting for the first INVITE from your carrier…");
  await check(page, "connection-try");

  // A call. With JavaScript the page shows it by itself, otherwise when it is loaded again.
  await place(uri, "support-01", password);
  if (input.javaScript === false) {
    await follow("Refresh");
  }
  await text("The call was accepted.");
  await text("Completed");
  await check(page, "connection-try-called");
  await follow("View the call");
  await page.getByRole("heading", { name: "Signalling" }).waitFor();
  await page.getByText("INVITE", { exact: true }).filter({ visible: true }).first().waitFor();
  await check(page, "call");
  // A message of the ladder leads to its text, with the keyboard too.
  const arrow = page.getByRole("link", { name: /INVITE/ }).filter({ visible: true }).first();
  await arrow.focus();
  await page.keyboard.press("Enter");
  await text("Call-ID:");
  await check(page, "call-messages");
  const call = page.url();

  // The connection.
  await follow("Support line");
  await text("1 call today");
  await check(page, "connection");
  await follow("Test agent");
  await press("Test agent");
  await text("The socket was open after");
  await check(page, "connection-test");
  await follow("Back");
  await follow("Rotate SIP password");
  await check(page, "connection-rotate");
  await press("Rotate SIP password");
  await page.getByRole("heading", { name: "SIP password" }).waitFor();
  const rotated = (await page.locator("[data-secret]").textContent()).trim();
  assert.notEqual(rotated, password);
  await page.getByLabel("I have entered or saved this password").check();
  await press("Done");
  await assert.rejects(place(uri, "support-01", password), "the old password has stopped working");
  await place(uri, "support-01", rotated);
  await follow("Replace credentials");
  await check(page, "connection-credentials");
  await page.getByLabel("HTTP headers").fill("Authorization: Bearer def");
  await press("Replace credentials");
  await text("The credentials are replaced.");
  await follow("Edit");
  await check(page, "connection-edit");
  await page.getByLabel("Calls at once").fill("20");
  await press("Save changes");
  await text("Saved.");
  await press("Deactivate connection");
  await text("Switched off.");
  await assert.rejects(place(uri, "support-01", rotated), "an inactive connection refuses calls");
  await open(page, "/connections");
  await text("Inactive");
  await check(page, "connections");
  await open(page, `${new URL(page.url()).pathname}?status=error`);
  await text("No connections are in this state.");

  // The call, and every call of its number, are erased.
  await page.goto(call);
  await follow("Erase this call");
  await press("Erase this call");
  await text("The call is erased.");
  assert.equal((await page.goto(call)).status(), 404);

  await open(page, "/connections");
  await follow("Support line");
  await follow("Delete connection");
  await check(page, "connection-delete");
  await page.getByLabel("Type Support line to delete it").fill("Support line");
  await press("Delete Support line");
  await text("The connection is deleted.");
});
