// A layer of the map that is one canvas as large as the view, painted anew after each move.

const CanvasLayer = L.Renderer.extend({
  // ``paint(context, west, north, step)``: metres of the canvas' upper left corner, and metres a pixel of it.
  initialize(paint, options) {
    this._paint = paint;
    L.Renderer.prototype.initialize.call(this, options);
  },
  _initContainer() {
    this._container = document.createElement("canvas");
    this._context = this._container.getContext("2d");
    this._container.setAttribute("aria-hidden", "true");
  },
  _destroyContainer() {
    L.DomUtil.remove(this._container);
    this._container = null;
  },
  _updatePaths() {},
  _update() {
    if (this._map._animatingZoom && this._bounds) return;
    L.Renderer.prototype._update.call(this);
    const size = this._bounds.getSize();
    const ratio = window.devicePixelRatio || 1;
    L.DomUtil.setPosition(this._container, this._bounds.min);
    this._container.width = Math.round(size.x * ratio);
    this._container.height = Math.round(size.y * ratio);
    this._container.style.width = `${size.x}px`;
    this._container.style.height = `${size.y}px`;
    this.redraw();
  },
  redraw() {
    if (!this._container) return;
    const ratio = window.devicePixelRatio || 1;
    const corner = this._map.layerPointToLatLng(this._bounds.min);
    const step = 1 / (this._map.options.crs.scale(this._map.getZoom()) * ratio);
    this._context.clearRect(0, 0, this._container.width, this._container.height);
    this._paint(this._context, corner.lng, corner.lat, step, ratio);
  },
});
