"""Whether transformers and the page's engine read a model folder alike: ids, logits and greedy text of ten prompts.
How the engine is asked is in logits.mjs.

usage: same_as_transformers.py MODEL_DIR      exit code 1 when they differ
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPTS = [
    'Hello!', 'What is a dog?', 'Tell me a story about Sofia and Max.', 'Make a list: bread, milk and eggs', 'How much is the red jar? The red jar costs $9.',
    'Turn this into JSON with the keys name, place: Sofia lives in Marlow.', 'Is this positive or negative? The room was dirty and cold.', 'What is the opposite of hot?',
    'Write this in capital letters: the small boat', 'Éclair, naïve, 数字, and 3 emoji: 🙂🙂🙂',
]
# f32 on both sides; sums are taken in another order.
TOLERANCE = 2e-3


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with tempfile.NamedTemporaryFile() as file:
        script = Path(__file__).with_name('logits.mjs')
        said = subprocess.run(['node', script, folder.resolve(), file.name], input=json.dumps(PROMPTS), stdout=subprocess.PIPE, text=True, check=True).stdout
        theirs = np.fromfile(file.name, np.float32).reshape(-1, model.config.vocab_size)
    worst, same_text, same_ids, at, scale = 0.0, 0, 0, 0, 0.0
    for prompt, engine in zip(PROMPTS, json.loads(said)):
        ids = tokenizer.apply_chat_template([{'role': 'user', 'content': prompt}], add_generation_prompt=True, return_tensors='pt', return_dict=True)['input_ids']
        same_ids += ids[0].tolist() == engine['ids']
        with torch.no_grad():
            ours = model(ids).logits[0].numpy()
            made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False)[0, ids.shape[1]:]
        worst = max(worst, float(np.abs(ours - theirs[at:at + len(ours)]).max()))
        scale = max(scale, float(np.abs(ours).max()))
        at += len(ours)
        same_text += tokenizer.decode(made, skip_special_tokens=True) == engine['text']
    print(f'{folder.name}: ids equal {same_ids} of {len(PROMPTS)}, greedy text equal {same_text} of {len(PROMPTS)}, '
          f'largest difference of {theirs.size:,} logits {worst:.1e} (largest logit {scale:.1f})')
    sys.exit(0 if same_ids == same_text == len(PROMPTS) and worst < TOLERANCE else 1)


if __name__ == '__main__':
    main()
