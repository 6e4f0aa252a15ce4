"""The decoder that is pretrained: a Llama with Hugging Face weight names, and the Muon optimiser for its matrices.
Neither data nor schedule lives here."""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Shape:
    """What config.json needs to know. `context` is the longest row that is trained."""

    vocab: int = 4096
    dim: int = 128
    layers: int = 4
    heads: int = 4
    ffn: int = 384
    context: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5


class Norm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        f = x.float()  # the mean of squares needs more than bf16's eight bits
        return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def attend(q, k, v):  # [batch, heads, time, headDim]
    """Causal attention. Forward and backward of 12 rows of 256 tokens in bf16: 19 ms of CPU time written out and compiled, 34 with the flash kernel."""
    if q.device.type != 'cpu':
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    time = q.shape[2]
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    later = torch.ones(time, time, dtype=torch.bool).triu(1)
    weights = scores.float().masked_fill(later, float('-inf')).softmax(-1)
    return weights.to(v.dtype) @ v


class Attention(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.heads, self.head_dim = s.heads, s.dim // s.heads
        self.q_proj, self.k_proj, self.v_proj = linear(s.dim, s.dim), linear(s.dim, s.dim), linear(s.dim, s.dim)
        self.o_proj = linear(s.dim, s.dim)

    def forward(self, x, cos, sin):  # x [batch, time, dim]; cos, sin [time, headDim]
        batch, time, dim = x.shape
        # One product instead of three: on a CPU the call costs as much as the arithmetic at this size.
        weight = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight)).to(x.dtype)
        qkv = F.linear(x, weight).view(batch, time, 3, self.heads, self.head_dim)
        q, k, v = (t.transpose(1, 2) for t in qkv.unbind(2))  # [batch, heads, time, headDim]
        half = self.head_dim // 2
        q = q * cos + torch.cat((-q[..., half:], q[..., :half]), -1) * sin
        k = k * cos + torch.cat((-k[..., half:], k[..., :half]), -1) * sin
        y = attend(q, k, v)
        return F.linear(y.transpose(1, 2).reshape(batch, time, dim), self.o_proj.weight.to(x.dtype))


class Mlp(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.gate_proj, self.up_proj = linear(s.dim, s.ffn), linear(s.dim, s.ffn)
        self.down_proj = linear(s.ffn, s.dim)

    def forward(self, x):
        both = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight)).to(x.dtype))
        gate, up = both.chunk(2, -1)
        return F.linear(F.silu(gate) * up, self.down_proj.weight.to(x.dtype))


class Layer(nn.Module):
    def __init__(self, s: Shape):
        super().__init__()
        self.self_attn, self.mlp = Attention(s), Mlp(s)
        self.input_layernorm, self.post_attention_layernorm = Norm(s.dim, s.norm_eps), Norm(s.dim, s.norm_eps)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class TiedLoss(torch.autograd.Function):
    """Mean cross-entropy of `hidden @ embedding.T` against `targets`, a slice of rows at a time.

    The gradient is made in the forward pass, so the logits (rows × vocabulary, the largest tensor of a tiny model)
    need not be kept: 43 ms of CPU time instead of 56 (bf16, 3,072 rows, forward and backward), and a fraction of the memory.
    Rows whose target is -100 are skipped, so exercises of which only the answers are learned cost less."""

    @staticmethod
    def forward(ctx, hidden, embedding, targets, slice_rows=1024):  # [rows, dim], [vocab, dim], [rows]
        keep = (targets >= 0).nonzero().squeeze(1)
        rows = hidden[keep]
        wanted = targets[keep]
        count = max(1, rows.shape[0])
        table = embedding.to(hidden.dtype)
        grad_hidden = torch.zeros_like(hidden)
        grad_rows = torch.empty_like(rows)
        grad_table = torch.zeros_like(embedding, dtype=torch.float32)
        total = torch.zeros((), device=hidden.device)
        for start in range(0, rows.shape[0], slice_rows):
            part = slice(start, start + slice_rows)
            probability = (rows[part] @ table.t()).float().softmax(-1)
            hit = wanted[part, None]
            total -= probability.gather(1, hit).clamp_min(1e-30).log().sum()
            probability.scatter_add_(1, hit, torch.full_like(hit, -1, dtype=torch.float32))
            error = probability.to(hidden.dtype)
            grad_rows[part] = error @ table
            grad_table += error.t() @ rows[part]
        grad_rows /= count
        grad_table /= count
        grad_hidden[keep] = grad_rows
        ctx.save_for_backward(grad_hidden, grad_table)
        return total / count

    @staticmethod
    def backward(ctx, grad):
        grad_hidden, grad_table = ctx.saved_tensors
        return grad_hidden * grad, grad_table * grad, None, None


class Decoder(nn.Module):
    """`forward(ids)` gives hidden states, `loss(ids, targets)` the mean cross-entropy, `logits(ids)` what it says."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.dim)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.dim, shape.norm_eps)
        head_dim = shape.dim // shape.heads
        frequency = 1.0 / (shape.rope_theta ** (torch.arange(0, head_dim, 2).float() / head_dim))
        angle = torch.outer(torch.arange(shape.context).float(), frequency)
        angle = torch.cat((angle, angle), -1)
        self.register_buffer('cos', angle.cos(), persistent=False)  # [context, headDim]
        self.register_buffer('sin', angle.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                into_residual = name.endswith(('o_proj.weight', 'down_proj.weight'))
                nn.init.normal_(weight, 0, 0.02 / math.sqrt(2 * shape.layers) if into_residual else 0.02)
        self.compute = torch.float32

    def forward(self, ids):  # [batch, time] → [batch, time, dim]
        # bf16 products are five times faster than f32 on a CPU with AVX512-BF16 (and on any recent GPU);
        # weights, moments, norms and the loss stay f32.
        x = F.embedding(ids, self.embed_tokens.weight).to(self.compute)
        time = ids.shape[1]
        cos, sin = self.cos[:time].to(x.dtype), self.sin[:time].to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def loss(self, ids, targets):
        hidden = self(ids)
        return TiedLoss.apply(hidden.reshape(-1, self.shape.dim), self.embed_tokens.weight, targets.reshape(-1))

    def logits(self, ids):
        return self(ids).float() @ self.embed_tokens.weight.t()


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by five Newton-Schulz steps (Jordan et al. 2024).

    `row_norm` divides every row of the update by a running root of its mean square and brings the whole back to its norm (NorMuon, Li et al. 2025,
    arXiv 2510.05491): a row whose gradient is small moves as far as the others. `cautious` decays a weight only where the decay points
    the way of the update (Chen et al. 2025, arXiv 2510.12402), so that a weight that is not updated does not shrink.
    Matrices of one shape are stacked, so that a model of four layers makes a handful of products a step, not hundreds."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0, row_norm=False, cautious=False, row_momentum=0.95):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, row_norm=row_norm, cautious=cautious, row_momentum=row_momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for weight in group['params']:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for shape, weights in by_shape.items():
                updates = []
                for weight in weights:
                    momentum = self.state[weight].setdefault('m', torch.zeros_like(weight))
                    momentum.lerp_(weight.grad, 1 - group['momentum'])
                    updates.append(weight.grad.lerp(momentum, group['momentum']))
                x = torch.stack(updates).bfloat16()
                if shape[0] > shape[1]:
                    x = x.mT
                x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
                for _ in range(5):
                    a = x @ x.mT
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
                if shape[0] > shape[1]:
                    x = x.mT
                x = x.float()
                if group['row_norm']:
                    x = self.even_rows(x, weights, group['row_momentum'])
                scale = group['lr'] * max(1, shape[0] / shape[1]) ** 0.5
                for weight, update in zip(weights, x):
                    shrink = group['lr'] * group['weight_decay']
                    if group['cautious']:
                        weight.sub_(weight * (weight * update > 0), alpha=shrink)
                    else:
                        weight.mul_(1 - shrink)
                    weight.add_(update, alpha=-scale)

    def even_rows(self, x, weights, row_momentum):
        """Updates [matrices, rows, columns] with each row divided by the running root of its mean square, at their old norm."""
        size = x.norm(dim=(1, 2), keepdim=True)
        squares = x.square().mean(2)
        for weight, mean in zip(weights, squares):
            self.state[weight].setdefault('rows', mean.clone()).lerp_(mean, 1 - row_momentum)
        running = torch.stack([self.state[weight]['rows'] for weight in weights])
        x = x / (running.sqrt()[:, :, None] + 1e-10)
        return x * size / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
