"use strict";
// Undoes recon/report/packing.py: inflate, join the bytes, unfold the sign, add the neighbour, look up the level.
async function unpack({ shape, data }, levels) {
  const text = atob(data), packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const [count, rows, columns] = shape, size = count * rows * columns, codes = new Uint16Array(size);
  for (let i = 0; i < size; i++) {
    const folded = bytes[i] | (bytes[size + i] << 8), column = i % columns;
    const first = Math.floor(i / columns) % rows === 0;
    const neighbour = column ? codes[i - 1] : first ? 0 : codes[i - columns];
    codes[i] = neighbour + ((folded >>> 1) ^ -(folded & 1));
  }
  if (levels) for (let i = 0; i < size; i++) codes[i] = levels[codes[i]];
  return { count, rows, columns, codes };
}
