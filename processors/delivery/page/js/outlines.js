// Polygons: the area, and the parcels with what is known of each.

class Outlines {
  // Corners in metres of the zone, by polygon and ring.
  constructor(bytes, west, south) {
    const numbers = new Integers(bytes);
    this.polygons = [];
    let x = west, y = south;
    while (numbers.more) {
      const rings = [], box = [Infinity, Infinity, -Infinity, -Infinity];
      for (let left = numbers.next(); left > 0; left--) {
        const corners = new Float64Array(2 * numbers.next());
        const around = [Infinity, Infinity, -Infinity, -Infinity];
        for (let i = 0; i < corners.length; i += 2) {
          x += numbers.signed();
          y += numbers.signed();
          corners[i] = x;
          corners[i + 1] = y;
          if (x < around[0]) around[0] = x;
          if (y < around[1]) around[1] = y;
          if (x > around[2]) around[2] = x;
          if (y > around[3]) around[3] = y;
        }
        corners.extent = Math.max(around[2] - around[0], around[3] - around[1]);
        for (const side of [0, 1]) {
          box[side] = Math.min(box[side], around[side]);
          box[side + 2] = Math.max(box[side + 2], around[side + 2]);
        }
        rings.push(corners);
      }
      this.polygons.push({ rings, box });
    }
  }

  holds(number, x, y) {
    const { rings, box } = this.polygons[number];
    if (x < box[0] || y < box[1] || x > box[2] || y > box[3]) return false;
    let inside = false;
    for (const ring of rings) {
      for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
        if ((ring[i + 1] > y) !== (ring[j + 1] > y) &&
            x < ((ring[j] - ring[i]) * (y - ring[i + 1])) / (ring[j + 1] - ring[i + 1]) + ring[i]) inside = !inside;
      }
    }
    return inside;
  }

  // Add a polygon's rings to the path, without those of less than ``least`` pixels. Returns how many corners that took.
  trace(context, number, west, north, step, least = 3) {
    let count = 0;
    for (const ring of this.polygons[number].rings) {
      if (ring.extent < least * step) continue;
      let lastX = Infinity, lastY = Infinity;
      for (let i = 0; i < ring.length; i += 2) {
        const x = (ring[i] - west) / step, y = (north - ring[i + 1]) / step;
        if (i === 0) context.moveTo(x, y);
        else if (Math.abs(x - lastX) + Math.abs(y - lastY) < 1) continue;
        else context.lineTo(x, y);
        lastX = x;
        lastY = y;
        count += 1;
      }
      context.closePath();
    }
    return count;
  }
}

class Parcels extends Outlines {
  static async from(record, bounds) {
    const parts = await Promise.all(["outlines", "value", "share", "confidence", "pixels"].map((name) => unpacked(record[name])));
    const parcels = new Parcels(parts[0], bounds[0], bounds[1]);
    [parcels.value, parcels.share, parcels.confidence] = parts.slice(1, 4);
    const numbers = new Integers(parts[4]);
    parcels.pixels = Float64Array.from({ length: record.count }, () => numbers.next());
    return parcels;
  }

  // Of those that hold the place the smallest: declared ones may lie in one another. -1 where none does.
  at(x, y) {
    let smallest = -1;
    for (let i = 0; i < this.polygons.length; i++) {
      if (this.holds(i, x, y) && (smallest < 0 || this.pixels[i] < this.pixels[smallest])) smallest = i;
    }
    return smallest;
  }
}
