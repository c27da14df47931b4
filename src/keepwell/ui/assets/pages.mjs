// Live pages: when the record has news, the parts that changed are fetched again. Reading works without this file.

const main = document.getElementById("main");
const news = document.getElementById("news");
let stream = null;
let busy = false;

function isInUse(part) {
  return part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button");
}

async function reload() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const there = [...document.querySelectorAll("[data-live]")];
    const come = [...fresh.querySelectorAll("[data-live]")];
    if (there.length !== come.length) return;
    let changed = 0;
    there.forEach((part, place) => {
      if (part.innerHTML === come[place].innerHTML || isInUse(part)) return;
      const open = [...part.querySelectorAll("details")].map((one) => one.open);
      part.replaceChildren(...come[place].childNodes);
      part.querySelectorAll("details").forEach((one, at) => { one.open = open[at] ?? one.open; });
      changed += 1;
    });
    const badge = document.querySelector("h1 .word"), newer = fresh.querySelector("h1 .word");
    if (badge && newer && badge.outerHTML !== newer.outerHTML) badge.replaceWith(newer);
    document.body.dataset.mark = fresh.body.dataset.mark;
    if (changed && news) news.textContent = `Updated ${new Date().toLocaleTimeString()}`;
    reveal();
  } catch {
    // The server is away for a moment; the stream says when it is back.
  } finally {
    busy = false;
  }
}

function listen() {
  if (!document.body.dataset.mark || !document.querySelector("[data-live]") || stream) return;
  stream = new EventSource("/events/live");
  stream.addEventListener("record", (event) => {
    if (event.data !== document.body.dataset.mark) reload();
  });
}

function rest() {
  stream?.close();
  stream = null;
}

// A page nobody looks at holds no connection.
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);
addEventListener("pageshow", () => { if (!document.hidden) listen(); });

// On a narrow screen the tabs scroll: the one that is open is in sight. (scrollIntoView would take the keyboard's place along.)
const tabs = document.querySelector(".tabs"), open = tabs?.querySelector("[aria-current]");
if (open) tabs.scrollLeft = open.offsetLeft - (tabs.clientWidth - open.offsetWidth) / 2;

// Copy a command line.
function reveal() {
  if (navigator.clipboard) document.querySelectorAll(".copy[hidden]").forEach((button) => { button.hidden = false; });
}
main?.addEventListener("click", async (event) => {
  const button = event.target.closest?.(".copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});
reveal();

// "/" goes to the search field, where there is one and nothing is being typed.
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const search = document.querySelector("[data-search]");
  if (!search) return;
  event.preventDefault();
  search.focus();
});
