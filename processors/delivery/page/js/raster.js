// A raster of codes in blocks, most of which may be missing: read at a place, or painted on a canvas.

const BLOCK = 64;

function colour32(hex, alpha = 255) {
  const number = parseInt(hex.slice(1), 16);
  return ((alpha << 24) | ((number & 255) << 16) | (number & 0xff00) | (number >> 16)) >>> 0;
}

class Raster {
  constructor(record, bounds, values) {
    Object.assign(this, record);
    this.codes = values;
    const [west, south, east, north] = bounds;
    this.metres = record.factor * 10;
    this.west = west;
    this.north = north;
    this.columns = Math.ceil((east - west) / this.metres);
    this.rows = Math.ceil((north - south) / this.metres);
    this.across = Math.ceil((east - west) / 10 / (record.factor * BLOCK));
    this.places = new Int32Array(this.across * Math.ceil(this.rows / BLOCK)).fill(-1);
    record.blocks.forEach((block, number) => { this.places[block] = number * BLOCK * BLOCK; });
  }

  static async from(record, bounds) { return new Raster(record, bounds, await unpacked(record.values)); }

  // The code at metres east and north of the zone.
  at(x, y) {
    const column = Math.floor((x - this.west) / this.metres), row = Math.floor((this.north - y) / this.metres);
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return NO_VALUE;
    const start = this.places[Math.floor(row / BLOCK) * this.across + Math.floor(column / BLOCK)];
    return start < 0 ? NO_VALUE : this.codes[start + (row % BLOCK) * BLOCK + (column % BLOCK)];
  }

  // What a code of a measurement stands for, in words.
  words(code) {
    if (code === NO_VALUE) return "no data";
    if (this.name === "confidence") return `${Math.round(100 * (this.low + code * this.step))} %`;
    const digits = this.step === 1 ? 0 : Math.max(0, Math.min(4, Math.ceil(-Math.log10(this.step))));
    const edge = code === 0 && this.clipped[0] ? "≤ " : code === this.last && this.clipped[1] ? "≥ " : "";
    return `${edge}${(this.low + code * this.step).toFixed(digits)}${this.unit ? ` ${this.unit}` : ""}`;
  }

  // Paint the part that begins at (west, north) at ``step`` metres a pixel. ``colours``: 32 bits by code; ``marks``: 64 bytes by code, 8 x 8
  // pixels, 1 where the darker one of ``darker`` is taken; null without.
  paint(context, west, north, step, colours, darker, marks) {
    const { width, height } = context.canvas;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const block = new Int32Array(width), inside = new Int32Array(width);
    for (let x = 0; x < width; x++) {
      const column = Math.floor((west + (x + 0.5) * step - this.west) / this.metres);
      const there = column >= 0 && column < this.columns;
      block[x] = there ? Math.floor(column / BLOCK) : -1;
      inside[x] = there ? column % BLOCK : 0;
    }
    for (let y = 0; y < height; y++) {
      const row = Math.floor((this.north - north + (y + 0.5) * step) / this.metres);
      if (row < 0 || row >= this.rows) continue;
      const first = Math.floor(row / BLOCK) * this.across, down = (row % BLOCK) * BLOCK;
      for (let x = 0, to = y * width; x < width; x++, to++) {
        if (block[x] < 0) continue;
        const start = this.places[first + block[x]];
        if (start < 0) continue;
        const code = this.codes[start + down + inside[x]];
        pixels[to] = marks && marks[code * 64 + ((y >> 1) & 7) * 8 + ((x >> 1) & 7)] ? darker[code] : colours[code];
      }
    }
    context.putImageData(image, 0, 0);
  }
}

// Eight ways to mark a class, 8 x 8: told apart without colour.
const MARKS = [
  () => false,
  (x, y) => x % 4 === 0 && (y + (x & 4)) % 8 < 2,
  (x, y) => (x + y) % 8 === 0,
  (x, y) => (x - y + 8) % 8 === 0,
  (x, y) => y % 8 === 0,
  (x, y) => x % 8 === 0,
  (x, y) => y % 8 === 0 || x % 8 === 0,
  (x, y) => x % 4 < 2 && y % 4 < 2,
];

// The patterns by code: pairs of value and number of its pattern.
function markBits(pairs) {
  const bits = new Uint8Array(256 * 64);
  for (const [value, number] of pairs) {
    const marked = MARKS[number % MARKS.length];
    for (let y = 0; y < 8; y++) for (let x = 0; x < 8; x++) bits[value * 64 + y * 8 + x] = marked(x, y) ? 1 : 0;
  }
  return bits;
}

// A colour that a mark of ``hex`` is drawn in: dark on light, light on dark.
function markColour(hex, alpha = 255) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const light = 0.299 * red + 0.587 * green + 0.114 * blue > 110;
  const mixed = [red, green, blue].map((part) => Math.round(light ? part * 0.45 : part + (255 - part) * 0.55));
  return colour32(`#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`, alpha);
}

// A colour between those of a ramp, at 0 to 1.
function rampColour(colours, part) {
  const at = Math.max(0, Math.min(1, part)) * (colours.length - 1), first = Math.min(colours.length - 2, Math.floor(at));
  const [one, two] = [colours[first], colours[first + 1]].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return `#${one.map((value, i) => Math.round(value + (two[i] - value) * (at - first)).toString(16).padStart(2, "0")).join("")}`;
}
