// The list of model families that can be tuned, with their names in sentences. Page, refusals and README share it.
// Not here: reading their configs, the names of their tensors (formats/families/).

import { listed } from './wording';

/** By `model_type` of config.json. */
export const MODEL_FAMILIES = {
  llama: 'Llama (SmolLM2, TinyLlama)',
  qwen2: 'Qwen2 and 2.5',
  qwen3: 'Qwen3',
  gpt2: 'GPT-2 and DistilGPT-2',
  gpt_neox: 'GPT-NeoX (Pythia)',
  gemma3_text: 'Gemma 3 (text)',
} as const;

export type FamilyId = keyof typeof MODEL_FAMILIES;

/** "Llama (…), Qwen2 and 2.5, … and Gemma 3 (text)". */
export const FAMILY_LABELS = listed(Object.values(MODEL_FAMILIES), Number.POSITIVE_INFINITY);
