// Qwen3, dense.
// Not here: what it shares with Qwen2 (qwen2.ts).

import { type Family, llamaNames } from './family';
import { qwenArchitecture } from './qwen2';

export const qwen3: Family = {
  className: 'Qwen3ForCausalLM',
  architecture: (config) => qwenArchitecture(config, 'qwen3'),
  names: llamaNames,
};
