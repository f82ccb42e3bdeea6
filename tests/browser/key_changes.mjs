// A key is edited, the findings of key safety lead to its expiry, and a preset is edited and reset.
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  const hostile = `<img src=x onerror=alert(1)> "nightly"`;
  await setUp(page);

  // What is wrong is said beside the field, and what was typed stays.
  await open(page, `/settings/api-keys/${input.key}`);
  await page.getByRole("link", { name: "Edit", exact: true }).click();
  await page.getByRole("heading", { name: "Edit nightly-export" }).waitFor();
  await page.getByLabel("Name", { exact: true }).fill(hostile);
  await page.getByLabel("Rate limit").fill("many");
  await press("Save changes");
  await page.locator("#rate_limit_per_minute-error").waitFor();
  assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), hostile);
  await check(page, "key-edit-refused");

  // The changes are shown before they are saved.
  await page.getByLabel("Rate limit").fill("120");
  await press("Check");
  await page.getByRole("heading", { name: "What changes" }).waitFor();
  await page.getByRole("cell", { name: hostile }).waitFor();
  await check(page, "key-edit-checked");
  await press("Save changes");
  await page.getByText("The key is changed.").waitFor();
  await page.getByRole("heading", { name: hostile }).waitFor();
  await check(page, "key-edited");

  // A key that never expires is found, and its expiry is set.
  await open(page, "/settings/api-keys/safety");
  await page.getByRole("heading", { name: "Never expire" }).waitFor();
  await check(page, "key-safety");
  await page.getByRole("link", { name: /^Set an expiry/ }).click();
  await page.getByLabel("90 days").check();
  await press("Save changes");
  await page.getByText("The key is changed.").waitFor();
  await open(page, "/settings/api-keys/safety");
  await page.getByText("Nothing to do:").waitFor();
  await check(page, "key-safety-empty");

  // Presets, and all keys at once.
  await open(page, "/settings/api-keys/presets");
  await check(page, "key-presets");
  await page.getByRole("link", { name: /^Edit/ }).first().click();
  await check(page, "key-preset");
  await page.getByLabel("Rate limit").fill("4321");
  await page.getByRole("button", { name: /^Save / }).filter({ visible: true }).click();
  await page.getByText("The preset is edited.").waitFor();
  await page.getByText("4,321").first().waitFor();
  await check(page, "key-presets-edited");
  await open(page, "/settings/api-keys/rotate-all");
  await check(page, "keys-rotate-all");
  await open(page, "/calls/erase-number");
  await check(page, "erase-number");
});
