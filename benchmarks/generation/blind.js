"use strict";
// The blind views: names are hidden and the order is drawn from a seed, until the reader reveals them.
// Without this script the page shows the volumes by method.
(() => {
  const byId = (id) => document.getElementById(id);
  const sheets = byId("sheets");
  if (!sheets) return;
  const mixed = byId("mixed"), seed = byId("seed"), all = byId("all"), status = byId("status");
  const sections = [...sheets.querySelectorAll(".sheet")];
  const sets = sections.map((section) => ({
    section, label: section.dataset.label, title: section.querySelector("h3").textContent,
    figures: [...section.querySelectorAll(".volume")],
  }));
  const fewest = Math.min(...sets.map((set) => set.figures.length));
  const planes = "axial, coronal and sagittal plane";
  let hidden = []; // what can still be revealed: { reveal, button }

  // Numbers from a seed (mulberry32), so that two readers with one seed see one order.
  function numbers(state) {
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }
  function shuffled(items, random) {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  const letter = (place) => String.fromCharCode(65 + (place % 26)) + (place < 26 ? "" : Math.floor(place / 26));

  function show(figure, set, known, unknown) {
    figure.querySelector("img").alt = known ? `${set.label}, ${figure.dataset.name}: ${planes}` : `${unknown}: ${planes}`;
    const caption = figure.querySelector("figcaption");
    caption.textContent = known ? figure.dataset.name : "";
    figure.hidden = false;
    figure.classList.remove("known");
  }

  function revealButton(text, reveal) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "reveal";
    button.textContent = text;
    const entry = { reveal, button };
    button.addEventListener("click", () => {
      const place = hidden.indexOf(entry);
      hidden = hidden.filter((each) => each !== entry);
      reveal();
      count();
      (hidden[place]?.button ?? seed).focus(); // this button is gone; a keyboard goes on with the next
    });
    hidden.push(entry);
    return button;
  }

  function count() {
    all.disabled = hidden.length === 0;
    const view = document.querySelector("input[name=view]:checked").value;
    status.textContent = view === "named" ? "" : hidden.length ? `${hidden.length} hidden` : "all revealed";
  }

  function named() {
    for (const set of sets) {
      set.section.querySelector("h3").textContent = set.title;
      for (const figure of set.figures) {
        show(figure, set, true, "");
        set.section.append(figure);
      }
      sheets.append(set.section);
    }
  }

  // The sets under letters. Each shows as many volumes as the smallest one has, since their number would tell.
  function blind(random) {
    shuffled(sets, random).forEach((set, place) => {
      const heading = set.section.querySelector("h3"), name = `Method ${letter(place)}`;
      const figures = shuffled(set.figures, random);
      figures.forEach((figure, number) => {
        show(figure, set, false, `${name}, volume ${number + 1}`);
        figure.hidden = number >= fewest;
        set.section.append(figure);
      });
      heading.textContent = `${name} `;
      heading.append(revealButton(`Reveal ${letter(place)}`, () => {
        heading.textContent = `${name}: ${set.title}`;
        for (const figure of figures) show(figure, set, true, "");
      }));
      sheets.append(set.section);
    });
  }

  // All volumes in one grid, each revealed by itself.
  function mix(random) {
    const chosen = sets.flatMap((set) => shuffled(set.figures, random).slice(0, fewest).map((figure) => ({ figure, set })));
    shuffled(chosen, random).forEach(({ figure, set }, place) => {
      const name = `Volume ${place + 1}`;
      show(figure, set, false, name);
      figure.querySelector("figcaption").append(revealButton(`Reveal ${place + 1}`, () => {
        show(figure, set, true, "");
        figure.querySelector("figcaption").textContent = `${set.label}, ${figure.dataset.name}`;
        figure.classList.add("known");
      }));
      mixed.append(figure);
    });
  }

  function draw() {
    const view = document.querySelector("input[name=view]:checked").value;
    const random = numbers(Number(seed.value) >>> 0);
    hidden = [];
    named();
    sheets.classList.toggle("named", view === "named");
    sheets.setAttribute("aria-label", view === "named" ? "Volumes by method" : "Volumes under letters");
    if (view === "blind") blind(random);
    if (view === "mixed") mix(random);
    sheets.hidden = view === "mixed";
    mixed.hidden = view !== "mixed";
    for (const id of ["figures", "drawing"]) if (byId(id)) byId(id).hidden = view !== "named";
    count();
  }

  all.addEventListener("click", () => {
    for (const { reveal } of hidden) reveal();
    hidden = [];
    count();
  });
  for (const input of document.querySelectorAll("input[name=view]")) input.addEventListener("change", draw);
  seed.addEventListener("change", draw);
  byId("wide").addEventListener("input", (event) => {
    document.documentElement.style.setProperty("--wide", `${event.target.value}rem`);
  });
  byId("controls").hidden = false;
  document.documentElement.dataset.viewer = "ready";
})();
