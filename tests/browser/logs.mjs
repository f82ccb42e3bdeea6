// Requests are found and opened, an alert is acknowledged, and the audit trail is read and checked.
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

await scenario(async ({ page, context }) => {
  const press = (name) => page.getByRole("button", { name, exact: true }).filter({ visible: true }).click();
  const ask = (path, key, agent = "curl/8.5.0") =>
    context.request.get(new URL(path, input.base).href, { headers: { authorization: `Bearer ${key}`, "user-agent": agent } });
  // Repeats a look at a page until it shows a text: what was written a moment ago appears a moment later.
  const until = async (path, text) => {
    await open(page, path);
    while ((await page.getByText(text).count()) === 0) {
      await open(page, path);
    }
  };

  await setUp(page);

  // Nothing yet.
  await open(page, "/requests");
  await page.getByText("No requests in this range.").waitFor();
  await check(page, "requests-empty");
  await open(page, "/alerts");
  await page.getByText("Nothing needs attention.").waitFor();
  await check(page, "alerts-empty");

  // Requests, one of them from a hostile program.
  for (let time = 0; time < 3; time += 1) {
    await ask("/v1/trunks", input.key);
    await ask("/v1/calls/call_01k9v1n2xrf6t8g3m5q7w9y0za", input.key);
  }
  await ask("/v1/calls", input.key, "<img src=x onerror=alert(1)>");
  await ask("/v1/calls", input.dead);
  await until("/requests?status=401", "INVALID_API_KEY");
  await open(page, "/requests");
  await check(page, "requests");
  await page.getByRole("searchbox", { name: "Filter" }).fill("status:4xx key:ci-smoke");
  await press("Search");
  await page.getByText("3 requests.").waitFor();
  await check(page, "requests-filtered");
  await page.getByRole("link", { name: "/v1/calls/call_01k9v1n2xrf6t8g3m5q7w9y0za" }).first().click();
  await page.getByRole("heading", { name: "CALL_NOT_FOUND" }).waitFor();
  await check(page, "request");
  await page.getByRole("link", { name: "About this error" }).click();
  await page.getByRole("heading", { name: "Errors" }).waitFor();
  await check(page, "docs-errors");
  await open(page, "/requests?view=grouped");
  await check(page, "requests-grouped");
  await open(page, "/requests?q=status:never");
  await page.getByText("Status must be a number such as 404").waitFor();
  await check(page, "requests-refused");
  await open(page, "/requests?user_agent=%3Cimg");
  await page.getByText("1 request.").waitFor();

  // The live tail: a request appears, but not while somebody reads.
  await open(page, "/requests?q=agent:tail");
  await page.getByRole("link", { name: "Start live tail" }).click();
  const row = (path) => page.getByRole("link", { name: path, exact: true });
  const tail = (path) => ask(path, input.key, "tail");
  if (input.javaScript === false) {
    await tail("/v1/calls/call_1");
    while ((await row("/v1/calls/call_1").count()) === 0) {
      await page.getByRole("link", { name: "Refresh", exact: true }).click();
    }
  } else {
    const state = page.locator("#tail-state");
    await page.mouse.move(0, 0);
    await state.getByText("Live", { exact: true }).waitFor();
    await tail("/v1/calls/call_1");
    await row("/v1/calls/call_1").waitFor();
    await page.locator("table.log").hover();
    await state.getByText("Paused while you’re reading").waitFor();
    await tail("/v1/calls/call_2");
    const show = page.getByRole("button", { name: "Show 1 new" });
    await show.waitFor();
    assert.equal(await row("/v1/calls/call_2").count(), 0, "a row moved while somebody read");
    await show.click();
    await row("/v1/calls/call_2").waitFor();
    await page.mouse.move(0, 0);
    await state.getByText("Live", { exact: true }).waitFor();
    // The keyboard: Space pauses in the table and goes on.
    await row("/v1/calls/call_2").focus();
    await state.getByText("Paused while you’re reading").waitFor();
    await page.keyboard.press("Space");
    await state.getByText("Paused by you").waitFor();
    assert.equal(await page.evaluate(() => scrollY), 0, "Space scrolled the page");
    await page.evaluate(() => document.activeElement.blur());
    await tail("/v1/calls/call_3");
    await page.getByRole("button", { name: "Show 1 new" }).waitFor();
    await check(page, "requests-live");
    await press("Resume");
    await row("/v1/calls/call_3").waitFor();
    // A connection that ends is said, and the tail continues where the page was.
    const ends = (route) => route.fulfill({ contentType: "text/event-stream", body: "retry: 2000\n\n" });
    await page.route("**/requests/live?*", ends, { times: 1 });
    await page.reload();
    await state.getByText("Connection lost").waitFor();
    await page.locator("#tail-hint").getByText(/retrying/).waitFor();
    await tail("/v1/calls/call_4");
    await row("/v1/calls/call_4").waitFor();
    await state.getByText("Live", { exact: true }).waitFor();
    assert.equal(await page.locator("#tail-rows tr").count(), 4, "a row came twice or was lost");
  }
  await page.getByRole("link", { name: "Stop live tail" }).click();
  await page.getByRole("link", { name: "Start live tail" }).waitFor();

  // The use of the revoked key raised an alert.
  await until("/alerts", "dead_key_used");
  await check(page, "alerts");
  await page.getByRole("link", { name: "View or acknowledge" }).first().click();
  await page.getByRole("heading", { name: "What to do" }).waitFor();
  await check(page, "alert");
  await page.getByLabel("Note").fill("The worker was replaced.");
  await press("Acknowledge this alert");
  await page.getByText("The alert is acknowledged.").waitFor();
  await open(page, "/alerts?status=acknowledged");
  await page.getByText("Note: The worker was replaced.").waitFor();
  await open(page, "/alerts/rules");
  await check(page, "alert-rules");
  await open(page, "/docs/alerts");
  await check(page, "docs-alerts");

  // The audit trail.
  await open(page, "/audit");
  await page.getByText("The chain was not checked since the server started.").waitFor();
  await press("Check now");
  await page.getByText("Chain intact:").waitFor();
  await check(page, "audit");
  await page.getByLabel("Action").selectOption("key.revoked");
  await press("Show entries");
  await page.getByText("1 entry.").waitFor();
  await page.locator("details summary").first().click();
  await page.getByRole("columnheader", { name: "Before" }).waitFor();
  await check(page, "audit-entry");
  await page.getByLabel("Actor").fill("nobody");
  await press("Show entries");
  await page.getByText("Write the email address of a member").first().waitFor();
  assert.equal(await page.getByLabel("Actor").inputValue(), "nobody");
});
