// The end of the session. Two minutes before it, a dialog offers to stay signed in. What was typed into the forms of the page is
// kept in the tab while its user signs in again; passwords and fields with data-private are not.
{
  const dialog = document.getElementById("session-ends");
  const WARNING = 120_000;
  const KEPT = "telepath-kept";
  const SHARED = "telepath-session-ends";

  // The fields of the page that a user filled, each with its form and its place there.
  const fields = () =>
    [...document.querySelectorAll("#main form")].flatMap((form) =>
      [...form.elements]
        .filter((field) => field.name && !("private" in field.dataset) && !["password", "hidden", "submit"].includes(field.type))
        .map((field, place) => [`${form.getAttribute("action")} ${field.name} ${place}`, field]),
    );
  const isChoice = (field) => field.type === "checkbox" || field.type === "radio";

  function keep() {
    const typed = fields().map(([name, field]) => [name, isChoice(field) ? field.checked : field.value]);
    sessionStorage.setItem(KEPT, JSON.stringify({ path: location.pathname, typed }));
  }

  function restore() {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept?.path !== location.pathname || !document.getElementById("session-ends")) {
      return;
    }
    sessionStorage.removeItem(KEPT);
    const typed = new Map(kept.typed);
    for (const [name, field] of fields()) {
      if (typed.has(name)) {
        field[isChoice(field) ? "checked" : "value"] = typed.get(name);
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
  }

  if (dialog) {
    const [soon, over] = [dialog.querySelector("[data-soon]"), dialog.querySelector("[data-over]")];
    const count = dialog.querySelector("[data-count]");
    let ends = 0;
    let timer;

    // `seconds` are those that the server says are left, so the clock of this machine may be wrong.
    const extend = (seconds) => {
      ends = Date.now() + seconds * 1000;
      try {
        localStorage.setItem(SHARED, String(ends));
      } catch {
        // Without storage, other tabs warn although this one was used.
      }
      dialog.close();
      look();
    };

    function look() {
      clearTimeout(timer);
      const left = ends - Date.now();
      soon.hidden = left <= 0;
      over.hidden = left > 0;
      dialog.setAttribute("aria-labelledby", left > 0 ? "session-ends-h" : "session-over-h");
      const seconds = Math.max(0, Math.ceil(left / 1000));
      count.textContent = seconds >= 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds} s`;
      if (left <= WARNING && !dialog.open) {
        dialog.showModal();
      }
      if (left > 0) {
        timer = setTimeout(look, left > WARNING ? Math.min(left - WARNING, 60_000) : 1000);
      }
    }

    // Another tab was used.
    addEventListener("storage", (event) => {
      if (event.key === SHARED && Number(event.newValue) > ends) {
        ends = Number(event.newValue);
        dialog.close();
        look();
      }
    });
    document.addEventListener("visibilitychange", look);

    dialog.querySelector("[data-stay]").addEventListener("click", async () => {
      const body = new URLSearchParams({ form_token: dialog.dataset.token });
      const answer = await fetch("/session", { method: "POST", body, redirect: "manual" }).catch(() => undefined);
      if (answer?.ok) {
        extend(Number(await answer.text()));
      } else if (answer) {
        ends = 0;
        look();
      }
    });
    dialog.querySelector("[data-again]").addEventListener("click", () => {
      keep();
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    });
    // Escape does not hide that nothing can be saved any more.
    dialog.addEventListener("cancel", (event) => {
      if (ends <= Date.now()) {
        event.preventDefault();
      }
    });
    restore();
    extend(Number(dialog.dataset.left));
  }
}
