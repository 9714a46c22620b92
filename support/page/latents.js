// Latent vectors: the random numbers that become digits. Each function returns the same for the same arguments.

const VARIATION = 0.35; // of a hand from one digit to the next: 0 repeats the same seven, 1 changes the hand
const CARE = 0.85; // with 1, a hand writes as carelessly as people do; shorter latent vectors draw clearer digits

// Normal numbers, mean 0 and variance 1, that depend on the seed alone: a Float32Array.
function normalNumbers(seed, count) {
  const uniform = () => {
    // mulberry32: a counter, and its bits well mixed
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), seed | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  // Box and Muller: the direction is uniform, the square of the length exponential.
  return Float32Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// A seed made of a seed and a number.
function foldIn(seed, number) {
  return Math.imul(seed ^ Math.imul(number + 1, 0x9e3779b1), 0x85ebca6b) | 0;
}

// The latent vector that draws the label at `place`: its largest number among the first `choices` is there.
// It and the one that was the largest exchange their values, so the vector stays normally distributed.
function setChoice(latent, place, choices) {
  const changed = latent.slice(), first = latent.subarray(0, choices);
  const largest = first.indexOf(Math.max(...first));
  changed[largest] = latent[place];
  changed[place] = latent[largest];
  return changed;
}

// The latent vector of the digit number `position` that a hand writes. A hand is a seed. All its digits share a latent
// vector, and each adds a little of its own. The squares of these two weights add up to 1, as for a normal number.
function handwritten(hand, position, length) {
  const shared = normalNumbers(hand, length), own = normalNumbers(foldIn(hand, position), length);
  return shared.map((number, i) => CARE * (Math.sqrt(1 - VARIATION ** 2) * number + VARIATION * own[i]));
}

// The latent vector at `part` (0 to 1) of the great circle from `start` to `end` (White 2016). A straight line would
// pass through vectors that are shorter than any the generator saw in training.
function between(start, end, part) {
  const dot = (a, b) => a.reduce((sum, number, i) => sum + number * b[i], 0);
  const cosine = dot(start, end) / Math.sqrt(dot(start, start) * dot(end, end));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const straight = Math.sin(angle) < 1e-6;
  const from = straight ? 1 - part : Math.sin((1 - part) * angle) / Math.sin(angle);
  const to = straight ? part : Math.sin(part * angle) / Math.sin(angle);
  return start.map((number, i) => from * number + to * end[i]);
}
