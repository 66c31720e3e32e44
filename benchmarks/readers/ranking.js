// One ranking: a rank for each image, set by keys, by a list, or by dragging the image's letter to a place.
const letterOf = (image) => String.fromCharCode(65 + image);

class Ranking {
  // question: key and title; announce: says a sentence to screen readers; changed: called after every change.
  constructor(question, images, announce, changed) {
    Object.assign(this, { question, images, announce, changed, ranks: Array(images).fill(null) });
    this.board = document.querySelector(`.board[data-question="${question.key}"]`);
    this.chips = [...this.board.querySelectorAll(".chip")];
    this.lists = [...document.querySelectorAll(`select[data-question="${question.key}"]`)];
    this.lists.forEach((list, image) => list.addEventListener("change", () => this.set(image, Number(list.value) || null)));
    this.chips.forEach((chip, image) => draggable(chip, image));
  }

  load(ranks) {
    this.ranks = [...ranks];
    this.show();
  }

  set(image, rank) {
    this.ranks[image] = rank;
    this.show();
    const others = this.ranks.flatMap((each, other) => (rank && other !== image && each === rank ? [letterOf(other)] : []));
    const place = rank ? `rank ${rank} of ${this.images}` : "no rank";
    const shared = others.length ? `, shared with ${others.join(" and ")}` : "";
    this.announce(`${this.question.title}: image ${letterOf(image)} has ${place}${shared}.`);
    this.changed();
  }

  // One place up or down; an image that has this place alone takes the one that becomes free.
  move(image, by) {
    const from = this.ranks[image];
    if (from === null) return this.set(image, this.free(by));
    const to = Math.min(this.images, Math.max(1, from + by));
    const there = this.ranks.flatMap((rank, other) => (rank === to && other !== image ? [other] : []));
    if (there.length === 1) this.ranks[there[0]] = from;
    this.set(image, to);
  }

  free(by) {
    const ranks = Array.from({ length: this.images }, (_, i) => i + 1).filter((rank) => !this.ranks.includes(rank));
    return (by > 0 ? ranks[0] : ranks.at(-1)) ?? null;
  }

  get missing() { return this.ranks.flatMap((rank, image) => (rank === null ? [letterOf(image)] : [])); }

  // Letters of the images that share a place, a text for each place.
  get ties() {
    const places = Array.from({ length: this.images }, (_, i) => this.ranks.flatMap((r, image) => (r === i + 1 ? [letterOf(image)] : [])));
    return places.flatMap((letters, i) => (letters.length > 1 ? [`${letters.join(" and ")} share rank ${i + 1}`] : []));
  }

  show() {
    this.chips.forEach((chip, image) => {
      const rank = this.ranks[image], place = this.board.querySelector(`[data-rank="${rank ?? ""}"] .chips`);
      if (chip.parentElement !== place) place.append(chip);
      this.lists[image].value = rank ?? "";
    });
  }
}

// An element that carries an image to a place of any ranking, by mouse, pen or finger.
let dropped = () => {};
function draggable(element, image) {
  let ghost = null, start = null;
  const place = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-rank]");
  const light = (slot) => {
    for (const each of document.querySelectorAll(".over")) each.classList.toggle("over", each === slot);
    slot?.classList.add("over");
  };
  const end = () => {
    ghost?.remove();
    ghost = start = null;
    light(null);
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = { x: event.clientX, y: event.clientY };
    element.setPointerCapture(event.pointerId);
    event.preventDefault();
    event.stopPropagation();
  });
  element.addEventListener("pointermove", (event) => {
    if (!start) return;
    if (!ghost && Math.hypot(event.clientX - start.x, event.clientY - start.y) < 4) return;
    if (!ghost) {
      ghost = Object.assign(document.createElement("div"), { className: "chip ghost", textContent: letterOf(image) });
      document.body.append(ghost);
    }
    Object.assign(ghost.style, { left: `${event.clientX}px`, top: `${event.clientY}px` });
    light(place(event));
  });
  element.addEventListener("pointerup", (event) => {
    const slot = ghost && place(event);
    end();
    if (slot) dropped(slot.closest(".board").dataset.question, image, Number(slot.dataset.rank) || null);
  });
  element.addEventListener("pointercancel", end);
}
