// The filters as a drawer on narrow screens: focus goes in, stays in, and comes back.

const root = document.documentElement;
const narrow = window.matchMedia("(max-width: 60rem)");

/** Everything but the drawer and what is told to screen readers. */
function outside() {
  const around = [...document.body.children].filter((element) => !["part", "announce"].includes(element.id));
  return [...around, document.getElementById("results")];
}

function hold(closed) {
  for (const element of outside()) element?.toggleAttribute("inert", !closed);
  const filters = document.getElementById("filters");
  if (!filters) return;
  if (closed) {
    filters.setAttribute("role", "complementary");
    filters.removeAttribute("aria-modal");
  } else {
    filters.setAttribute("role", "dialog");
    filters.setAttribute("aria-modal", "true");
  }
  document.querySelector('[data-drawer="open"]')?.setAttribute("aria-expanded", String(!closed));
}

function openDrawer() {
  root.classList.add("drawer");
  hold(false);
  document.querySelector('.filters-head [data-drawer="close"]')?.focus();
}

export function closeDrawer() {
  if (!root.classList.contains("drawer")) return;
  root.classList.remove("drawer");
  hold(true);
  document.querySelector('[data-drawer="open"]')?.focus();
}

/** Wire the buttons of a part that was just put into the page; an open drawer stays open. */
export function wireDrawer(part) {
  for (const button of part.querySelectorAll("[data-drawer]")) {
    button.addEventListener("click", button.dataset.drawer === "open" ? openDrawer : closeDrawer);
  }
  if (root.classList.contains("drawer")) hold(false);
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeDrawer(); });
narrow.addEventListener("change", () => { if (!narrow.matches) closeDrawer(); });
