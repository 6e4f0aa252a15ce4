// The setting `rank_pattern`: ranks of adapters by parts of the names of their modules, as in PEFT.
// Not here: the other settings and whether they are valid (hyperparameters.ts), the adapters (engine/model/adapters.ts).

/**
 * `rank_pattern` as pairs: dotted part of a module's name → rank. `mlp=16, layers.0=4` fits `model.layers.3.mlp.up_proj` and
 * `model.layers.0.self_attn.q_proj`; a part only fits between dots, so `layers.1` is not `layers.10`.
 */
export function readRankPattern(text: string): {
  ranks: [part: string, rank: number][];
  problem: string | null;
} {
  const ranks: [string, number][] = [];
  for (const piece of text.split(',')) {
    if (piece.trim() === '') continue;
    const match = /^\s*([\w.]+)\s*=\s*(\d+)\s*$/.exec(piece);
    if (!match)
      return { ranks: [], problem: `“${piece.trim()}” is not a part of a name, an equals sign and a rank.` };
    const rank = Number(match[2]);
    if (rank > 256) return { ranks: [], problem: `Rank ${rank} is above 256.` };
    ranks.push([match[1] as string, rank]);
  }
  return { ranks, problem: null };
}

/** The rank of a module's adapter; 0 means none. */
export function rankOf(module: string, h: { lora_r: number; rank_pattern: string }): number {
  const fitting = readRankPattern(h.rank_pattern).ranks.find(([part]) => `.${module}.`.includes(`.${part}.`));
  return fitting ? fitting[1] : h.lora_r;
}
