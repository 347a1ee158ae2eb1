// The page: unpack what it holds, build the map, answer clicks and keys.

async function opened(data) {
  const bounds = data.bounds;
  const layers = await Promise.all(data.layers.map((record) => Raster.from(record, bounds)));
  for (const layer of layers.filter((one) => one.classes)) {
    layer.names = new Map(layer.classes.map(([value, name]) => [value, name]));
    layer.colours = new Map(layer.classes.map(([value, , colour]) => [value, colour]));
    layer.marks = { alike: markBits(data.marks.alike), all: markBits(data.marks.all), none: null };
  }
  const classed = layers.filter((layer) => layer.classes);
  let image = null;
  if (data.picture) {
    image = new Image();
    image.src = data.picture.address;
    await image.decode();
  }
  return {
    bounds, epsg: data.epsg, declared: data.declared, layers, image, picture: data.picture,
    crops: classed[0] ?? null, changes: classed[1] ?? null, measured: layers.filter((layer) => !layer.classes),
    area: new Outlines(await unpacked(data.area), bounds[0], bounds[1]),
    parcels: data.parcels ? await Parcels.from(data.parcels, bounds) : null,
    curves: data.curves ? await Curves.from(data.curves) : null,
  };
}

// The season's picture, whole or tile by tile.
function paintPicture({ image, picture, bounds }, context, west, north, step) {
  const metres = picture.metres, edge = picture.edge;
  context.imageSmoothingEnabled = metres / step < 2;
  const draw = (sx, sy, width, height, x, y) => context.drawImage(
    image, sx, sy, width, height, (x - west) / step, (north - y) / step, (width * metres) / step, (height * metres) / step);
  if (!picture.tiles) { draw(0, 0, picture.width, picture.height, bounds[0], bounds[3]); return; }
  picture.tiles.forEach(([row, column], number) => {
    const sx = (number % picture.columns) * edge, sy = Math.floor(number / picture.columns) * edge;
    draw(sx, sy, edge, edge, bounds[0] + column * edge * metres, bounds[3] - row * edge * metres);
  });
}

function paintLines(delivery, switches, place, context, west, north, step, ratio) {
  const right = west + context.canvas.width * step, low = north - context.canvas.height * step;
  const stroke = (style, width) => { context.strokeStyle = style; context.lineWidth = width * ratio; context.stroke(); };
  context.lineJoin = "round";
  if (delivery.parcels && switches.is("parcels")) {
    const near = Math.min(1, 7 / (step * ratio));  // far away lines would hide what they surround
    const drawn = () => {
      stroke(`rgba(255,255,255,${0.5 * near})`, 2.2);
      stroke(`rgba(20,30,24,${0.35 + 0.5 * near})`, 0.5 + 0.5 * near);
      context.beginPath();
    };
    let corners = 0;
    context.beginPath();
    delivery.parcels.polygons.forEach(({ box }, number) => {
      if (box[0] > right || box[2] < west || box[1] > north || box[3] < low || box[2] - box[0] < 6 * step) return;
      corners += delivery.parcels.trace(context, number, west, north, step);
      if (corners > 2000) { drawn(); corners = 0; }  // one path of all takes a browser minutes
    });
    drawn();
  }
  context.beginPath();
  delivery.area.trace(context, 0, west, north, step, 0);
  stroke("rgba(255,255,255,.7)", 3);
  stroke("#1f2a24", 1.3);
  if (!place) return;
  if (place.parcel >= 0) {
    context.beginPath();
    delivery.parcels.trace(context, place.parcel, west, north, step, 0);
    stroke("#ffffff", 5);
    stroke("#0b57d0", 2.6);
  }
  context.beginPath();
  context.arc((place.x - west) / step, (north - place.y) / step, 6 * ratio, 0, 2 * Math.PI);
  stroke("#ffffff", 4);
  stroke("#0b57d0", 2);
}

function build(delivery, root) {
  const [west, south, east, north] = delivery.bounds;
  const map = L.map("map", {
    crs: L.CRS.Simple, attributionControl: false, zoomSnap: 0.25, zoomDelta: 0.75, minZoom: -14, maxZoom: 1, maxBoundsViscosity: 0.8,
    wheelPxPerZoomLevel: 120,
    zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  });
  const everything = L.latLngBounds([south, west], [north, east]);
  map.setMaxBounds(everything.pad(0.6));
  L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
  const said = root.querySelector(".said");
  root.style.setProperty("--said", `${said.offsetHeight}px`);
  const whole = (animate) => map.fitBounds(everything, { animate, paddingTopLeft: [12, 12], paddingBottomRight: [12, said.offsetHeight + 6] });
  whole(false);
  map.setMinZoom(map.getZoom() - 1);
  let place = null;
  const pane = (name, order) => { map.createPane(name).style.zIndex = order; return { pane: name, padding: 0.15 }; };
  const ground = new CanvasLayer((context, x, y, step) => {
    context.beginPath();
    delivery.area.trace(context, 0, x, y, step, 0);
    context.fillStyle = "#c3c8c5";
    context.fill();
    if (delivery.image && switches.is("picture")) paintPicture(delivery, context, x, y, step);
  }, pane("ground", 210));
  const pixels = new CanvasLayer((context, x, y, step) => {
    const { colours, darker, marks } = switches.palette();
    switches.layer.paint(context, x, y, step, colours, darker, marks);
  }, pane("pixels", 220));
  const lines = new CanvasLayer((context, x, y, step, ratio) => paintLines(delivery, switches, place, context, x, y, step, ratio), pane("lines", 230));
  const layers = [ground, pixels, lines];
  const redraw = () => {
    map.getPane("pixels").style.opacity = switches.opacity;
    root.querySelector("#opacity-value").textContent = `${Math.round(100 * switches.opacity)} %`;
    layers.forEach((layer) => layer.redraw());
    switches.paintSwatches(root);
  };
  const switches = new Switches(root, delivery, redraw);
  layers.forEach((layer) => layer.addTo(map));
  redraw();

  const read = (at) => {
    place = new Place(delivery, at.lng, at.lat);
    place.show(root.querySelector("#place"), root.querySelector("#status"));
    lines.redraw();
  };
  map.on("click", (event) => read(event.latlng));
  const box = map.getContainer();
  // The cross in the middle is for those who use keys.
  const keyed = (on) => box.classList.toggle("keyed", on);
  box.addEventListener("focus", () => keyed(!pressed));
  box.addEventListener("blur", () => keyed(false));
  let pressed = false;
  addEventListener("pointerdown", () => { pressed = true; keyed(false); }, true);
  addEventListener("keydown", () => { pressed = false; keyed(document.activeElement === box); }, true);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== box) return;
    event.preventDefault();
    read(map.getCenter());
  });
  document.getElementById("whole").addEventListener("click", () => whole(true));
  new ResizeObserver(() => {
    root.style.setProperty("--said", `${said.offsetHeight}px`);
    map.invalidateSize({ animate: false });
  }).observe(box);
  forPrint(map, switches, redraw);
  document.documentElement.dataset.map = "ready";
}

// On paper: marks that tell classes apart without colour, all that is folded open, and a map of the paper's size.
function forPrint(map, switches, redraw) {
  let folded = [];
  const turn = (printing) => {
    const view = map.getBounds();
    switches.printing = printing;
    document.documentElement.classList.toggle("printing", printing);
    if (printing) folded = [...document.querySelectorAll("main details:not([open])")];
    folded.forEach((one) => { one.open = printing; });
    map.invalidateSize({ animate: false, pan: false });
    map.fitBounds(view, { animate: false });
    redraw();
  };
  addEventListener("beforeprint", () => turn(true));
  addEventListener("afterprint", () => turn(false));
}

async function start() {
  const data = document.getElementById("map-data");
  if (!data) return;
  const trouble = document.getElementById("trouble");
  if (typeof DecompressionStream === "undefined") {
    trouble.textContent = "This browser can't unpack the map (it lacks DecompressionStream; browsers since 2023 have it): " +
      "map, legend switches and curves are missing here. The picture overview.png beside this page shows the map.";
    trouble.hidden = false;
    document.documentElement.dataset.map = "missing";
    return;
  }
  try {
    build(await opened(JSON.parse(data.textContent)), document.getElementById("delivery"));
  } catch (error) {
    trouble.textContent = `The map can't be shown (${error.message}). The picture overview.png beside this page shows it.`;
    trouble.hidden = false;
    document.documentElement.dataset.map = "missing";
    throw error;
  }
}

start();
