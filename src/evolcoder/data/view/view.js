"use strict";
const items = () => [...document.querySelectorAll("[data-item]")].filter((one) => one.offsetParent);
const follow = (selector) => { const link = document.querySelector(selector); if (link) location.href = link.href; return Boolean(link); };
let here = -1;
function move(step) {
  const all = items();
  const next = here + step;
  if (!all.length || next < 0 || next >= all.length) { follow(step > 0 ? "a[rel=next]" : "a[rel=prev]"); return; }
  all.forEach((one) => one.classList.remove("here"));
  here = next;
  all[here].classList.add("here");
  all[here].scrollIntoView({ block: "nearest" });
  const link = all[here].querySelector("a");
  if (link) link.focus({ preventScroll: true });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typing) { typing.blur(); return; }
  if (typing || event.target.closest("pre, .wide") && event.key.startsWith("Arrow")) return;
  const act = {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    ArrowRight: () => follow("a[rel=next]"), ArrowLeft: () => follow("a[rel=prev]"),
    u: () => follow("[data-up]") || follow("header a"),
    "/": () => { const box = document.querySelector("[data-search]"); if (box) { box.focus(); box.select(); } else follow("[data-up]"); },
  }[event.key];
  if (!act || event.key.startsWith("Arrow") && (event.key === "ArrowDown" || event.key === "ArrowUp") && !items().length) return;
  event.preventDefault();
  act();
});
for (const part of document.querySelectorAll("[data-poll]")) {
  let pause = 2000;
  let shown = part.innerHTML.trim();
  let since = new Date();
  const stale = document.createElement("p");
  stale.setAttribute("role", "status");
  part.before(stale);
  const say = (why) => { stale.textContent = why && `Not up to date since ${since.toLocaleTimeString()}: ${why}`; };
  const folds = () => [...part.querySelectorAll("details > summary")].map((one) => [one.textContent, one.parentElement]);
  const poll = async () => {
    try {
      if (!document.hidden && !part.contains(document.activeElement)) {
        const started = performance.now();
        const answer = await fetch(part.dataset.poll);
        const made = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (!answer.ok) say((made.querySelector("main p") || made.body).textContent.trim());
        else {
          since = new Date();
          say("");
          const now = made.body.innerHTML.trim();
          if (now !== shown) {
            shown = now;
            const opened = new Map(folds().map(([name, one]) => [name, one.open]));
            part.replaceChildren(...made.body.childNodes);
            for (const [name, one] of folds()) if (opened.has(name)) one.open = opened.get(name);
          }
        }
        pause = Math.max(2000, 10 * (performance.now() - started));
      }
    } catch { say("the viewer does not answer."); pause = 10000; }
    setTimeout(poll, pause);
  };
  setTimeout(poll, pause);
}
