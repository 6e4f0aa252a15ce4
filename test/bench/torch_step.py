"""The benchmark's step in PyTorch: the same Llama, start weights, batches, clipping and AdamW. One JSON answer as the last line.
Not here: starting it and judging its losses (compare.mjs). Needs torch only.

usage: torch_step.py '{"start": FILE, "method": "full", "gateSteps": 5, "warmUpSteps": 5, "timedSteps": 20, "device": "cpu"}'
"""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F

EPSILON = 1e-5


def read_start(path):
    """The file that startFile.ts writes: a line of JSON, then the arrays one after the other."""
    with open(path, "rb") as file:
        header = json.loads(file.readline())
        arrays = {}
        for entry in header["arrays"]:
            count = math.prod(entry["shape"])
            kind = torch.float32 if entry["type"] == "float32" else torch.int32
            arrays[entry["name"]] = torch.frombuffer(bytearray(file.read(4 * count)), dtype=kind).reshape(entry["shape"])
    return header["shape"], arrays


class Linear(torch.nn.Module):
    """A product with [out, in], and LoRA beside it where `rank` is not 0: B starts at zero, A as PEFT starts it."""

    def __init__(self, weight, rank, alpha):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=rank == 0)
        self.rank, self.scale = rank, alpha / max(1, rank)
        if rank:
            self.a = torch.nn.Parameter(torch.empty(rank, weight.shape[1]))
            self.b = torch.nn.Parameter(torch.zeros(weight.shape[0], rank))
            torch.nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x):
        y = F.linear(x, self.weight)
        return y + self.scale * F.linear(F.linear(x, self.a), self.b) if self.rank else y


class Norm(torch.nn.Module):
    def __init__(self, weight, learns):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=learns)

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, EPSILON)


class Layer(torch.nn.Module):
    def __init__(self, w, prefix, shape, rank, alpha):
        super().__init__()
        linear = lambda name: Linear(w[f"{prefix}.{name}.weight"], rank, alpha)
        self.heads, self.kv_heads = shape["heads"], shape["kvHeads"]
        self.before = Norm(w[f"{prefix}.input_layernorm.weight"], rank == 0)
        self.between = Norm(w[f"{prefix}.post_attention_layernorm.weight"], rank == 0)
        self.q, self.k, self.v, self.o = (linear(f"self_attn.{n}_proj") for n in "qkvo")
        self.gate, self.up, self.down = (linear(f"mlp.{n}_proj") for n in ("gate", "up", "down"))

    def forward(self, x, cos, sin):
        rows, columns, width = x.shape
        n = self.before(x)
        split = lambda y, heads: y.view(rows, columns, heads, -1).transpose(1, 2)
        q, k, v = split(self.q(n), self.heads), split(self.k(n), self.kv_heads), split(self.v(n), self.kv_heads)
        mixed = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True, enable_gqa=self.heads != self.kv_heads
        )
        x = x + self.o(mixed.transpose(1, 2).reshape(rows, columns, width))
        n = self.between(x)
        return x + self.down(F.silu(self.gate(n)) * self.up(n))


def rotate(x, cos, sin):
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin


class Llama(torch.nn.Module):
    def __init__(self, shape, w, rank, alpha):
        super().__init__()
        table = w["model.embed_tokens.weight"]
        self.table = torch.nn.Parameter(table, requires_grad=rank == 0)
        self.layers = torch.nn.ModuleList(
            Layer(w, f"model.layers.{i}", shape, rank, alpha) for i in range(shape["layers"])
        )
        self.norm = Norm(w["model.norm.weight"], rank == 0)
        half = shape["hidden"] // shape["heads"] // 2
        angles = torch.outer(torch.arange(shape["time"]).double(), 10000 ** (-torch.arange(half).double() / half))
        angles = torch.cat((angles, angles), -1)
        self.register_buffer("cos", angles.cos().float())
        self.register_buffer("sin", angles.sin().float())

    def forward(self, ids, targets):
        x = F.embedding(ids, self.table)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.table)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def run(job, shape, arrays, compiled):
    device = torch.device(job["device"])
    torch.manual_seed(0)
    lora = job.get("lora") if job["method"] == "lora" else None
    rank, alpha = (lora["rank"], lora["alpha"]) if lora else (0, 1)
    weights = {name: a.clone() for name, a in arrays.items() if a.dtype == torch.float32}
    model = Llama(shape, weights, rank, alpha).to(device)
    batches = []
    while f"ids.{len(batches)}" in arrays:
        i = len(batches)
        batches.append((arrays[f"ids.{i}"].long().to(device), arrays[f"targets.{i}"].long().to(device)))
    s = job["settings"]
    learn = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learn if p.dim() > 1], "weight_decay": s["weightDecay"]},
        {"params": [p for p in learn if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=s["learningRate"], betas=(s["beta1"], s["beta2"]), eps=s["epsilon"]
    )
    forward = torch.compile(model) if compiled else model
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    done = 0

    def step():
        nonlocal done
        ids, targets = batches[done % len(batches)]
        done += 1
        loss = forward(ids, targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learn, s["clip"])
        optimizer.step()
        return loss.detach()

    losses = [step().item() for _ in range(job["gateSteps"])]
    for _ in range(job["warmUpSteps"]):
        step()
    waited, processor, block = [], [], []
    wait()
    for _ in range(job["timedSteps"]):
        start, used = time.perf_counter(), time.process_time()
        step().item()
        wait()
        waited.append(1000 * (time.perf_counter() - start))
        processor.append(1000 * (time.process_time() - used))
    for _ in range(job["timedSteps"] // 10):
        start = time.perf_counter()
        for _ in range(10):
            loss = step()
        loss.item()
        wait()
        block.append(100 * (time.perf_counter() - start))
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    return {
        "engine": "torch compiled" if compiled else "torch eager",
        "version": f"PyTorch {torch.__version__}, {name}",
        "model": "Llama type" + (", LoRA" if lora else ""),
        "parameters": sum(a.numel() for a in weights.values()),
        "tokens": shape["batch"] * shape["time"],
        "losses": losses,
        "waitedMs": waited,
        "blockMs": block,
        "processorMs": processor,
        "peakBytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def main():
    job = json.loads(sys.argv[1])
    if job["device"] == "cpu":
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        return {"rows": [], "why": "PyTorch finds no CUDA device here."}
    shape, arrays = read_start(job["start"])
    rows = [run(job, shape, arrays, False)]
    why = None
    if job["device"] == "cuda" and job.get("compiled", True):
        try:
            rows.append(run(job, shape, arrays, True))
        except Exception as error:  # a compiler that is not there must not cost the eager row
            why = f"torch.compile: {error}".split("\n")[0]
    return {"rows": rows, "why": why}


if __name__ == "__main__":
    try:
        print(json.dumps({"result": main()}), flush=True)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        sys.exit(1)
