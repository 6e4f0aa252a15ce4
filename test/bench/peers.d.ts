// The peers' packages as far as the benchmark calls them; they are installed on demand (peers/), so the compiler cannot read their own types.
// Not here: the calls (engines/).

declare module 'peer:jax' {
  /** Operations take over their arguments; `ref` keeps one for another use. */
  export interface Arr {
    readonly ref: Arr;
    readonly shape: number[];
    add(other: Arr | number): Arr;
    sub(other: Arr | number): Arr;
    mul(other: Arr | number): Arr;
    div(other: Arr | number): Arr;
    neg(): Arr;
    sum(axis?: number, options?: { keepdims?: boolean }): Arr;
    mean(axis?: number, options?: { keepdims?: boolean }): Arr;
    transpose(order?: number[]): Arr;
    reshape(shape: number[]): Arr;
    slice(...index: (Arr | number | [] | [number, number])[]): Arr;
    data(): Promise<Float32Array>;
    dispose(): void;
  }
  export type Tree = Record<string, Arr>;
  export function init(device: string): Promise<string[]>;
  export function defaultDevice(device: string): void;
  export function blockUntilReady(tree: unknown): Promise<unknown>;
  export function jit<F extends (...args: never[]) => unknown>(f: F): F;
  export function valueAndGrad(
    f: (params: Tree, ...rest: Arr[]) => Arr,
  ): (params: Tree, ...rest: Arr[]) => [Arr, Tree];
  export const tree: { ref<T>(value: T): T; dispose(value: unknown): void };
  export const numpy: {
    int32: unknown;
    array(
      values: Float32Array | Int32Array | number[] | number,
      options?: { shape?: number[]; dtype?: unknown },
    ): Arr;
    matmul(a: Arr, b: Arr): Arr;
    sqrt(a: Arr): Arr;
    square(a: Arr): Arr;
    minimum(a: Arr, b: Arr | number): Arr;
    concatenate(parts: Arr[], axis: number): Arr;
    takeAlongAxis(a: Arr, index: Arr, axis: number): Arr;
  };
  export const nn: {
    silu(a: Arr): Arr;
    logSoftmax(a: Arr, axis?: number): Arr;
    oneHot(a: Arr, classes: number): Arr;
    dotProductAttention(q: Arr, k: Arr, v: Arr, options: { isCausal: boolean }): Arr;
  };
}

declare module 'peer:nanogpt' {
  export interface Model {
    on(event: 'loaded', done: () => void): void;
    model: { getNumParams?(): number };
    tokeniser: unknown;
  }
  export const TeachableLLM: {
    selectBackend(name: string): Promise<void>;
    create(tokeniser: string, config: Record<string, unknown>): Model;
  };
}

declare module 'peer:nanogpt-trainer' {
  export default class BasicTrainer {
    constructor(model: unknown, tokeniser: unknown, options: Record<string, unknown>);
    configure(options: Record<string, unknown>): void;
    prepareToTrain(options: Record<string, unknown>): void;
    trainStep(
      state: object,
      batch: { xs: unknown; ys: unknown },
    ): { data(): Promise<Float32Array>; dispose(): void };
  }
}
