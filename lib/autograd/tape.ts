/**
 * The tape: how ops are recorded, and how gradients flow back.
 *
 * An op calls `apply`. Its `forward` computes the outputs; if any input requires a gradient (and `noGrad` is not on), a
 * node is recorded: the op's name, its inputs, and its `backward`, which turns gradients of the outputs into gradients of
 * the inputs. Nodes are numbered as they are made, so a node's number is above those of all nodes it depends on: the
 * backward pass visits the nodes that the output depends on by falling number, and has then, at every node, the whole
 * gradient of its outputs. Sums of gradients are formed in that order, on one thread: the bits of a gradient depend on
 * nothing else.
 *
 *   export const square = (x: Tensor): Tensor =>
 *     apply({
 *       name: 'square',
 *       inputs: [x],
 *       forward: () => { const y = empty(x.shape, x.dtype); ...; return y; },
 *       backward: ([g]) => [mul(mul(g, x), 2)],
 *     });
 *
 * Rules for ops: `forward` and `backward` run without recording, so both may call other ops. What `backward` needs beside
 * inputs and outputs goes through `context.save`, and is released when the backward pass is over. A gradient has the
 * shape and type of its input; undefined stands for zero. An input's gradient may be one of the given ones, or share its
 * memory (`share`): the tape counts who looks at a buffer.
 */
import * as check from '../check.js';
import { TapeError } from './errors.js';
import { addInPlace, binary, copyOf, zerosLike } from './kernels.js';
import { timed } from './profile.js';
import {
  empty,
  requireTensor,
  sameShape,
  share,
  shapeText,
  Tensor,
  tensorsIn,
  tensorsMade,
} from './tensor.js';

/** What an op's two halves share. */
export interface OpContext {
  /** Which inputs want a gradient. */
  readonly needs: readonly boolean[];
  /** Whether a backward pass may follow: what only it needs is not worth computing otherwise. */
  readonly recording: boolean;
  /** Keeps a tensor (or lists, objects of them) until the backward pass is over, and returns it. */
  save<T>(value: T): T;
}

/** Gradients by position; undefined stands for zero. */
export type Gradients = readonly (Tensor | undefined)[];

/** An op as `apply` takes it. */
export interface Operation<R extends Tensor | readonly Tensor[]> {
  name: string;
  inputs: readonly Tensor[];
  forward: (context: OpContext) => R;
  /** Gradients of the inputs from those of the outputs (undefined: none reached that output). Absent: has no gradient. */
  backward?: (gradients: Gradients, context: OpContext) => Gradients;
}

let nodes = 0;

/** Releases the tensors in a value that were made after `since`, except those listed. */
function releaseMade(value: unknown, since: number, except: readonly Tensor[]): void {
  for (const each of tensorsIn(value)) if (each.serial > since && !except.includes(each)) each.release();
}

/** One recorded op. @internal */
export class Node implements OpContext {
  readonly number = ++nodes;
  readonly recording = true;
  outputs: readonly Tensor[] = [];
  released = false;
  readonly needs: readonly boolean[];
  readonly since = tensorsMade();
  #saved: unknown[] = [];

  constructor(
    readonly name: string,
    public inputs: readonly Tensor[],
    public backward: Operation<Tensor>['backward'],
  ) {
    this.needs = inputs.map((each) => each.requiresGrad);
  }

  save<T>(value: T): T {
    this.#saved.push(value);
    return value;
  }

  /** What it needs to stay in memory. */
  tensors(): Set<Tensor> {
    return tensorsIn([this.inputs, this.outputs, this.#saved]);
  }

  /** Forgets all but its name; what its forward made and saved goes back to the pool. */
  release(): void {
    releaseMade(this.#saved, this.since, this.outputs);
    this.#saved = [];
    this.inputs = [];
    this.outputs = [];
    this.backward = undefined;
    this.released = true;
  }
}

let recordingOn = true;

/** Runs a function with recording on or off. */
function withRecording<T>(on: boolean, fn: () => T): T {
  const before = recordingOn;
  recordingOn = on;
  try {
    return fn();
  } finally {
    recordingOn = before;
  }
}

/** Runs a caller's function, which must have done its work when it returns: a setting does not reach past an await. */
function synchronous<T>(on: boolean, fn: () => T): T {
  const result = withRecording(on, fn);
  if (result instanceof Promise) throw check.typeError('fn', 'a function that is not asynchronous', result);
  return result;
}

/**
 * Runs a function without recording: its results have no history and need no memory for one.
 *
 * @param fn not asynchronous
 */
export const noGrad = <T>(fn: () => T): T => synchronous(false, fn);

/**
 * Runs a function with recording, inside `noGrad` or an op too.
 *
 * @param fn not asynchronous
 */
export const enableGrad = <T>(fn: () => T): T => synchronous(true, fn);

/** Whether ops are recorded at the moment. */
export const isGradEnabled = (): boolean => recordingOn;

const NOTHING: OpContext = { needs: [], recording: false, save: (value) => value };

/** Runs an op and records it: see the head of this file. */
export function apply<R extends Tensor | readonly Tensor[]>(op: Operation<R>): R {
  const wanted = recordingOn && op.inputs.some((each) => each.requiresGrad);
  const since = tensorsMade();
  if (!wanted) {
    const unwanted: unknown[] = [];
    const context = { ...NOTHING, save: <T>(value: T): T => (unwanted.push(value), value) };
    const result = noGrad(() => timed(op.name, () => op.forward(context)));
    releaseMade(unwanted, since, result instanceof Tensor ? [result] : result);
    return result;
  }
  const node = new Node(op.name, op.inputs, op.backward);
  const results = noGrad(() => timed(op.name, () => op.forward(node)));
  // An op may hand on what it was given: the output is a tensor of its own.
  const own = (each: Tensor): Tensor => (each.serial <= since ? share(each) : each);
  const result = (results instanceof Tensor ? own(results) : results.map(own)) as R;
  node.outputs = result instanceof Tensor ? [result] : result;
  node.outputs.forEach((each, i) => {
    each.node = node;
    each.index = i;
  });
  return result;
}

/** The nodes that a node depends on, itself included, by falling number. */
function history(last: Node): Node[] {
  const found = new Set([last]);
  for (const node of found) for (const { node: before } of node.inputs) if (before) found.add(before);
  return [...found].sort((a, b) => b.number - a.number);
}

/** What may be asked of a backward pass. */
export interface BackwardOptions {
  /** Gradient of the output, of its shape; default 1, for an output of one element. */
  gradient?: Tensor;
  /** Keeps the graph for another pass; default false. */
  retainGraph?: boolean;
}

/** Sums that grow, by who they are for: the engine of `backward` and `grad`. */
class Sums<K> {
  readonly of = new Map<K, Tensor>();

  /** Adds a gradient, whose handle becomes this object's own. */
  add(key: K, gradient: Tensor): void {
    const before = this.of.get(key);
    if (before === undefined) {
      this.of.set(key, gradient);
    } else if (before.storage.uses === 1) {
      addInPlace(before, gradient);
      gradient.release();
    } else {
      this.of.set(key, binary('add', before, gradient));
      before.release();
      gradient.release();
    }
  }

  /** Takes a sum out. */
  take(key: K): Tensor | undefined {
    const found = this.of.get(key);
    this.of.delete(key);
    return found;
  }
}

function seedOf(output: Tensor, gradient: Tensor | undefined): Tensor {
  if (gradient === undefined) {
    if (output.size !== 1)
      throw check.rangeError(
        'gradient',
        'given for an output of more than one element',
        `shape ${shapeText(output.shape)}`,
      );
    const seed = empty(output.shape, output.dtype);
    seed.data[0] = 1;
    return seed;
  }
  requireTensor('gradient', gradient, output.dtype);
  if (!sameShape(gradient.shape, output.shape))
    throw check.rangeError(
      'gradient',
      `of the output's shape ${shapeText(output.shape)}`,
      shapeText(gradient.shape),
    );
  return share(gradient);
}

/** The tensor if nothing else looks at its memory, else a copy. */
function exclusive(sum: Tensor): Tensor {
  if (sum.storage.uses === 1) return sum;
  const copy = copyOf(sum);
  sum.release();
  return copy;
}

/** Runs an op's backward and checks what it gives. */
function gradientsOf(node: Node, gradients: Gradients): Gradients {
  if (node.backward === undefined)
    throw new TapeError('ERR_NO_GRADIENT', `a gradient was asked through '${node.name}', which has none`);
  const results = timed(`${node.name} backward`, () => node.backward?.(gradients, node)) ?? [];
  node.inputs.forEach((input, i) => {
    const result = results[i];
    if (
      result !== undefined &&
      node.needs[i] &&
      (result.dtype !== input.dtype || !sameShape(result.shape, input.shape))
    )
      throw check.rangeError(
        `gradient ${i} of ${node.name}`,
        `of its input's shape ${shapeText(input.shape)} and type '${input.dtype}'`,
        `shape ${shapeText(result.shape)} and type '${result.dtype}'`,
      );
  });
  return results;
}

/** Carries gradients from an output to leaves and to `targets`; returns the sums of those that were asked for. */
function flow(output: Tensor, o: BackwardOptions, targets?: ReadonlySet<Tensor>): Sums<Tensor> {
  const reached = new Sums<Tensor>();
  const seed = seedOf(output, o.gradient);
  const last = output.node;
  if (last === undefined) {
    reached.add(output, seed);
    return reached;
  }
  const order = history(last);
  // Where gradients are for some tensors only, the nodes that none of them feeds are left out.
  let wanted: Set<Node> | undefined;
  if (targets !== undefined) {
    wanted = new Set();
    for (const node of [...order].reverse())
      if (node.inputs.some((each) => targets.has(each) || (each.node && wanted?.has(each.node))))
        wanted.add(node);
  }
  const released = order.find((node) => node.released);
  if (released !== undefined)
    throw new TapeError(
      'ERR_GRAPH_RELEASED',
      `the graph behind '${released.name}' was released by an earlier backward pass (retainGraph keeps it)`,
    );

  const pending = new Sums<Tensor>();
  pending.add(output, seed);
  noGrad(() => {
    for (const node of order) {
      const gradients = node.outputs.map((each) => pending.take(each));
      node.outputs.forEach((each, i) => {
        const gradient = gradients[i];
        if (gradient !== undefined && targets?.has(each)) reached.add(each, share(gradient));
      });
      if (gradients.some((each) => each !== undefined) && (wanted?.has(node) ?? true)) {
        const results = gradientsOf(node, gradients);
        const handed = new Set<Tensor | undefined>(gradients);
        node.inputs.forEach((input, i) => {
          const result = results[i];
          if (result === undefined || !node.needs[i]) return;
          const mine = handed.has(result) ? share(result) : result;
          handed.add(mine);
          if (input.node !== undefined) pending.add(input, mine);
          else if (targets?.has(input) ?? true) reached.add(input, mine);
          else mine.release();
        });
        for (const each of results) if (each !== undefined && !handed.has(each)) each.release();
      }
      for (const each of gradients) each?.release();
    }
  });
  if (!o.retainGraph) for (const node of order) node.release();
  return reached;
}

/**
 * Adds d output / d leaf to `grad` of every leaf that requires a gradient and that the output depends on. The buffers that
 * the graph saved are released: a second pass through it is a TapeError (ERR_GRAPH_RELEASED), unless `retainGraph` is set.
 *
 * @param output one element, or of any shape with `gradient`
 * @param gradient gradient of the output, of its shape: the pass gives the product with it
 * @throws TapeError ERR_NO_GRAPH, ERR_NO_GRADIENT (naming the op), ERR_GRAPH_RELEASED
 */
export function backward(
  output: Tensor,
  gradient?: Tensor,
  options?: Omit<BackwardOptions, 'gradient'>,
): void {
  requireTensor('output', output);
  const o = check.options(options);
  if (!output.requiresGrad)
    throw new TapeError('ERR_NO_GRAPH', 'the output does not depend on a tensor that requires a gradient');
  for (const [leaf, sum] of flow(output, { ...o, gradient }).of) {
    if (leaf.grad === undefined || leaf.grad.released) {
      leaf.grad = exclusive(sum);
      leaf.grad.held = true;
    } else {
      addInPlace(leaf.grad, sum);
      sum.release();
    }
  }
}

/** Options of grad. */
export interface GradOptions extends BackwardOptions {
  /** Gives zeros for an input that the output does not depend on, instead of an error; default false. */
  allowUnused?: boolean;
  /** Gradients of gradients: not supported, true is a TapeError (ERR_HIGHER_ORDER). */
  createGraph?: boolean;
}

/**
 * d output / d input for each of the inputs, leaves or results of ops; `grad` of leaves stays as it is.
 *
 * @param output one element, or of any shape with `gradient`
 * @param inputs tensors that require gradients
 * @throws TapeError ERR_NO_GRAPH where the output does not depend on an input, and as backward
 */
export function grad(output: Tensor, inputs: readonly Tensor[], options?: GradOptions): Tensor[] {
  requireTensor('output', output);
  const o = check.options(options);
  if (o.createGraph)
    throw new TapeError('ERR_HIGHER_ORDER', 'the tape has no gradients of gradients (createGraph)');
  inputs.forEach((each, i) => requireTensor(`inputs[${i}]`, each));
  const reached = output.requiresGrad ? flow(output, o, new Set(inputs)).of : new Map<Tensor, Tensor>();
  return inputs.map((each, i) => {
    const found = reached.get(each);
    if (found !== undefined) return inputs.indexOf(each) === i ? exclusive(found) : copyOf(found);
    if (!o.allowUnused)
      throw new TapeError(
        'ERR_NO_GRAPH',
        `the output does not depend on inputs[${i}] (allowUnused gives zeros)`,
      );
    return zerosLike(each.shape, each.dtype);
  });
}

/** Releases the gradients of leaves: the next backward pass starts from zero, in the same memory. */
export function zeroGrad(leaves: Iterable<Tensor>): void {
  for (const leaf of leaves) {
    leaf.grad?.release();
    leaf.grad = undefined;
  }
}
