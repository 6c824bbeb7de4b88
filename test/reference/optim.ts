/**
 * Optimizers by their papers, one scalar parameter at a time, in float64: every quantity under its published name.
 */

/** Adam, Kingma and Ba 2015, algorithm 1, line by line. Returns theta_1 ... theta_T. */
export function adamScalar(
  theta: number,
  gradients: readonly number[],
  { alpha = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, l2 = 0 },
): number[] {
  let m = 0;
  let v = 0;
  const thetas: number[] = [];
  gradients.forEach((gradient, i) => {
    const t = i + 1;
    const g = gradient + l2 * theta;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g ** 2;
    const mHat = m / (1 - Math.pow(beta1, t));
    const vHat = v / (1 - Math.pow(beta2, t));
    theta -= (alpha * mHat) / (Math.sqrt(vHat) + epsilon);
    thetas.push(theta);
  });
  return thetas;
}

/** AdamW, Loshchilov and Hutter 2019, algorithm 2, with schedule multiplier 1 and their lambda = alpha x decay. */
export function adamWScalar(
  theta: number,
  gradients: readonly number[],
  { alpha = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, decay = 0.01 },
): number[] {
  const lambda = alpha * decay;
  let m = 0;
  let v = 0;
  const thetas: number[] = [];
  gradients.forEach((g, i) => {
    const t = i + 1;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g ** 2;
    const mHat = m / (1 - Math.pow(beta1, t));
    const vHat = v / (1 - Math.pow(beta2, t));
    theta -= (alpha * mHat) / (Math.sqrt(vHat) + epsilon) + lambda * theta;
    thetas.push(theta);
  });
  return thetas;
}

/** SGD as documented for torch.optim.SGD (maximize = false, dampening = 0). */
export function sgdScalar(
  theta: number,
  gradients: readonly number[],
  { lr = 0.01, mu = 0, lambda = 0, nesterov = false },
): number[] {
  let b = 0;
  const thetas: number[] = [];
  gradients.forEach((gradient, i) => {
    let g = gradient;
    if (lambda !== 0) g = g + lambda * theta;
    if (mu !== 0) {
      b = i > 0 ? mu * b + g : g;
      g = nesterov ? g + mu * b : b;
    }
    theta = theta - lr * g;
    thetas.push(theta);
  });
  return thetas;
}
