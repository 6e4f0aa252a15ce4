"""A training state → a Hugging Face folder in f16 that transformers, the page and the command line load.
What it can do is measured in ../eval.

usage: export.py RUN_DIR DATA_DIR OUT_DIR [--average]
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def main():
    p = argparse.ArgumentParser()
    p.add_argument('run', type=Path)
    p.add_argument('data', type=Path)
    p.add_argument('out', type=Path)
    p.add_argument('--average', action='store_true', help='the running average of the weights: better until the cool-down is over')
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    state = torch.load(a.run / 'state.pt', map_location='cpu')
    weights, made = state['average' if a.average else 'model'], state['arguments']
    meta = json.loads((a.data / 'shares.json').read_text())
    eot, pad, _, end = meta['special']
    save_file({f'model.{name}': w.detach().to(torch.float16).contiguous() for name, w in weights.items()}, a.out / 'model.safetensors', metadata={'format': 'pt'})
    config = {
        'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_size': made['dim'], 'intermediate_size': made['ffn'], 'num_hidden_layers': made['layers'],
        'num_attention_heads': made['heads'], 'num_key_value_heads': made['heads'], 'head_dim': made['dim'] // made['heads'], 'hidden_act': 'silu',
        'max_position_embeddings': meta['context'], 'rms_norm_eps': 1e-5, 'rope_theta': 10000.0, 'attention_bias': False, 'mlp_bias': False, 'tie_word_embeddings': True,
        'vocab_size': meta['vocab'], 'initializer_range': 0.02, 'bos_token_id': eot, 'eos_token_id': end, 'pad_token_id': pad, 'torch_dtype': 'float16', 'use_cache': True}
    (a.out / 'config.json').write_text(json.dumps(config, indent=2))
    (a.out / 'generation_config.json').write_text(json.dumps({'bos_token_id': eot, 'eos_token_id': end, 'pad_token_id': pad, 'do_sample': False, 'max_new_tokens': 128}, indent=2))
    for name in ('tokenizer.json', 'tokenizer_config.json'):
        (a.out / name).write_bytes((a.data / name).read_bytes())
    print(a.out, sum(w.numel() for w in weights.values()), 'weights,', state['tokens'], 'tokens')


if __name__ == '__main__':
    main()
