// What pages do beyond HTML. Every page works without it.
"use strict";

// The zone of the browser, so that the server shows times in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && /^[A-Za-z0-9_+\-/]{1,64}$/.test(zone)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `telepath_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// Buttons work in what is loaded now, and in what replaces a part of it later.
enhance(document);
document.addEventListener("htmx:after:swap", () => enhance(document));

function enhance(root) {
  root.querySelectorAll("button[data-copy][hidden]").forEach(copies);
  root.querySelectorAll("button[data-download][hidden]").forEach(downloads);
  root.querySelectorAll("button[data-shows][hidden]").forEach(shows);
}

// Copy buttons: data-copy names the element whose text is copied.
function copies(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector(".label");
  if (!source || !label || !navigator.clipboard) {
    return;
  }
  button.hidden = false;
  const text = label.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf(source));
      label.textContent = "Copied";
      say("Copied");
    } catch {
      label.textContent = "Select it and copy";
    }
    setTimeout(() => (label.textContent = text), 2000);
  });
}

// Download buttons: data-download is the name of the file, made here so that the secret is not requested again.
function downloads(button) {
  const source = document.getElementById(button.dataset.source);
  if (!source) {
    return;
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([textOf(source)], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = button.dataset.download;
    link.click();
    URL.revokeObjectURL(url);
  });
}

// Buttons that show what was typed into a password field.
function shows(button) {
  const field = document.getElementById(button.dataset.shows);
  if (!field) {
    return;
  }
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}

// The text of an element; the items of a list on lines of their own.
function textOf(element) {
  const items = [...element.querySelectorAll("li")];
  return items.length > 0 ? items.map((item) => item.textContent.trim()).join("\n") + "\n" : element.textContent.trim();
}

// Says something to screen readers.
function say(text) {
  const region = document.getElementById("status");
  if (region) {
    region.textContent = text;
  }
}

// A page that shows a secret forgets it when it is left, because browsers may keep the page for Back. Leaving it before the
// secret was saved asks first.
const secrets = document.querySelectorAll("[data-secret]");
if (secrets.length > 0) {
  const saved = document.querySelector("[data-saved]");
  let leaving = false;
  saved?.form?.addEventListener("submit", () => (leaving = true));
  addEventListener("beforeunload", (event) => {
    if (!leaving && saved && !saved.checked) {
      event.preventDefault();
    }
  });
  addEventListener("pagehide", () => {
    for (const element of secrets) {
      element.textContent = "";
    }
  });
}

// The summary of what is wrong with a form takes the focus.
document.querySelector(".problems")?.focus();
