// A member is invited, locked out and let in again, and gets another role.
import { assert, check, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page, context, input }) => {
  const press = (on, name) => on.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  // The path of the link that a page shows once.
  const shown = async () => {
    const { pathname, search } = new URL(await page.locator("[data-secret]").innerText());
    return pathname + search;
  };
  // Another browser, with nothing of the first one.
  const another = async () => {
    const fresh = await context.browser().newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: input.javaScript !== false });
    fresh.setDefaultTimeout(60_000);
    return fresh.newPage();
  };

  // The owner.
  await setUp(page);
  await open(page, "/settings/team");
  await check(page, "team-alone");

  // The invitation.
  await page.getByRole("link", { name: "Invite a member" }).click();
  await page.getByLabel("Email").fill("grace@example.com");
  await page.getByLabel("Admin").check();
  await check(page, "team-invite");
  await press(page, "Create invitation");
  await page.getByRole("heading", { name: "Invitation for grace@example.com" }).waitFor();
  await check(page, "team-link");
  const invitation = await shown();
  await page.getByLabel("I have passed the link on").check();
  await press(page, "Done");
  await page.getByRole("heading", { name: "Open invitations" }).waitFor();
  await check(page, "team-invited");

  // Its acceptance.
  const grace = await another();
  await open(grace, invitation);
  assert.equal(new URL(grace.url()).search, "", "the code has left the address");
  await check(grace, "invitation");
  await grace.getByLabel("Name", { exact: true }).fill("Grace Hopper");
  await grace.getByLabel("Password", { exact: true }).fill("too short");
  await press(grace, "Accept invitation");
  await grace.getByText("at least 12 characters").first().waitFor();
  await grace.getByLabel("Password", { exact: true }).fill(input.password);
  await press(grace, "Accept invitation");
  await grace.getByRole("heading", { name: "Second factor" }).waitFor();
  await open(grace, "/settings/team/invite");
  await grace.getByRole("heading", { name: "Invite a member" }).waitFor();
  await open(grace, invitation);
  await grace.getByRole("heading", { name: "This link does not work any more" }).waitFor();

  // Another role counts at the next request.
  await open(page, "/settings/team");
  await check(page, "team");
  await page.getByRole("link", { name: "Grace Hopper" }).click();
  await page.getByRole("heading", { name: "Grace Hopper" }).waitFor();
  await check(page, "team-member");
  await page.getByLabel("Viewer").check();
  await press(page, "Change role");
  await page.getByText("The role is changed.").waitFor();
  await open(grace, "/settings/team/invite");
  await grace.getByRole("heading", { name: "Your role does not allow this" }).waitFor();
  await open(grace, "/settings/team");
  assert.equal(await grace.getByRole("link", { name: "Invite a member" }).count(), 0);
  await check(grace, "team-viewer");

  // Locked out, and in again.
  await press(page, "Sign out all sessions");
  await page.getByText("Signed out.").waitFor();
  await open(grace, "/me");
  assert.equal(new URL(grace.url()).pathname, "/login");
  await grace.getByRole("link", { name: "Forgot your password?" }).click();
  await grace.getByText("Ask an owner").waitFor();
  await check(grace, "forgot");
  await press(page, "Create password link");
  await page.getByRole("heading", { name: "New password for Grace Hopper" }).waitFor();
  await open(grace, await shown());
  await check(grace, "reset");
  await grace.getByLabel("Password", { exact: true }).fill(`${input.password} again`);
  await press(grace, "Continue");
  await grace.getByRole("heading", { name: "Second factor" }).waitFor();

  // Removed.
  await page.getByLabel("I have passed the link on").check();
  await press(page, "Done");
  await press(page, "Remove Grace Hopper");
  await page.getByText("The member is removed.").waitFor();
  await open(grace, "/me");
  assert.equal(new URL(grace.url()).pathname, "/login");
  await grace.context().close();
});
