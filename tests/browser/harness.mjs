// What every scenario stands on: a browser, the checks that hold on every page, and a report of the first one that fails.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const input = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${input.modules}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WIDTHS = [1440, 390];
const THEMES = ["light", "dark"];

// Runs a scenario with a page, and fails if the browser reported anything on the console.
export async function scenario(play) {
  const browser = await chromium.launch({ executablePath: input.browser, args: ["--no-sandbox"] });
  try {
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      javaScriptEnabled: input.javaScript !== false,
      viewport: { width: 1440, height: 900 },
    });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    const reported = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        reported.push(message.text());
      }
    });
    page.on("pageerror", (error) => reported.push(String(error)));
    await play({ page, context, input });
    // Chromium reports every response with an error status, and some are part of a scenario.
    const faults = reported.filter((text) => !text.startsWith("Failed to load resource"));
    assert.deepEqual(faults, [], "the console of the browser");
  } finally {
    await browser.close();
  }
}

// Opens a path of the dashboard.
export async function open(page, path) {
  return page.goto(new URL(path, input.base).href);
}

// Uses the link that the server printed to create its first user, and stops at the second factor.
export async function setUp(page) {
  await page.goto(input.setup.replace(/^https:\/\/[^/]+/, input.base));
  await page.getByLabel("Name", { exact: true }).fill("Ada Lovelace");
  await page.getByLabel("Email").fill("ada@example.com");
  await page.getByLabel("Password", { exact: true }).fill(input.password);
  await page.getByRole("button", { name: "Continue", exact: true }).filter({ visible: true }).click();
  await page.getByRole("heading", { name: "Second factor" }).waitFor();
}

// Checks the page that is open: axe in both themes and at both widths, no sideways scrolling at 320 px, one h1, a title.
export async function check(page, name) {
  assert.match(await page.title(), /Telepath$/, `${name}: title`);
  assert.equal(await page.locator("h1").count(), 1, `${name}: h1`);
  if (input.javaScript === false) {
    return;
  }
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(axe);
      const { violations } = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), TAGS);
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
      assert.deepEqual(found, [], `${name} at ${width} px, ${colorScheme}`);
      if (input.screenshots) {
        await page.screenshot({ path: `${input.screenshots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      }
    }
  }
  await page.setViewportSize({ width: 320, height: 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${name}: ${wide} px too wide at 320 px`);
  await page.setViewportSize({ width: 1440, height: 900 });
}

// The code that an authenticator shows for a secret in base32 (RFC 6238).
export function totp(secret, at = Date.now()) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replaceAll(" ", "")].map((symbol) => alphabet.indexOf(symbol).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const tag = createHmac("sha1", key).update(step).digest();
  const value = tag.readUInt32BE(tag[19] & 15) & 0x7fffffff;
  return String(value % 1_000_000).padStart(6, "0");
}

export { assert, input };
