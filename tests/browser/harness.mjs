// What every scenario stands on: a browser, the checks that hold on every page, and a report of the first one that fails.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import assert from "node:assert/strict";

const input = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${input.modules}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

// The most that the HTML of a page may weigh, compressed.
const PAGE_BYTES = 12 * 1024;

// How each page is shown to axe. An ordinary run shows it once in each theme and once at each width; the full matrix shows every
// combination, more contrast and forced colours.
const VIEWS = input.matrix
  ? ["light", "dark"].flatMap((colorScheme) =>
      [1440, 390].flatMap((width) =>
        [{}, { contrast: "more" }, { forcedColors: "active" }].map((media) => ({ colorScheme, width, ...media })),
      ),
    )
  : [
      { colorScheme: "light", width: 1440 },
      { colorScheme: "dark", width: 390 },
    ];

// The spacing of text that readers may set (WCAG 2.2, 1.4.12).
const TEXT_SPACING = `* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
  p { margin-block-end: 2em !important; }`;

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

// Checks the page that is open: a title, one h1, axe, no sideways scrolling at 320 px, no shift of the layout, and a visible
// focus at every stop of the tab key. Without JavaScript, the tools that check have no script either.
export async function check(page, name) {
  // A click returns as soon as the next page has begun to arrive.
  await page.waitForLoadState("load");
  await page.locator("h1").first().waitFor();
  assert.match(await page.title(), /Telepath$/, `${name}: title`);
  assert.equal(await page.locator("h1").count(), 1, `${name}: h1`);
  if (input.javaScript === false) {
    return;
  }
  const shift = await page.evaluate(layoutShift);
  assert.ok(shift < 0.01, `${name}: the layout shifts by ${shift}`);
  assert.deepEqual(await page.evaluate(movedByScript), [], `${name}: what moves when the script shows a button`);
  // A page with a secret is sent uncompressed, but is no larger.
  const bytes = gzipSync(await page.content()).length;
  assert.ok(bytes <= PAGE_BYTES, `${name}: ${bytes} bytes of compressed HTML`);
  for (const { width, ...media } of VIEWS) {
    await page.emulateMedia({ reducedMotion: "reduce", ...media });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(axe);
    const { violations } = await page.evaluate((values) => window.axe.run({ runOnly: { type: "tag", values } }), TAGS);
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`);
    const view = `${name}-${width}-${Object.values(media).join("-")}`;
    assert.deepEqual(found, [], view);
    if (input.screenshots) {
      await page.screenshot({ path: `${input.screenshots}/${view}.png`, fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce", contrast: null, forcedColors: null });
  await checkZoomed(page, name);
  await page.setViewportSize({ width: 1440, height: 900 });
  if (input.matrix) {
    await walk(page, name);
  }
}

// How far parts of the page have moved after they were drawn (the layout shift score).
async function layoutShift() {
  let shift = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      shift += entry.hadRecentInput ? 0 : entry.value;
    }
  });
  observer.observe({ type: "layout-shift", buffered: true });
  // What was observed before is handed over before the second frame from now.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  observer.disconnect();
  return shift;
}

// What has another place before the script shows the buttons that only it can serve. A script may arrive after the page was drawn.
function movedByScript() {
  const buttons = [...document.querySelectorAll("[data-copy], [data-download], [data-shows], #tail-pause")].filter((button) => !button.hidden);
  const places = () => [...document.querySelectorAll("main, main *")].map((part) => [part, JSON.stringify(part.getBoundingClientRect())]);
  const hide = (hidden) => buttons.forEach((button) => (button.hidden = hidden));
  const shown = places();
  hide(true);
  const moved = places().filter(([, place], n) => place !== shown[n][1]);
  hide(false);
  return moved.map(([part]) => part.outerHTML.slice(0, 120));
}

// At 400 % zoom, a window of 1280 × 1024 px shows 320 × 256 px (WCAG 2.2, 1.4.10). Nothing may need sideways scrolling there or
// be cut off, with the text as the page sets it and with the spacing that readers may set.
async function checkZoomed(page, name) {
  await page.setViewportSize({ width: 320, height: 256 });
  assert.deepEqual(await page.evaluate(tooWide), [], `${name}: too wide at 320 px`);
  await page.evaluate((rules) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(rules);
    document.adoptedStyleSheets.push(sheet);
  }, TEXT_SPACING);
  assert.deepEqual(await page.evaluate(tooWide), [], `${name}: too wide at 320 px with spaced text`);
  if (input.matrix) {
    await walk(page, `${name}, zoomed to 400 %,`);
  }
  await page.evaluate(() => document.adoptedStyleSheets.pop());
}

// What is wider than its place: the page, and elements that cut their content off. One line that ends in an ellipsis may.
function tooWide() {
  const cut = [...document.querySelectorAll("main, main *, header, header *")].filter((element) => {
    const { overflowX, textOverflow, display } = getComputedStyle(element);
    const hides = overflowX === "hidden" || overflowX === "clip";
    const isShown = element.clientWidth > 1 && display !== "inline" && element.checkVisibility();
    return hides && isShown && !element.matches("input, select, textarea") && textOverflow !== "ellipsis" && element.scrollWidth > element.clientWidth + 1;
  });
  const page = document.documentElement.scrollWidth - window.innerWidth;
  const found = cut.map((element) => {
    const end = element.getBoundingClientRect().right;
    const wide = [...element.querySelectorAll("*")].filter((part) => part.getBoundingClientRect().right > end).at(-1);
    return `${element.outerHTML.slice(0, 60)} by ${element.scrollWidth - element.clientWidth} px: ${wide?.outerHTML.slice(0, 120)}`;
  });
  return page > 0 ? [`the page by ${page} px`, ...found] : found;
}

// Presses the tab key through the whole page: every stop must show that it has the focus, in the window and not under anything.
async function walk(page, name) {
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  const stops = await page.evaluate(() => document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]").length);
  const seen = new Set();
  for (let presses = 0; presses <= stops + 1; presses += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(focusedStop);
    // In a dialog that is modal, the first press may lead out of what is behind it.
    if (stop === null && seen.size === 0) {
      continue;
    }
    if (stop === null || seen.has(stop.path)) {
      break;
    }
    seen.add(stop.path);
    assert.deepEqual(stop.faults, [], `${name}: the focus on ${stop.html}`);
  }
  assert.ok(seen.size > 0, `${name}: nothing takes the focus`);
}

// The element that has the focus, and what is wrong with how it shows that.
async function focusedStop() {
  // The window scrolls to the focus with the next frame.
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const element = document.activeElement;
  if (element === null || element === document.body) {
    return null;
  }
  const path = [];
  for (let at = element; at !== null; at = at.parentElement) {
    path.unshift(at.parentElement === null ? 0 : [...at.parentElement.children].indexOf(at));
  }
  const faults = [];
  // A radio button or a checkbox may be drawn by its label, and a link in a chart by its shapes.
  const drawn = [element, element.closest("label"), element.nextElementSibling, ...element.children].filter((part) => part !== null);
  const shown = drawn.some((part) => {
    const { outlineStyle, outlineWidth, boxShadow, stroke, strokeWidth } = getComputedStyle(part);
    const isOutlined = outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2;
    return isOutlined || boxShadow !== "none" || (stroke !== "none" && Number.parseFloat(strokeWidth) >= 2);
  });
  if (!shown) {
    faults.push("no outline");
  }
  const label = element.closest("label") ?? element;
  const boxes = [...element.getClientRects(), ...label.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
  const inWindow = boxes.filter(
    (box) => box.bottom > 0 && box.top < window.innerHeight && box.right > 0 && box.left < window.innerWidth,
  );
  if (inWindow.length === 0) {
    faults.push("outside the window");
  } else {
    const visible = inWindow.some((box) => {
      const xs = [0.1, 0.5, 0.9].map((part) => Math.min(Math.max(box.left + box.width * part, 1), window.innerWidth - 1));
      const ys = [0.1, 0.5, 0.9].map((part) => Math.min(Math.max(box.top + box.height * part, 1), window.innerHeight - 1));
      return xs.some((x) =>
        ys.some((y) => {
          const top = document.elementFromPoint(x, y);
          return top !== null && (label.contains(top) || element.contains(top) || top.contains(element));
        }),
      );
    });
    if (!visible) {
      faults.push("under another element");
    }
  }
  return { path: path.join("."), html: element.outerHTML.slice(0, 160), faults };
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
