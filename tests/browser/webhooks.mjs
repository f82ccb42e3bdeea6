// An endpoint is added, tested, changed, rotated and deleted.
import { assert, check, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  await setUp(page);
  await open(page, "/settings/webhooks");
  await page.getByText("No endpoints yet.").waitFor();
  await check(page, "webhooks-empty");

  // Refused, then created.
  await page.getByRole("link", { name: "Add endpoint" }).first().click();
  await check(page, "webhook-new");
  await page.getByLabel("URL").fill("https://10.0.0.1/telepath");
  await press("Add endpoint");
  await page.getByText("cannot be used").first().waitFor();
  await check(page, "webhook-refused");
  await page.getByLabel("URL").fill("https://hooks.example.com/telepath");
  await page.getByLabel("Description").fill("<img src=x onerror=alert(1)>");
  await page.getByLabel("Headers").fill("Authorization: Bearer abc");
  await press("Add endpoint");
  await page.getByRole("heading", { name: "Signing secret" }).waitFor();
  await page.getByText("Python", { exact: true }).click();
  await check(page, "webhook-secret");
  await page.getByLabel("I have saved this secret").check();
  await press("Done");

  // A test event.
  await page.getByRole("heading", { name: "Deliveries" }).waitFor();
  await check(page, "webhook");
  await press("Send test event");
  await page.getByRole("heading", { name: "webhook.test" }).waitFor();
  await check(page, "webhook-delivery");
  const endpoint = page.url();
  await press("Resend");
  await page.getByText("It is sent again.").waitFor();
  await page.getByRole("link", { name: "hooks.example.com" }).click();
  await page.getByRole("link", { name: "webhook.test" }).waitFor();
  await check(page, "webhook-deliveries");

  // Changes.
  await press("Count them");
  await page.getByText("of the last day").first().waitFor();
  await press("Disable endpoint");
  await page.getByText("Nothing is sent any more.").waitFor();
  await check(page, "webhook-disabled");
  await press("Rotate secret");
  await page.getByText("The previous one signs too").waitFor();
  await page.getByLabel("I have saved this secret").check();
  await press("Done");
  await page.getByRole("button", { name: "Rotate secret" }).waitFor();
  await open(page, "/settings/webhooks");
  await check(page, "webhooks");
  await page.getByRole("link", { name: "hooks.example.com" }).click();
  await page.getByLabel("Delete it with its deliveries").check();
  await press("Delete endpoint");
  await page.getByText("The endpoint is deleted.").waitFor();
  assert.equal((await page.goto(endpoint)).status(), 404);
});
