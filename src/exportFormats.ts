// The list of things that can be taken away: what each opens in, how it stores weights. Page and command line read it.
// Not here: making them (session/exports.ts), requests and reports (exportContract.ts).

export type WeightType = 'F32' | 'F16' | 'BF16' | 'Q8_0';

/** Bytes of one weight. Q8_0 has a scale of two bytes for 32 weights. */
export const BYTES_OF: Record<WeightType, number> = { F32: 4, F16: 2, BF16: 2, Q8_0: 34 / 32 };

export type ExportFormat = 'adapter' | 'merged' | 'gguf' | 'gguf_adapter' | 'training_project';

export interface ExportFormatEntry {
  label: string;
  /** One sentence: what it is. */
  what: string;
  opensIn: string;
  /** A line to paste where the files are, for the first of these programs. */
  use: string;
  /** What it is made from: only an adapter, any weights, or a run with its rows. */
  from: 'adapter' | 'weights' | 'run';
  /** The first is used unless another one is asked for; empty where the type is fixed. */
  types: readonly WeightType[];
}

export const EXPORT_FORMATS: Readonly<Record<ExportFormat, ExportFormatEntry>> = {
  adapter: {
    label: 'Adapter',
    what: 'Only what LoRA has learned, with tokenizer, chat template and the record of the run. The base model goes along when it is small.',
    opensIn: 'Hugging Face PEFT and TRL, Unsloth, vLLM',
    use: 'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("base_model"), ".")',
    from: 'adapter',
    types: [],
  },
  merged: {
    label: 'Merged model',
    what: 'A whole Hugging Face model folder with what was learned in its weights.',
    opensIn: 'Hugging Face transformers, vLLM, SGLang, mlx-lm, this page',
    use: 'pipe = pipeline("text-generation", model=".")',
    from: 'weights',
    types: ['F32', 'F16', 'BF16'],
  },
  gguf: {
    label: 'GGUF',
    what: 'The merged model in one file with its tokenizer, chat template and end tokens, and a Modelfile for Ollama.',
    opensIn: 'Ollama, llama.cpp, LM Studio, node-llama-cpp, wllama, this program',
    use: 'ollama create my-model -f Modelfile && ollama run my-model',
    from: 'weights',
    types: ['F16', 'Q8_0', 'F32', 'BF16'],
  },
  gguf_adapter: {
    label: 'GGUF adapter',
    what: 'Only what LoRA has learned, for the GGUF file of the base model. Not for DoRA, which llama.cpp does not have.',
    opensIn: 'llama.cpp, node-llama-cpp',
    use: 'llama-cli -m base.gguf --lora adapter.gguf -cnv',
    from: 'adapter',
    types: [],
  },
  training_project: {
    label: 'Training project',
    what: 'The run as a short Python project: rows as split, tokens, order, settings and curve, to train it again on a larger machine.',
    opensIn: 'TRL with PEFT and accelerate (CPU, one GPU, DDP, FSDP), Axolotl',
    use: 'pip install -r requirements.txt && accelerate launch --config_file accelerate/cpu.yaml train.py',
    from: 'run',
    types: [],
  },
};

export const EXPORT_FORMAT_NAMES = Object.keys(EXPORT_FORMATS) as ExportFormat[];

/** The type that weights are stored as. @returns F32 where the format leaves no choice */
export function typeOf(format: ExportFormat, asked?: WeightType): WeightType {
  const { types } = EXPORT_FORMATS[format];
  return asked && types.includes(asked) ? asked : (types[0] ?? 'F32');
}

/** What is downloaded where nothing else was asked for: exactly what was trained. @param adapter whether that is an adapter */
export const plainFormat = (adapter: boolean): ExportFormat => (adapter ? 'adapter' : 'merged');
