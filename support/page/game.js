// "Can you tell?" and "Watch it learn".

const ROUND = 10; // digits in a round
const real = readReal(find("real").textContent); // images of MNIST; none if the page has none
const epochs = JSON.parse(find("epochs").textContent); // pictures of the run
let isDrawn = []; // for each digit of the round: did the network draw it? Otherwise a person wrote it.
let answered = false; // is the answer of this round shown?
let right = 0, all = 0; // digits in all rounds
let playing; // the timer of the animation

// Images in bytes, [28, 28] each, from base64.
function readReal(text) {
  const bytes = readBytes(text), size = SIDE * SIDE;
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

function randomBelow(limit) {
  return Math.floor(Math.random() * limit);
}

// New digits. Each is drawn with a probability of a half, whatever the others are, so somebody who guesses gets half of
// all digits right.
function startRound() {
  isDrawn = Array.from({ length: ROUND }, () => Math.random() < 0.5);
  answered = false;
  const latents = isDrawn.map(() => normalNumbers(newSeed(), network.latent));
  const drawn = drawEach(latents.map((latent) => labelled(latent, randomBelow(labels.length))));
  const order = [...real.keys()].sort(() => Math.random() - 0.5);
  cards().forEach((card, i) => {
    show(card.querySelector("canvas"), [isDrawn[i] ? drawn[i] : real[order[i]]], 1);
    card.setAttribute("aria-pressed", "false");
    label(card, i, "");
  });
  find("answer").textContent = "Show the answer";
}

function cards() {
  return [...find("cards").children];
}

// What is written under a digit, and read aloud.
function label(card, i, verdict) {
  card.querySelector("span").textContent = verdict;
  card.setAttribute("aria-label", `digit ${i + 1} of ${ROUND}${verdict && ": " + verdict.replace("\n", " ")}`);
}

// Shows who made each digit, and counts.
function showAnswer() {
  answered = true;
  const isRight = cards().map((card, i) => (card.getAttribute("aria-pressed") === "true") === isDrawn[i]);
  cards().forEach((card, i) => label(card, i, `${isDrawn[i] ? "network" : "person"}\n${isRight[i] ? "✓ right" : "✗ wrong"}`));
  const now = isRight.filter(Boolean).length;
  right += now;
  all += ROUND;
  const percent = 100 * chance(right, all), rounded = percent < 0.1 ? "less than 0.1" : percent.toFixed(1);
  find("score").textContent = `${now} of ${ROUND} right. In all rounds: ${right} of ${all}. ` +
    `By guessing alone, ${rounded} % of all people would get ${right} or more right.`;
  find("answer").textContent = "Next ten digits";
}

// The probability that `right` or more of `all` guesses are right, each with a probability of a half.
function chance(right, all) {
  let probability = 0.5 ** all, sum = 0;
  for (let number = 0; number <= all; number++) {
    if (number >= right) sum += probability;
    probability *= (all - number) / (number + 1);
  }
  return Math.min(sum, 1);
}

function showEpoch() {
  const { epoch, png } = epochs[find("epoch").value];
  find("epoch-picture").src = `data:image/png;base64,${png}`;
  find("epoch-picture").alt = find("epoch-note").textContent = `After epoch ${epoch} of ${epochs.at(-1).epoch}`;
}

// Plays the epochs from the first to the last, or stops.
function play() {
  if (playing) return stop();
  const slider = find("epoch");
  if (slider.value === slider.max) slider.value = 0;
  else slider.stepUp();
  showEpoch();
  find("play").textContent = "Stop";
  playing = setInterval(() => {
    if (slider.value === slider.max) return stop();
    slider.stepUp();
    showEpoch();
  }, 800);
}

function stop() {
  clearInterval(playing);
  playing = undefined;
  find("play").textContent = "Play";
}

function startGame() {
  if (real.length) {
    find("game").hidden = false;
    for (let i = 0; i < ROUND; i++) {
      const card = Object.assign(document.createElement("button"), { type: "button", className: "card" });
      card.append(document.createElement("canvas"), document.createElement("span"));
      const pressed = () => card.getAttribute("aria-pressed") === "true";
      card.addEventListener("click", () => answered || card.setAttribute("aria-pressed", !pressed()));
      find("cards").append(card);
    }
    listen("answer", "click", () => (answered ? startRound() : showAnswer()));
    startRound();
  }
  if (epochs.length) {
    find("learning").hidden = false;
    find("epoch").max = epochs.length - 1;
    find("epoch").value = epochs.length - 1;
    listen("epoch", "input", showEpoch);
    listen("play", "click", play);
    showEpoch();
  }
}

startGame();
