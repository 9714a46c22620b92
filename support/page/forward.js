// The forward pass of the generator: from latent vectors to images, as Keras computes it.
//
// A value is a Float32Array: the numbers of n vectors or n images, one after the other, channels fastest, as in Keras.
// A reshape changes none of them, so it is no step. After training, batch norm is a scale and a shift. A bias is, too.

const LAYERS = {
  // Each unit has a row of the kernel: its output is the dot product of this row and the input.
  dense: (step, [input]) => product(input, step.kernel.values, step.kernel.shape[1]),

  // Each pixel of the input becomes a patch as large as the kernel. Patches of neighbours are `strides` pixels apart.
  // Where patches overlap, they add up. What lies outside the image is cut off.
  transposedConvolution(step, [input]) {
    const [rows, columns, channels, inner] = step.kernel.shape;
    const [inHeight, inWidth] = step.from, [height, width] = step.to;
    const patches = product(input, step.kernel.values, inner);
    const images = input.length / (inHeight * inWidth * inner);
    const output = new Float32Array(images * height * width * channels);
    let at = 0; // in patches
    for (let image = 0; image < images; image++)
      for (let y = 0; y < inHeight; y++)
        for (let x = 0; x < inWidth; x++)
          for (let row = 0; row < rows; row++)
            for (let column = 0; column < columns; column++, at += channels) {
              const top = y * step.strides[0] + row - step.cut[0];
              const left = x * step.strides[1] + column - step.cut[1];
              if (top < 0 || top >= height || left < 0 || left >= width) continue;
              const to = ((image * height + top) * width + left) * channels;
              for (let channel = 0; channel < channels; channel++) output[to + channel] += patches[at + channel];
            }
    return output;
  },

  scaleAndShift(step, [input]) {
    const output = new Float32Array(input.length), scale = step.scale.values, shift = step.shift.values;
    for (let i = 0; i < input.length; )
      for (let channel = 0; channel < scale.length; channel++, i++)
        output[i] = input[i] * scale[channel] + shift[channel];
    return output;
  },

  leakyRelu: (step, [input]) => input.map((x) => (x < 0 ? x * step.slope : x)),
  tanh: (step, [input]) => input.map(Math.tanh),
  sigmoid: (step, [input]) => input.map((x) => 1 / (1 + Math.exp(-x))),

  softmax(step, [input]) {
    const output = new Float32Array(input.length);
    for (let start = 0; start < input.length; start += step.channels) {
      const row = input.subarray(start, start + step.channels), largest = Math.max(...row);
      const powers = Array.from(row, (x) => Math.exp(x - largest)), sum = powers.reduce((a, b) => a + b);
      output.set(powers.map((power) => power / sum), start);
    }
    return output;
  },

  concatenate(step, inputs) {
    const output = new Float32Array(inputs.reduce((sum, input) => sum + input.length, 0));
    for (let row = 0, to = 0; to < output.length; row++)
      step.channels.forEach((channels, i) => {
        output.set(inputs[i].subarray(row * channels, (row + 1) * channels), to);
        to += channels;
      });
    return output;
  },
};

// The dot product of each row of `left` with each row of `right`, [rows of left, rows of right]. length: of a row.
// Nearly all the time goes here. Four rows and two rows at a time: each number that is loaded is used several times.
function product(left, right, length) {
  const rows = left.length / length, columns = right.length / length;
  const output = new Float32Array(rows * columns);
  const put = (row, column, sum) => {
    if (row < rows && column < columns) output[row * columns + column] = sum;
  };
  for (let column = 0; column < columns; column += 2)
    for (let row = 0; row < rows; row += 4) {
      // Where each row starts. After the last row, the last one is used again, and `put` drops the result.
      const a = row * length, b = Math.min(row + 1, rows - 1) * length;
      const c = Math.min(row + 2, rows - 1) * length, d = Math.min(row + 3, rows - 1) * length;
      const p = column * length, q = Math.min(column + 1, columns - 1) * length;
      let ap = 0, aq = 0, bp = 0, bq = 0, cp = 0, cq = 0, dp = 0, dq = 0;
      for (let i = 0; i < length; i++) {
        const x = right[p + i], y = right[q + i];
        const e = left[a + i], f = left[b + i], g = left[c + i], h = left[d + i];
        ap += e * x, aq += e * y, bp += f * x, bq += f * y, cp += g * x, cq += g * y, dp += h * x, dq += h * y;
      }
      put(row, column, ap), put(row, column + 1, aq), put(row + 1, column, bp), put(row + 1, column + 1, bq);
      put(row + 2, column, cp), put(row + 2, column + 1, cq), put(row + 3, column, dp), put(row + 3, column + 1, dq);
    }
  return output;
}

// Images in bytes, 0 (background) to 255 (ink), [n, 28, 28], from latent vectors, [n, network.latent].
function draw(network, latents) {
  const values = [latents];
  for (const step of network.steps) values.push(LAYERS[step.kind](step, step.inputs.map((place) => values[place])));
  // A Uint8ClampedArray rounds, and clips to 0 and 255.
  return Uint8ClampedArray.from(values[network.output], (x) => x * 127.5 + 127.5);
}

// The bytes that a text in base64 encodes.
function readBytes(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// The network with its numbers in place. text: the numbers, in base64.
function readNetwork(network, text) {
  const bytes = readBytes(text);
  const halves = Float32Array.from({ length: 1 << 16 }, (_, bits) => fromHalf(bits));
  const read = (setting) => {
    if (setting.start === undefined) return setting;
    const { shape, type, start } = setting, count = shape.reduce((a, b) => a * b);
    if (type === "float32") return { shape, values: new Float32Array(bytes.buffer, start, count) };
    return { shape, values: Float32Array.from(new Uint16Array(bytes.buffer, start, count), (bits) => halves[bits]) };
  };
  const steps = network.steps.map((step) =>
    Object.fromEntries(Object.entries(step).map(([name, setting]) => [name, read(setting)])));
  return { ...network, steps };
}

// The number that 16 bits encode as a float16: a sign, 5 bits of exponent, 10 bits of fraction.
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}
