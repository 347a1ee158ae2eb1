// The pixels of one product, as they are: the bands of WANTED.bands in their order, dataMask last.
//
// Sent behind `//VERSION=3` and a line that defines WANTED:
//   bands, units: of the input, as long as one another; paths: texts that the path of the product's tile holds, in either
//   way that deployments lay out their archive; product: a text that only the path of this very product may hold.
// Plain JavaScript without regular expressions: the service's engine doesn't read all of them.

function setup() {
  return {
    input: [{ bands: WANTED.bands, units: WANTED.units }],
    output: { id: "default", bands: WANTED.bands.length, sampleType: "UINT16" },
    mosaicking: "TILE"
  };
}

function holds(tile, text) {
  return String(tile.dataPath).indexOf(text) >= 0;
}

// Of all that was sensed within the time range only this tile, its own product first: another one of the same tile and
// time is its other half where a datastrip ends, or another version. Where no path names a tile at all, the datatake's
// mosaic: the same pixels but where tiles overlap.
function preProcessScenes(collections) {
  var tiles = collections.scenes.tiles;
  var named = tiles.filter(function (tile) { return holds(tile, "_T") || holds(tile, "tiles/"); });
  var own = tiles.filter(function (tile) {
    return WANTED.paths.some(function (text) { return holds(tile, text); });
  });
  if (named.length === 0 || WANTED.paths.length === 0) {
    own = tiles;
  }
  var first = own.filter(function (tile) { return holds(tile, WANTED.product); });
  var others = own.filter(function (tile) { return !holds(tile, WANTED.product); });
  collections.scenes.tiles = first.concat(others);
  return collections;
}

function evaluatePixel(samples) {
  for (var i = 0; i < samples.length; i++) {
    if (samples[i].dataMask === 1) {
      return WANTED.bands.map(function (band) { return samples[i][band]; });
    }
  }
  return WANTED.bands.map(function () { return 0; });
}
