// Reads the input, draws, and shows the digits.

const SIDE = 28; // pixels of a digit
const SCALE = 4; // of the canvas, and of the PNG
const PITCH = 21; // pixels from one digit to the next in a line of handwriting: digits are at most 20 wide
const PART = 10; // digits that are drawn at a time; in between, the page answers

const find = (id) => document.getElementById(id);
const network = readNetwork(JSON.parse(find("network").textContent), find("weights").textContent);
const labels = network.labels; // what the generator can be asked for, in ascending order
const DIGITS = labels.every((label) => label < 10); // so that 26 is a two and a six
const shown = new Map(); // what each canvas shows
let hand = newSeed(); // who writes
let walk; // two latent vectors
let drawing; // the seed of the 100 digits

function newSeed() {
  return crypto.getRandomValues(new Int32Array(1))[0];
}

// The images of some latent vectors: a list of bytes, [28, 28] each.
function drawEach(latents) {
  const all = new Float32Array(latents.length * network.latent);
  latents.forEach((latent, i) => all.set(latent, i * network.latent));
  const pixels = draw(network, all);
  return latents.map((_, i) => pixels.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE));
}

// Shows images in rows of `columns`, in the colours of the page. An image that is undefined leaves a gap.
function show(canvas, images, columns, pitch = SIDE) {
  shown.set(canvas, [images, columns, pitch]);
  const width = (columns - 1) * pitch + SIDE, height = Math.ceil(images.length / columns) * SIDE;
  const ink = new Uint8Array(width * height);
  images.forEach((image, i) => image?.forEach((value, pixel) => {
    const x = (i % columns) * pitch + (pixel % SIDE), y = Math.floor(i / columns) * SIDE + Math.floor(pixel / SIDE);
    ink[y * width + x] = Math.max(ink[y * width + x], value); // where digits overlap, both show
  }));
  const colours = palette(canvas), picture = new ImageData(width, height);
  new Uint32Array(picture.data.buffer).set(Uint32Array.from(ink, (value) => colours[value]));
  const small = Object.assign(document.createElement("canvas"), { width, height });
  small.getContext("2d").putImageData(picture, 0, 0);
  canvas.width = SCALE * width;
  canvas.height = SCALE * height;
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// The 256 colours from an element's background (0) to its text colour (255), each 32 bits, as ImageData has them.
function palette(element) {
  const style = getComputedStyle(element), bytes = new Uint8ClampedArray(4 * 256).fill(255);
  const [paper, pen] = [style.backgroundColor, style.color].map((colour) => colour.match(/\d+/g).map(Number));
  for (let value = 0; value < 256; value++)
    for (let c = 0; c < 3; c++) bytes[4 * value + c] = paper[c] + ((pen[c] - paper[c]) * value) / 255;
  return new Uint32Array(bytes.buffer);
}

// Shows 100 new digits, row by row. A generator with labels draws them in turn. Pressed again, it starts again.
async function drawDigits() {
  const seed = (drawing = newSeed()), canvas = find("digits"), images = Array(100), start = performance.now();
  for (let first = 0; first < images.length; first += PART) {
    const numbers = Array.from({ length: PART }, (_, i) => first + i);
    drawEach(numbers.map((i) => labelled(normalNumbers(foldIn(seed, i), network.latent), i % labels.length)))
      .forEach((image, i) => (images[first + i] = image));
    show(canvas, images, 10);
    await new Promise((resolve) => setTimeout(resolve));
    if (drawing !== seed) return;
  }
  find("digits-note").textContent = `Drawn in ${((performance.now() - start) / 1000).toFixed(1)} seconds.`;
}

// The latent vector, changed to draw the label at `place`, if the generator has labels.
function labelled(latent, place) {
  return labels.length ? setChoice(latent, place, labels.length) : latent;
}

// The places in `labels` of what was typed: undefined for a space, -1 for what the generator cannot draw.
function readLabels(text) {
  const words = DIGITS ? [...text] : text.split(/[\s,]+/).filter(Boolean);
  return words.map((word) => (word.trim() ? labels.findIndex((label) => String(label) === word) : undefined));
}

// Shows the number that was typed. A digit that stays at its position stays as it is.
function write() {
  const canvas = find("written"), asked = readLabels(find("text").value);
  const places = asked.filter((place) => place !== -1), images = Array(places.length || 1);
  const positions = [...places.keys()].filter((i) => places[i] !== undefined);
  const latents = positions.map((i) => labelled(handwritten(hand, i, network.latent), places[i]));
  drawEach(latents).forEach((image, i) => (images[positions[i]] = image));
  const fitting = Math.max(6, Math.min(20, Math.floor(canvas.parentElement.clientWidth / 36)));
  show(canvas, images, Math.min(fitting, images.length), PITCH);
  canvas.setAttribute("aria-label", `${positions.map((i) => labels[places[i]]).join(" ")} in handwriting`);
  find("text-note").textContent = asked.includes(-1) ? `This network can write only ${labels.join(", ")}.` : "";
}

// Two new latent vectors for the walk.
function startWalk() {
  walk = [newSeed(), newSeed()].map((seed) => normalNumbers(seed, network.latent));
  showWalk();
}

// Shows both ends of the walk, and the digit at the slider's position between them.
function showWalk() {
  const part = find("part").value / 100, [from, to] = ["start", "end"].map((id) => Number(find(id).value));
  const [start, end] = [labelled(walk[0], from), labelled(walk[1], to)];
  // The choice of a label cannot be half of one and half of another: it changes in the middle.
  const middle = labelled(between(start, end, part), part < 0.5 ? from : to);
  show(find("walk"), drawEach([start, middle, end]), 3);
  find("walk").setAttribute("aria-label", `two handwritten digits, and a third at ${find("part").value} % of the way`);
}

// Saves what a canvas shows.
function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

function listen(id, event, action) {
  find(id).addEventListener(event, action);
}

function start() {
  if (labels.length) {
    find("writing").hidden = find("ends").hidden = false;
    find("text").inputMode = DIGITS ? "numeric" : "text";
    find("text").value = labels.length === 10 && DIGITS ? "2026" : labels.slice(0, 4).join(DIGITS ? "" : " ");
    for (const id of ["start", "end"]) labels.forEach((label, place) => find(id).add(new Option(label, place)));
    find("end").selectedIndex = labels.length - 1;
    write();
  }
  listen("text", "input", write);
  listen("write-again", "click", () => ((hand = newSeed()), write()));
  listen("save-writing", "click", () => save(find("written"), find("text").value.replace(/[^0-9]+/g, "_") || "digits"));
  listen("draw-again", "click", drawDigits);
  listen("save-digits", "click", () => save(find("digits"), "digits"));
  listen("part", "input", showWalk);
  listen("start", "change", showWalk);
  listen("end", "change", showWalk);
  listen("walk-again", "click", startWalk);
  listen("save-walk", "click", () => save(find("walk"), "walk"));
  const repaint = () => shown.forEach((images, canvas) => show(canvas, ...images));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  startWalk();
  drawDigits();
}

start();
