"use strict";
// Draws the planes from the embedded grey values, so that slice, window and error scale can be changed.
// Without this script (or in a browser that cannot inflate) the page keeps its still pictures.
(async () => {
  const byId = (id) => document.getElementById(id);
  const payload = byId("viewer-data");
  if (!payload || !("DecompressionStream" in window)) return;
  const page = JSON.parse(payload.textContent);
  const LEVELS = 4096;
  const slider = byId("slice"), centre = byId("centre"), width = byId("width"), scale = byId("error-scale");
  const presets = [...document.querySelectorAll("button[data-centre]")];

  const opaque = (colour) => (colour | 0xff000000) >>> 0;
  const grey = (level) => opaque(level | (level << 8) | (level << 16));
  const clampLevel = (share) => Math.min(255, Math.max(0, Math.round(255 * share)));

  // Tables from a code (or a difference of codes, shifted by LEVELS) to a pixel.
  function greyTable(key) {
    const { low, step } = page.volumes[key], black = Number(centre.value) - Number(width.value) / 2;
    return Uint32Array.from({ length: LEVELS }, (_, code) =>
      grey(clampLevel((low + step * code - black) / Number(width.value))));
  }
  function errorTable(key) {
    const step = page.volumes[key].step, top = Number(scale.value);
    return Uint32Array.from({ length: 2 * LEVELS }, (_, code) =>
      opaque(page.colours.error[clampLevel(0.5 + (step * (code - LEVELS)) / (2 * top))]));
  }
  function deviationTable(key) {
    const { low, step } = page.volumes[key];
    return Uint32Array.from({ length: LEVELS }, (_, code) =>
      opaque(page.colours.std[clampLevel((low + step * code) / page.deviationTop)]));
  }
  const tableOf = { image: greyTable, error: errorTable, std: deviationTable };

  const stacks = {};
  for (const [key, volume] of Object.entries(page.volumes)) {
    stacks[key] = {};
    for (const [plane, packed] of Object.entries(volume.planes)) stacks[key][plane] = await unpack(packed, volume.levels);
  }

  const panels = [...document.querySelectorAll("figure[data-plane]")].map((figure) => {
    const column = page.columns[Number(figure.dataset.column)], plane = figure.dataset.plane;
    const stack = stacks[column.key][plane], still = figure.querySelector("img");
    const canvas = document.createElement("canvas");
    canvas.width = stack.columns;
    canvas.height = stack.rows;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", still.alt);
    still.replaceWith(canvas);
    return { figure, column, plane, stack, canvas, context: canvas.getContext("2d", { alpha: false }) };
  });

  let flipped = false;
  const flips = (panel) => flipped && panel.column.kind === "image" && panel.column.key !== page.flip;

  function draw(panel, table) {
    const { rows, columns, codes, count } = flips(panel) ? stacks[page.flip][panel.plane] : panel.stack;
    const offset = (count > 1 ? Number(slider.value) : 0) * rows * columns;
    const image = panel.context.createImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    if (panel.column.kind === "error") {
      const truth = stacks.truth[panel.plane].codes;
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[codes[offset + i] - truth[offset + i] + LEVELS];
    } else {
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[codes[offset + i]];
    }
    panel.context.putImageData(image, 0, 0);
  }

  let tables = {};
  const number = (value) => {
    const size = Math.abs(value);
    const text = size >= 100 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(3)));
    return text.replace("-", "−");
  };
  const withUnit = (text) => (page.unit ? `${text} ${page.unit}` : text);

  function redraw(panelsToDraw) {
    for (const panel of panelsToDraw) draw(panel, tables[panel.column.kind + panel.column.key]);
  }
  function retable() {
    tables = {};
    for (const { key, kind } of page.columns) tables[kind + key] = tableOf[kind](key);
    redraw(panels);
  }

  function showSlice() {
    const slice = page.slices[Number(slider.value)], text = `slice ${slice + 1} of ${page.depth}`;
    byId("slice-text").textContent = text;
    byId("stack-place").textContent = text;
    slider.setAttribute("aria-valuetext", text);
    const percent = `${100 * (1 - (slice + 0.5) / page.depth)}%`;
    for (const cut of document.querySelectorAll(`.cut[data-cut="${page.stack}"]`)) {
      cut.style[cut.classList.contains("across") ? "top" : "left"] = percent;
    }
    const moved = panels.filter((panel) => panel.plane === page.stack);
    for (const { canvas, column } of moved) {
      canvas.setAttribute("aria-label", `${page.stack} plane, ${text}: ${column.caption}`);
    }
    redraw(moved);
  }

  function showWindow() {
    if (!(Number(width.value) > 0)) return; // while a number is being typed
    const middle = Number(centre.value), half = Number(width.value) / 2;
    byId("window-low").textContent = number(middle - half);
    byId("window-high").textContent = withUnit(number(middle + half));
    for (const button of presets) {
      const same = button.dataset.centre === centre.value && button.dataset.width === width.value;
      button.setAttribute("aria-pressed", String(same));
    }
    retable();
  }

  function setWindow(newCentre, newWidth) {
    centre.value = newCentre;
    width.value = newWidth;
    showWindow();
  }

  function showErrorScale() {
    byId("error-low").textContent = number(-Number(scale.value));
    byId("error-high").textContent = withUnit("+" + number(Number(scale.value)));
    retable();
  }

  // As on a workstation: drag sideways for the width, up and down for the centre.
  function windowByDragging(canvas) {
    let start = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return; // a finger scrolls the page
      start = { x: event.clientX, y: event.clientY, centre: Number(centre.value), width: Number(width.value) };
      canvas.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const step = start.width / 200; // 200 screen pixels double the width, or move the centre by it
      const wider = Math.max(step, start.width + step * (event.clientX - start.x));
      setWindow(rounded(start.centre + step * (event.clientY - start.y)), rounded(wider));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { start = null; });
  }
  const rounded = (value) => Number(value.toPrecision(4));

  // One key shows the same place of the ground truth in every picture, and back: the eye sees what jumps.
  const flipCaption = page.flip && page.columns.find((column) => column.key === page.flip).caption;
  function flip() {
    flipped = !flipped;
    for (const panel of panels) {
      if (panel.column.kind !== "image" || panel.column.key === page.flip) continue;
      panel.figure.classList.toggle("flipped", flipped);
      panel.figure.querySelector("figcaption").textContent = flipped ? `${flipCaption} (F: back)` : panel.column.caption;
    }
    redraw(panels);
  }
  if (page.flip) {
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "f" || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.target.matches("input[type=number], select")) return;
      flip();
    });
    byId("flip").addEventListener("click", flip);
  }

  slider.addEventListener("input", showSlice);
  for (const input of [centre, width]) input.addEventListener("input", showWindow);
  for (const button of presets) {
    button.addEventListener("click", () => setWindow(button.dataset.centre, button.dataset.width));
  }
  if (scale) scale.addEventListener("change", showErrorScale);
  for (const { canvas, column, plane } of panels) {
    if (column.kind === "image") windowByDragging(canvas);
    if (plane === page.stack) canvas.addEventListener("click", () => slider.focus({ preventScroll: true }));
  }

  showWindow();
  showSlice();
  byId("controls").hidden = false;
  document.documentElement.dataset.viewer = "ready";
})();
