// The main flows without a mouse: what is pressed is the Tab key, until the focus is where a user wants it, and then a key.
import { assert, check, input, open, scenario, setUp } from "./harness.mjs";

// More presses than any page has stops.
const MOST_STOPS = 200;

await scenario(async ({ page, context }) => {
  const { keyboard } = page;
  const request = (key) =>
    context.request.get(new URL("/v1/calls", input.base).href, { headers: { authorization: `Bearer ${key}` }, ignoreHTTPSErrors: true });
  const button = (name) => page.getByRole("button", { name, exact: true });
  const link = (name) => page.getByRole("link", { name, exact: true });
  const field = (name) => page.getByLabel(name, { exact: true });
  const holdsFocus = (target) => target.evaluateAll((found) => found.includes(document.activeElement));

  // Moves the focus to an element.
  const reach = async (target) => {
    await target.first().waitFor({ state: "attached" });
    for (let presses = 0; presses < MOST_STOPS; presses += 1) {
      if (await holdsFocus(target)) {
        return;
      }
      await keyboard.press("Tab");
    }
    assert.fail(`the tab key does not lead to ${target}`);
  };
  const press = async (target, key = "Enter") => {
    await reach(target);
    await keyboard.press(key);
  };
  const type = async (name, text) => {
    await reach(field(name));
    await keyboard.type(text);
  };
  // In a group of radio buttons, one is a stop and the arrow keys choose.
  const choose = async (group, choice) => {
    await reach(group);
    for (let presses = 0; presses < (await group.count()) && !(await choice.isChecked()); presses += 1) {
      await keyboard.press("ArrowDown");
    }
    assert.ok(await choice.isChecked(), `the arrow keys do not lead to ${choice}`);
  };
  const saved = async (label) => {
    await press(page.getByLabel(label), "Space");
    await press(button("Done"));
  };

  await setUp(page);

  // Out and in.
  await open(page, "/settings/api-keys");
  await press(button("Sign out"));
  await page.getByText("You are signed out.").waitFor();
  await type("Email", "ada@example.com");
  await type("Password", input.password);
  await keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();

  // Over the navigation to the content.
  await open(page, "/settings/api-keys");
  await keyboard.press("Tab");
  assert.ok(await holdsFocus(link("Skip to content")), "the first stop skips the navigation");
  await keyboard.press("Enter");
  assert.ok(await page.evaluate(() => document.activeElement.id === "main" || location.hash === "#main"));

  // A key: created, shown once, saved.
  await press(link("Create New Key"));
  await type("Name", "nightly");
  await choose(page.locator("input[name=preset]"), page.getByRole("radio", { name: /^Monitoring/ }));
  await press(button("Create New Key"));
  await page.getByText("This is the only time it will be shown.").waitFor();
  const first = await page.locator("[data-secret]").innerText();
  await context.grantPermissions(["clipboard-write"]);
  await press(button("Copy"));
  await page.getByRole("status").getByText("Copied").waitFor({ state: "attached" });
  await saved("I have saved this key somewhere safe");
  await page.getByRole("heading", { name: "nightly" }).waitFor();
  assert.equal((await request(first)).status(), 200);

  // Rotated: the previous secret works for an hour, until it is expired.
  await press(link("Rotate"));
  await choose(page.getByRole("radio"), field("1 hour"));
  await press(button("Rotate nightly"));
  await page.getByText("This is the only time it will be shown.").waitFor();
  const second = await page.locator("[data-secret]").innerText();
  await saved("I have saved this key somewhere safe");
  await press(page.getByRole("button", { name: /^Expire now/ }));
  await page.getByText("The secret stopped working.").waitFor();
  assert.deepEqual([(await request(first)).status(), (await request(second)).status()], [401, 200]);

  // Revoked.
  await press(link("Revoke"));
  await press(field("No longer needed"), "Space");
  await type("Type the name of the key", "nightly");
  await press(button("Revoke nightly"));
  await page.getByText("Reason: No longer needed.").waitFor();
  assert.equal((await request(second)).status(), 401);

  // The live tail: paused from within the table, and resumed.
  await open(page, "/requests?live=on");
  const state = page.locator("#tail-state");
  await state.getByText("Live", { exact: true }).waitFor();
  await request(second);
  await reach(page.locator("table.log a"));
  await keyboard.press("Space");
  await state.getByText("Paused by you").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  await press(button("Resume"));
  await state.getByText("Live", { exact: true }).waitFor();

  // Shortcuts: a page, the search, the list of all. They are off where text is typed, and by the profile.
  await keyboard.press("g");
  await keyboard.press("k");
  await page.getByRole("heading", { name: "API keys" }).first().waitFor();
  await keyboard.press("g");
  await keyboard.press("r");
  await page.getByRole("heading", { name: "Requests" }).first().waitFor();
  await keyboard.press("/");
  assert.ok(await holdsFocus(page.getByRole("searchbox", { name: "Filter" })), "/ leads to the search");
  await keyboard.type("g k ? /");
  assert.equal(await page.getByRole("searchbox", { name: "Filter" }).inputValue(), "g k ? /");
  await page.evaluate(() => document.activeElement.blur());
  await keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await check(page, "shortcuts");
  await keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await keyboard.press("?");
  await press(page.getByRole("link", { name: "Turn them off in your profile" }));
  await press(page.getByLabel("Keyboard shortcuts"), "Space");
  await press(button("Save"));
  await page.getByText("Saved.").waitFor();
  await keyboard.press("?");
  await keyboard.press("g");
  await keyboard.press("k");
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal(new URL(page.url()).pathname, "/me");

  // The menu of a narrow window opens, leads to a page, and closes with the focus where it was.
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/requests");
  await press(button("Menu"));
  await page.locator("#sheet").waitFor();
  await keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.getElementById("sheet").contains(document.activeElement)), "the focus is in the menu");
  await keyboard.press("Escape");
  await page.locator("#sheet").waitFor({ state: "hidden" });
  assert.ok(await holdsFocus(button("Menu")), "the focus is back where it was");
  await keyboard.press("Enter");
  await press(page.locator("#sheet").getByRole("link", { name: /^Audit/ }));
  await page.getByRole("heading", { name: /^Audit/ }).first().waitFor();
});
