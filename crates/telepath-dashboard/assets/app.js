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
    const url = URL.createObjectURL(new Blob([fileOf(source, button.dataset.form)], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = button.dataset.download;
    link.click();
    URL.revokeObjectURL(url);
  });
}

// The text of a file: that of the source, or the secrets of its rows as lines of an environment or as JSON.
function fileOf(source, form) {
  const rows = [...source.querySelectorAll("[data-key]")].map((row) => ({
    id: row.dataset.key,
    name: row.dataset.name,
    secret: row.querySelector("[data-secret]").textContent,
  }));
  if (form === "json") {
    return JSON.stringify(rows, null, 2) + "\n";
  }
  if (form !== "env") {
    return textOf(source);
  }
  const names = new Map();
  const line = ({ id, name, secret }) => {
    const word = name.toUpperCase().replace(/[^A-Z0-9]+/g, "_").replace(/^_|_$/g, "") || "KEY";
    const used = (names.get(word) ?? 0) + 1;
    names.set(word, used);
    return `# ${id}\nTELEPATH_API_KEY_${word}${used > 1 ? `_${used}` : ""}=${secret}\n`;
  };
  return rows.map(line).join("");
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

// The live tail of requests. Rows arrive in a hidden part of the table, and move to its top while nobody reads there.
const inbox = document.getElementById("tail-inbox");
if (inbox) {
  follow(inbox);
}

function follow(inbox) {
  const MOST = 200;
  const SAY_EVERY = 10_000;
  const part = (name) => document.getElementById(`tail-${name}`);
  const [rows, show, pause] = ["rows", "show", "pause"].map(part);
  const table = rows.closest("table");
  let connection = "waiting";
  let retryAt = 0;
  let paused = false;
  let oneOf = 1;
  let waiting = 0;
  let said = 0;

  // The words for each state, with a hint and the class of its dot.
  const STATES = {
    waiting: () => ["Connecting", "", ""],
    lost: () => {
      const seconds = Math.ceil((retryAt - Date.now()) / 1000);
      return ["Connection lost", seconds > 0 ? `retrying in ${seconds} s` : "retrying now", "dot-bad"];
    },
    ended: () => ["Ended", "the live tail could not go on; reload the page", "dot-bad"],
    paused: () => ["Paused by you", "press Resume, or Space in the table, to go on", "dot-warn"],
    reading: () => ["Paused while you’re reading", "resumes when you leave the table or press the button", "dot-warn"],
    live: () => ["Live", oneOf > 1 ? `showing 1 of ${oneOf}` : "new requests appear at the top", "dot-ok"],
  };

  const isRead = () => {
    const selection = getSelection();
    return (
      scrollY > 4 ||
      table.matches(":hover") ||
      table.contains(document.activeElement) ||
      (!selection.isCollapsed && table.contains(selection.anchorNode))
    );
  };

  const stateNow = () => {
    if (connection !== "open") {
      return connection;
    }
    return paused ? "paused" : isRead() ? "reading" : "live";
  };

  const showRows = () => {
    rows.prepend(...inbox.children);
    while (rows.children.length > MOST) {
      rows.lastElementChild.remove();
    }
    waiting = 0;
  };

  let shown = "";
  const update = () => {
    const state = stateNow();
    if (state === "live") {
      showRows();
    }
    const [word, hint, dot] = STATES[state]();
    part("state").textContent = word;
    part("hint").textContent = hint;
    part("dot").className = `dot ${dot}`;
    show.hidden = waiting === 0;
    show.textContent = `Show ${waiting} new`;
    pause.hidden = connection === "ended";
    pause.textContent = paused ? "Resume" : "Pause";
    if (state !== shown && shown !== "") {
      say(`Live tail: ${word}`);
    } else if (waiting > 0 && Date.now() - said >= SAY_EVERY) {
      said = Date.now();
      say(`${waiting} new requests`);
    }
    shown = state;
  };

  show.addEventListener("click", () => {
    showRows();
    scrollTo({ top: 0 });
    update();
  });
  const toggle = () => {
    paused = !paused;
    update();
  };
  pause.addEventListener("click", toggle);
  table.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      toggle();
    }
  });
  for (const name of ["pointerenter", "pointerleave", "focusin", "focusout"]) {
    // The focus has moved when the event is over.
    table.addEventListener(name, () => setTimeout(update));
  }
  for (const name of ["scroll", "selectionchange"]) {
    document.addEventListener(name, update);
  }

  inbox.addEventListener("htmx:sse:before:connection", ({ detail: { connection: line } }) => {
    // Without it, nobody could say when the next attempt is.
    line.config.reconnectJitter = 0;
    if (line.attempt > 0) {
      const delay = Math.min(htmx.parseInterval(line.config.reconnectDelay) * 2 ** (line.attempt - 1), htmx.parseInterval(line.config.reconnectMaxDelay));
      connection = "lost";
      retryAt = Date.now() + delay;
      update();
    }
  });
  inbox.addEventListener("htmx:sse:after:connection", () => {
    connection = "open";
    update();
  });
  inbox.addEventListener("sampled", ({ detail }) => {
    oneOf = Number(detail.data);
    update();
  });
  inbox.addEventListener("htmx:sse:before:message", () => (inbox.dataset.had = inbox.children.length));
  inbox.addEventListener("htmx:sse:after:message", () => {
    waiting += inbox.children.length - Number(inbox.dataset.had);
    while (inbox.children.length > MOST) {
      inbox.lastElementChild.remove();
    }
    update();
  });
  // The answer is a page that says why there is no stream.
  inbox.addEventListener("htmx:response:error", ({ detail }) => (detail.ctx.swap = "none"));
  for (const name of ["htmx:response:error", "htmx:sse:close", "ended"]) {
    inbox.addEventListener(name, () => {
      connection = "ended";
      update();
    });
  }
  setInterval(() => connection === "lost" && update(), 1000);
  update();
}
