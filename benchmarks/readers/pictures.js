// The images of one case: plane, place, window and zoom are the same in all of them.
const PLANES = {
  axial: { through: 0, rows: 1, columns: 2, letters: ["R", "L", "A", "P"] },
  coronal: { through: 1, rows: 0, columns: 2, letters: ["R", "L", "S", "I"] },
  sagittal: { through: 2, rows: 0, columns: 1, letters: ["A", "P", "S", "I"] },
};
const CODES = 4096, MOST_ZOOM = 6;

class Pictures {
  // canvases: one for each letter; changed: called after every change of the view.
  constructor(canvases, changed) {
    this.canvases = canvases;
    this.changed = changed;
    this.buffer = document.createElement("canvas");
  }

  // data: the unpacked text of a case; window: the preset to begin with.
  async show(data, window) {
    const { shape, levels } = data;
    const stacks = data.volumes.map((text) => unpack({ shape, data: text }, levels));
    this.volumes = (await Promise.all(stacks)).map((stack) => stack.codes);
    this.data = data;
    this.view = { plane: "axial", places: { axial: 0.5, coronal: 0.5, sagittal: 0.5 }, zoom: 1, x: 0.5, y: 0.5 };
    Object.assign(this.view, { centre: window.centre, width: window.width });
    this.changed();
    this.draw();
  }

  get plane() { return PLANES[this.view.plane]; }
  get depth() { return this.data.shape[this.plane.through]; }
  get slice() { return Math.min(this.depth - 1, Math.floor(this.view.places[this.view.plane] * this.depth)); }

  change(part) {
    Object.assign(this.view, part);
    this.view.zoom = Math.min(MOST_ZOOM, Math.max(1, this.view.zoom));
    for (const axis of ["x", "y"]) this.view[axis] = Math.min(1, Math.max(0, this.view[axis]));
    this.changed();
    this.draw();
  }

  goTo(slice) {
    const inside = Math.min(this.depth - 1, Math.max(0, slice));
    this.change({ places: { ...this.view.places, [this.view.plane]: (inside + 0.5) / this.depth } });
  }

  draw() {
    const greys = this.greys();
    this.canvases.forEach((canvas, image) => this.drawOne(canvas, this.volumes[image], greys));
  }

  // From a code to a pixel.
  greys() {
    const { low, step } = this.data, { centre, width } = this.view, black = centre - width / 2;
    return Uint32Array.from({ length: CODES }, (_, code) => {
      const level = Math.min(255, Math.max(0, Math.round((255 * (low + step * code - black)) / width)));
      return (0xff000000 | level | (level << 8) | (level << 16)) >>> 0;
    });
  }

  drawOne(canvas, codes, greys) {
    const { shape } = this.data, { through, rows, columns } = this.plane;
    const strides = [shape[1] * shape[2], shape[2], 1], start = this.slice * strides[through];
    this.buffer.width = shape[columns];
    this.buffer.height = shape[rows];
    const context = this.buffer.getContext("2d", { alpha: false });
    const image = context.createImageData(shape[columns], shape[rows]), pixels = new Uint32Array(image.data.buffer);
    for (let row = 0, pixel = 0; row < shape[rows]; row++) {
      let voxel = start + row * strides[rows];
      for (let column = 0; column < shape[columns]; column++, voxel += strides[columns]) pixels[pixel++] = greys[codes[voxel]];
    }
    context.putImageData(image, 0, 0);
    this.enlarge(canvas);
  }

  // Millimetres are as long across as down; the place (x, y) of the picture lies in the middle.
  enlarge(canvas) {
    const side = Math.max(64, Math.round(canvas.clientWidth * devicePixelRatio)), { x, y, zoom } = this.view;
    canvas.width = canvas.height = side;
    const { rows, columns, letters } = this.plane, { shape, spacing } = this.data;
    const height = shape[rows] * spacing[rows], width = shape[columns] * spacing[columns];
    const scale = (zoom * side) / Math.max(height, width);
    const context = canvas.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "high";
    const left = side / 2 - (zoom > 1 ? x : 0.5) * width * scale, top = side / 2 - (zoom > 1 ? y : 0.5) * height * scale;
    context.drawImage(this.buffer, left, top, width * scale, height * scale);
    if (this.data.letters) drawLetters(context, side, letters);
  }
}

function drawLetters(context, side, [left, right, top, bottom]) {
  const size = Math.max(11, side / 26);
  Object.assign(context, { font: `600 ${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle" });
  Object.assign(context, { fillStyle: "#fff", strokeStyle: "#000", lineWidth: size / 5 });
  const places = [[left, size, side / 2], [right, side - size, side / 2], [top, side / 2, size], [bottom, side / 2, side - size]];
  for (const [letter, x, y] of places) {
    context.strokeText(letter, x, y);
    context.fillText(letter, x, y);
  }
}
