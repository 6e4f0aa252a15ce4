// Types of what is said about the weights of a run: how far they have moved since its start. They cross the worker's boundary.
// Not here: measuring it (engine/training/weightChanges.ts), tables of it (metrics/weightTable.ts).

/**
 * Relative change ‖W − W₀‖ / ‖W₀‖ (Frobenius norm) of every module that learns, after one step. A module is a weight and its bias together.
 * An adapter changes no bias: there W is the weight alone, as the model computes with it: W₀ + s·BA, or with DoRA
 * m·(W₀ + s·BA)/‖W₀ + s·BA‖.
 */
export interface WeightChanges {
  step: number;
  /**
   * By module inside a layer, in the order of the forward pass, named as the checkpoint names it below the layer (`self_attn.q_proj`).
   * One number a layer of the model; null where nothing learns, or where W₀ is zero.
   */
  layers: { module: string; changes: (number | null)[] }[];
  /** Modules outside the layers: embedding, positions, final norm, untied head. */
  outside: { module: string; change: number | null }[];
}
