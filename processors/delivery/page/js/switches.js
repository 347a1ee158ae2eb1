// Switches beside the map: which layer, how opaque, which classes, marks, parcels and picture.

class Switches {
  constructor(root, delivery, changed) {
    this.delivery = delivery;
    this.changed = changed;
    this.layer = delivery.layers[0];
    this.hidden = new Set();
    this.lit = null;
    const all = (selector) => [...root.querySelectorAll(selector)];
    const on = (selector, event, act) => all(selector).forEach((one) => one.addEventListener(event, () => { act(one); this.changed(); }));
    on("[name=layer]", "change", (one) => { this.layer = delivery.layers.find((layer) => layer.key === one.value); this.show(root); });
    on("#opacity", "input", () => {});
    on("[data-class]", "change", (one) => this._hide(Number(one.dataset.class), !one.checked));
    on("[data-all]", "click", (one) => all("[data-class]").forEach((box) => {
      box.checked = one.dataset.all === "on";
      this._hide(Number(box.dataset.class), !box.checked);
    }));
    on("#marks, #parcels, #picture", "change", () => {});
    for (const box of all("[data-class]")) {
      const row = box.closest("label");
      const light = (value) => { this.lit = value; this.changed(); };
      row.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") light(Number(box.dataset.class)); });
      row.addEventListener("pointerleave", () => light(null));
      box.addEventListener("focus", () => { if (box.matches(":focus-visible")) light(Number(box.dataset.class)); });
      box.addEventListener("blur", () => light(null));
    }
    this.root = root;
    this.show(root);
  }

  get opacity() { return Number(this.root.querySelector("#opacity").value) / 100; }
  get marked() { return this.printing ? "all" : this.root.querySelector("#marks").value; }
  is(name) { const box = this.root.querySelector(`#${name}`); return Boolean(box && box.checked); }

  _hide(value, hidden) { if (hidden) this.hidden.add(value); else this.hidden.delete(value); }

  // Legends of the layer that is shown, and no others.
  show(root) {
    for (const box of root.querySelectorAll("[data-legend]")) box.hidden = !box.dataset.legend.split(" ").includes(this.layer.key);
  }

  // Colours by code: of classes as they are switched, of measurements along their ramp.
  palette() {
    const colours = new Uint32Array(256), darker = new Uint32Array(256), layer = this.layer;
    if (!layer.classes) {
      const [low, high] = layer.limits;
      for (let code = 0; code <= layer.last; code++) {
        colours[code] = colour32(rampColour(layer.colours, (layer.low + code * layer.step - low) / (high - low)));
      }
      return { colours, darker, marks: null };
    }
    for (const [value, , colour] of layer.classes) {
      if (this.hidden.has(value)) continue;
      const alpha = this.lit === null || this.lit === value ? 255 : 40;
      colours[value] = colour32(colour, alpha);
      darker[value] = markColour(colour, alpha);
    }
    return { colours, darker, marks: layer.marks[this.marked] };
  }

  // The swatches of the legend, marked as the map is.
  paintSwatches(root) {
    const { crops } = this.delivery;
    if (!crops) return;
    const marks = crops.marks[this.marked];
    for (const swatch of root.querySelectorAll("[data-swatch]")) {
      const value = Number(swatch.dataset.swatch);
      if (!marks) { swatch.style.backgroundImage = ""; continue; }
      const canvas = element("canvas", { width: 16, height: 16 });
      const image = new ImageData(16, 16), pixels = new Uint32Array(image.data.buffer);
      const [plain, dark] = [colour32(crops.colours.get(value)), markColour(crops.colours.get(value))];
      for (let y = 0; y < 16; y++) for (let x = 0; x < 16; x++) {
        pixels[y * 16 + x] = marks[value * 64 + (((y >> 1) + 4) & 7) * 8 + (((x >> 1) + 4) & 7)] ? dark : plain;
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      swatch.style.backgroundImage = `url(${canvas.toDataURL()})`;
    }
  }
}
