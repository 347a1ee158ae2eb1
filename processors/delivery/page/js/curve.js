// An NDVI curve as a picture (SVG): dots and lines, gaps where a date shows no clear pixel.

const SVG = "http://www.w3.org/2000/svg";
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const MONTH = new Intl.DateTimeFormat("en-GB", { month: "short", timeZone: "UTC" });

function drawn(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

class Curves {
  static async from(record) {
    const curves = Object.assign(new Curves(), record);
    curves.times = record.days.map((day) => Date.parse(`${day}T00:00:00Z`));
    curves.parcelCodes = record.parcels ? await unpacked(record.parcels) : null;
    curves.gridCodes = await unpacked(record.grid.values);
    return curves;
  }

  ofParcel(number) { return this._row(this.parcelCodes, number); }

  // Of the square of the grid around a place; null outside.
  ofPlace(x, y, bounds) {
    const column = Math.floor((x - bounds[0]) / this.grid.metres), row = Math.floor((bounds[3] - y) / this.grid.metres);
    if (column < 0 || row < 0 || column >= this.grid.columns || row >= this.grid.rows) return null;
    return this._row(this.gridCodes, row * this.grid.columns + column);
  }

  _row(codes, number) {
    const count = this.days.length;
    return Array.from(codes.subarray(number * count, (number + 1) * count), (code) => (code === NO_VALUE ? null : this.low + code * this.step));
  }

  // An element that shows values by date, and says them.
  picture(values) {
    const figure = document.createElement("figure");
    figure.className = "curve";
    const known = values.map((value, i) => [value, i]).filter(([value]) => value !== null);
    if (!known.length) {
      figure.append("No date shows a clear pixel here.");
      return figure;
    }
    const peak = known.reduce((best, one) => (one[0] > best[0] ? one : best));
    const said = `NDVI on ${known.length} of ${values.length} dates, highest ${peak[0].toFixed(2)} on ${DAY.format(this.times[peak[1]])}`;
    const [width, height, left, right, top, bottom] = [320, 150, 28, 6, 8, 20];
    const svg = drawn(figure, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said });
    const low = Math.min(0, ...known.map(([value]) => value));
    const first = this.times[0], span = Math.max(1, this.times[this.times.length - 1] - first);
    const x = (time) => left + ((time - first) / span) * (width - left - right);
    const y = (value) => top + ((1 - value) / (1 - low)) * (height - top - bottom);
    for (const level of [0, 0.25, 0.5, 0.75, 1]) {
      drawn(svg, "line", { class: level ? "grid" : "axis", x1: left, x2: width - right, y1: y(level), y2: y(level) });
      if (level % 0.5 === 0) drawn(svg, "text", { x: left - 5, y: y(level) + 3.5, "text-anchor": "end" }, level.toFixed(1));
    }
    this._months(svg, first, first + span, x, height - bottom);
    let path = "", together = false;
    values.forEach((value, i) => {
      if (value === null) {
        together = false;
        drawn(svg, "line", { class: "missing", x1: x(this.times[i]), x2: x(this.times[i]), y1: y(low) - 4, y2: y(low) });
        return;
      }
      path += `${together ? "L" : "M"}${x(this.times[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      together = true;
    });
    drawn(svg, "path", { class: "line", d: path });
    for (const [value, i] of known) {
      const dot = drawn(svg, "circle", { class: i === peak[1] ? "peak" : "dot", cx: x(this.times[i]), cy: y(value), r: i === peak[1] ? 4 : 2.6 });
      drawn(dot, "title", {}, `${DAY.format(this.times[i])}: ${value.toFixed(2)}`);
    }
    figure.append(this._table(values, said));
    return figure;
  }

  _months(svg, from, to, x, y) {
    const marks = [];
    for (let day = new Date(from), month = new Date(Date.UTC(day.getUTCFullYear(), day.getUTCMonth() + (day.getUTCDate() > 1 ? 1 : 0), 1));
      month <= to; month = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1))) marks.push(month);
    const every = Math.ceil(marks.length / 8);
    marks.forEach((month, i) => {
      drawn(svg, "line", { class: "axis", x1: x(month), x2: x(month), y1: y, y2: y + 3 });
      if (i % every === 0 && x(month) < 305) drawn(svg, "text", { x: x(month), y: y + 14, "text-anchor": "middle" }, MONTH.format(month));
    });
  }

  _table(values, said) {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = said;
    const table = document.createElement("table");
    values.forEach((value, i) => {
      const row = table.insertRow();
      row.insertCell().textContent = DAY.format(this.times[i]);
      row.insertCell().textContent = value === null ? "no clear pixel" : value.toFixed(2);
    });
    details.append(summary, table);
    return details;
  }
}
