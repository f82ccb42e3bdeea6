// Keys that lead to pages: g and a letter, / for the search of the page, ? for all of them. The profile turns them off.
if ("shortcuts" in document.body.dataset) {
  listenForShortcuts();
}

function listenForShortcuts() {
  const WAIT = 1500;
  const links = [...document.querySelectorAll(".side [data-go]")];
  let started = -Infinity;

  document.addEventListener("keydown", (event) => {
    const isText = event.target.closest?.("input, textarea, select, [contenteditable]");
    const isOther = event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented;
    if (isText || isOther || document.querySelector("dialog[open]")) {
      return;
    }
    const link = event.timeStamp - started < WAIT && links.find((found) => found.dataset.go === event.key);
    started = event.key === "g" && !link ? event.timeStamp : -Infinity;
    const search = document.querySelector("main input[type=search]");
    if (link) {
      link.click();
    } else if (event.key === "/" && search) {
      search.focus();
      search.select();
    } else if (event.key === "?") {
      listShortcuts(links);
    } else {
      return;
    }
    event.preventDefault();
  });
}

// All shortcuts in a dialog, which Escape closes.
function listShortcuts(links) {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const rows = [...links.map((link) => [`g ${link.dataset.go}`, link.textContent]), ["/", "Search on this page"], ["?", "This list"]];
  const list = make("dl", { className: "facts lined" });
  for (const [keys, what] of rows) {
    list.append(make("dt", {}, what), make("dd", {}, make("kbd", {}, keys)));
  }
  const heading = make("h2", { id: "shortcuts-h" }, "Keyboard shortcuts");
  const profile = make("a", { className: "link small", href: "/me" }, "Turn them off in your profile");
  const close = make("form", { method: "dialog" }, make("button", { className: "btn btn-primary" }, "Close"));
  const dialog = make("dialog", { className: "dialog" }, make("div", { className: "stack" }, heading, list, profile, close));
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
