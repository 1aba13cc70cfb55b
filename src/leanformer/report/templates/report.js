"use strict";
(() => {
  const tip = document.getElementById("tip");

  // Native <title> pop-ups are slow and absent on touch: move their words into one quick read-out.
  for (const picture of document.querySelectorAll("svg.picture")) {
    const name = picture.querySelector(":scope > title");
    if (name) { picture.setAttribute("aria-label", name.textContent); name.remove(); }
    for (const title of picture.querySelectorAll("title")) {
      title.parentNode.dataset.tip = title.textContent;
      title.remove();
    }
  }
  const show = (event) => {
    const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = Math.max(8, left) + "px";
    tip.style.top = (above > 8 ? above : event.clientY + 18) + "px";
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const list = document.getElementById("flip-list");
  if (!list) return;
  const STEP = 12;
  const flips = [...list.children];
  const words = document.getElementById("flip-words");
  const sort = document.getElementById("flip-sort");
  const more = document.getElementById("flip-more");
  const count = document.getElementById("flip-count");
  const filters = [...document.querySelectorAll(".filters button")];
  let change = "", limit = STEP;

  const refresh = () => {
    const wanted = words.value.trim().toLowerCase();
    const fits = flips.filter((flip) => (!change || flip.dataset.change === change)
      && flip.textContent.toLowerCase().includes(wanted));
    const key = sort.value, sign = key === "sure" ? -1 : 1;
    fits.sort((a, b) => sign * (Number(a.dataset[key]) - Number(b.dataset[key])));
    for (const flip of flips) flip.hidden = true;
    for (const flip of fits) list.append(flip);
    for (const flip of fits.slice(0, limit)) flip.hidden = false;
    more.hidden = fits.length <= limit;
    count.textContent = fits.length ? `${Math.min(limit, fits.length)} of ${fits.length} shown` : "No text fits.";
  };
  words.addEventListener("input", () => { limit = STEP; refresh(); });
  sort.addEventListener("change", refresh);
  more.addEventListener("click", () => { limit += 4 * STEP; refresh(); });
  for (const button of filters) button.addEventListener("click", () => {
    change = button.dataset.change;
    limit = STEP;
    for (const other of filters) other.setAttribute("aria-pressed", String(other === button));
    refresh();
  });
  const tools = document.querySelector(".tools");
  tools.hidden = false;
  tools.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".more").hidden = false;
  refresh();
})();
