// What the delivery says of a place, in words and as a curve.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// How a value of squares larger than a pixel came about; nothing where it is a pixel's own.
function squaresWords(layer) {
  if (layer.metres === 10) return "";
  return `${layer.classes ? "majority" : "mean"} of ${layer.metres} m`;
}

class Place {
  constructor(delivery, x, y) {
    Object.assign(this, { delivery, x, y });
    this.parcel = delivery.parcels ? delivery.parcels.at(x, y) : -1;
    this.inside = delivery.area.holds(0, x, y);
  }

  className(layer) {
    const code = layer.at(this.x, this.y);
    if (code !== NO_VALUE) return layer.names.get(code);
    return this.inside ? "no data" : "outside the area";
  }

  // The place's curve, and whose it is.
  curve() {
    const { curves, parcels, bounds } = this.delivery;
    if (!curves) return [null, ""];
    if (this.parcel >= 0 && curves.parcelCodes) return [curves.ofParcel(this.parcel), `NDVI, mean of the ${this.delivery.declared ? "parcel" : "field"}'s clear pixels`];
    const values = curves.ofPlace(this.x, this.y, bounds);
    return [values, `NDVI, mean of the clear pixels of the ${curves.grid.metres} m square around`];
  }

  parcelWords() {
    const { parcels, crops } = this.delivery;
    const hectares = parcels.pixels[this.parcel] / 100, value = parcels.value[this.parcel];
    const parts = [`${this.delivery.declared ? "Declared parcel" : "Field"} of ${hectares.toFixed(2)} ha`];
    if (value !== NO_VALUE && crops) {
      const share = parcels.share[this.parcel], sure = parcels.confidence[this.parcel];
      const on = share === NO_VALUE ? "" : ` on ${Math.round(share / 2)}\u00a0% of it`;
      parts.push(`: ${crops.names.get(value) ?? "?"}${on}`);
      if (sure !== NO_VALUE) parts.push(`, mean confidence ${Math.round(sure / 2)}\u00a0%`);
    }
    return parts.join("");
  }

  // All of it as elements; the first line is what a screen reader is told.
  show(into, status) {
    const { crops, measured, changes, epsg } = this.delivery;
    const shown = [];
    let said = "";
    if (crops) {
      const code = crops.at(this.x, this.y);
      said = this.className(crops);
      const title = element("h3", {}, said);
      if (code !== NO_VALUE) title.prepend(element("span", { class: "swatch", style: `background:${crops.colours.get(code)}` }));
      shown.push(title);
      const notes = [squaresWords(crops)];
      const confidence = measured.find((layer) => layer.name === "confidence");
      if (confidence) {
        const words = confidence.words(confidence.at(this.x, this.y));
        const how = squaresWords(confidence);
        if (code !== NO_VALUE) notes.push(`confidence ${words}${how ? ` (${how})` : ""}`);
      }
      const line = notes.filter(Boolean).join(" · ");
      if (line) shown.push(element("p", { class: "sure" }, line));
      said += line ? `, ${line}` : "";
    } else if (!this.inside) {
      said = "outside the area";
      shown.push(element("h3", {}, said));
    }
    if (this.parcel >= 0) {
      const words = this.parcelWords();
      shown.push(element("p", {}, words));
      said += `. ${words}`;
    } else if (this.delivery.parcels && crops && ![0, NO_VALUE].includes(crops.at(this.x, this.y))) {
      shown.push(element("p", { class: "soft" }, this.delivery.declared ? "In none of the declared parcels." : "Part of no field of 0.5 ha or more."));
    }
    const others = measured.filter((layer) => !(crops && layer.name === "confidence"));
    if (others.length && this.inside && !crops) shown.push(this._values(others));
    if (!crops && this.inside && others.length) said = `${others[0].title}: ${others[0].words(others[0].at(this.x, this.y))}`;
    if (changes && changes.at(this.x, this.y) !== NO_VALUE) shown.push(element("p", {}, "The class of this pixel is another than in the map before."));
    const [values, whose] = this.inside ? this.curve() : [null, ""];
    if (values) shown.push(this.delivery.curves.picture(values), element("p", { class: "soft" }, `${whose}; strokes: no clear pixel on that date.`));
    if (others.length && this.inside && crops) shown.push(this._values(others));
    shown.push(element("p", { class: "soft where" }, `E ${this.x.toFixed(0)} m, N ${this.y.toFixed(0)} m (EPSG:${epsg})`));
    into.replaceChildren(...shown);
    Object.assign(into.dataset, { x: this.x, y: this.y, value: crops ? crops.at(this.x, this.y) : "", parcel: this.parcel });
    status.textContent = said;
  }

  // Values of all measurements, a row a band; bands of one variable under one heading.
  _values(layers) {
    const box = element("div", { class: "values" });
    let name = "", table = null;
    for (const layer of layers) {
      const how = squaresWords(layer), heading = `${layer.variable}${how ? ` (${how})` : ""}`;
      const value = element("span", { "data-layer": layer.key }, layer.words(layer.at(this.x, this.y)));
      if (!layer.band) { box.append(element("p", { class: "soft" }, `${heading}: `, value)); continue; }
      if (layer.name !== name) {
        name = layer.name;
        table = element("table");
        box.append(element("p", { class: "what" }, heading), table);
      }
      const row = table.insertRow();
      row.insertCell().textContent = layer.band;
      row.insertCell().append(value);
    }
    return box;
  }
}
