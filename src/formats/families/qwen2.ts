// Qwen2 and Qwen2.5.
// Not here: what families share (config.ts, family.ts).

import type { Architecture } from '../../modelArchitecture';
import { activationOf, baseOf, Fields, flatRope, type RawConfig, windowsOf, withRope } from './config';
import { type Family, llamaNames } from './family';

/** Qwen3 is Qwen2 with normalised heads and without a bias on q, k and v. */
export function qwenArchitecture(config: RawConfig, family: 'qwen2' | 'qwen3'): Architecture {
  const f = new Fields(config);
  // Qwen3's head size is 128 whatever the hidden size, unless the file says otherwise.
  const given = family === 'qwen3' ? { head_dim: 128, ...config } : config;
  const base = baseOf(given, family);
  const slides = f.flag('use_sliding_window', false);
  const window = slides && config.sliding_window !== null ? f.size('sliding_window', 4096) : null;
  const firstSliding = f.number('max_window_layers', 28);
  const attentionBias = family === 'qwen3' && f.flag('attention_bias', false);
  return withRope(
    {
      ...base,
      qkNorm: family === 'qwen3',
      activation: activationOf(config, 'hidden_act', 'silu'),
      qkvBias: family === 'qwen2' || attentionBias,
      outputBias: attentionBias,
      slidingWindows: windowsOf(config, base.layers, window, (i) => i >= firstSliding),
    },
    flatRope(config, base.contextLength, 'rope_theta', 10000),
  );
}

export const qwen2: Family = {
  className: 'Qwen2ForCausalLM',
  architecture: (config) => qwenArchitecture(config, 'qwen2'),
  names: llamaNames,
};
