// Latent vectors: the random numbers that become digits. Each function returns the same for the same arguments.

const VARIATION = 0.3; // angle, in radians, between the style of a hand and the latent vector of a digit of it
const CARE = 0.85; // factor of a hand's latent vectors: shorter ones draw clearer digits, but fewer different ones
const MARGIN = 0.01; // between the largest of the numbers that make a choice and the next, so that two do not mix

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
  const first = latent.subarray(0, choices), high = Math.max(...first), changed = latent.slice();
  changed[first.indexOf(high)] = latent[place];
  changed[place] = high;
  return changed.map((number, i) => (i < choices && i !== place ? Math.min(number, high - MARGIN) : number));
}

// The latent vector of the digit number `position` that a hand writes. A hand is a seed. All its digits share a latent
// vector, their style, and each adds a little of its own.
function handwritten(hand, position, length) {
  const style = normalNumbers(hand, length), own = normalNumbers(foldIn(hand, position), length);
  return style.map((number, i) => CARE * (Math.cos(VARIATION) * number + Math.sin(VARIATION) * own[i]));
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
