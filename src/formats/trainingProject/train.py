# Trains the run of settings.json once more with TRL, PEFT and accelerate: the same tokens, learned tokens, order, schedule and first weights.
# Not here: the settings (settings.json), the tokens (tokens/), the comparison with the run in the browser (compare.py).

import argparse
import csv
import json
from pathlib import Path

import torch
from accelerate.utils import gather_object, set_seed
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import SequentialSampler
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).parent
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
H = SETTINGS["hyperparameters"]
# The most rows of one update: batch_size rows, gradient_accumulation_steps times.
ROWS_PER_STEP = H["batch_size"] * H["gradient_accumulation_steps"]
# Fills an update that has fewer rows, as the last one of an epoch may. Nothing of it is learned.
EMPTY_ROW = {"input_ids": [0], "labels": [-100]}


def read_lines(name):
    path = HERE / name
    return [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []


# One row: {"input_ids": [...], "labels": [...]}. A label is the token itself where it is learned, else -100.
TOKENS = {side: read_lines(f"tokens/{side}.jsonl") for side in ("train", "replay", "validation")}


def collate(rows):
    """Rows -> tensors [rows, longest row], padded at the right. Padding is neither seen nor learned."""
    longest = max(len(row["input_ids"]) for row in rows)
    pad = lambda values, filler: values + [filler] * (longest - len(values))
    return {
        "input_ids": torch.tensor([pad(row["input_ids"], 0) for row in rows]),
        "labels": torch.tensor([pad(row["labels"], -100) for row in rows]),
        "attention_mask": torch.tensor([pad([1] * len(row["input_ids"]), 0) for row in rows]),
    }


def loss_sum(logits, labels, label_smoothing=0.0):
    """Cross-entropy, summed over the learned tokens. The logits at a position are about the token after it."""
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten(), reduction="sum", label_smoothing=label_smoothing
    )


def training_loss(outputs, labels, num_items_in_batch):
    """The mean over all learned tokens of an update: num_items_in_batch counts those of all processes."""
    return loss_sum(outputs.logits, labels, H["label_smoothing_factor"]) / num_items_in_batch


def learning_rate(step):
    """The rate of an update, counted from 0. HF's own warm-up starts with a rate of 0; this one with 1 / warm-up."""
    total = SETTINGS["total_steps"]
    peak = H["learning_rate"]
    for change in SETTINGS["rate_changes"]:
        if change["step"] <= step:
            peak = change["to"]
    # JavaScript rounds halves up.
    warmup = max(1, int(H["warmup_ratio"] * total + 0.5)) if H["warmup_ratio"] > 0 else 0
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = torch.tensor((step - warmup) / max(1, total - warmup))
    shapes = {"cosine": 0.5 * (1 + torch.cos(torch.pi * progress)), "linear": 1 - progress, "constant": 1.0}
    return peak * float(shapes[H["lr_scheduler_type"]])


def load_model():
    """The base model in float32, with what learns on top of it or in it."""
    base = SETTINGS["base_model"]
    place = str(HERE / base["folder"]) if "folder" in base else base["id"]
    config = AutoConfig.from_pretrained(place, revision=base.get("commit"))
    # The run in the browser has no dropout but that of LoRA; GPT-2's configuration would drop a tenth of its activations.
    for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout", "hidden_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    model = AutoModelForCausalLM.from_pretrained(place, revision=base.get("commit"), config=config, dtype=torch.float32)
    if H["method"] == "lora":
        # The adapter before its first update: PEFT would draw other numbers for lora_A.
        return PeftModel.from_pretrained(model, str(HERE / "start_adapter"), is_trainable=True)
    learns = SETTINGS["trainable"]
    found = set()
    for name, parameter in model.named_parameters():
        match = next((one for one in learns if name == one or name.endswith("." + one)), None)
        parameter.requires_grad_(match is not None)
        found.add(match)
    missing = [name for name in learns if name not in found]
    if missing:
        raise SystemExit(f"The model has no parameter {missing[0]}, which settings.json says should learn.")
    return model


class Trainer(SFTTrainer):
    """TRL's trainer with the order, the schedule and the evaluation of the run in the browser."""

    def _get_train_sampler(self, *_):
        return SequentialSampler(self.train_dataset)

    def create_scheduler(self, num_training_steps, optimizer=None):
        # LambdaLR wants a factor of the first rate.
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda step: learning_rate(step) / H["learning_rate"]
        )
        return self.lr_scheduler

    def get_decay_parameter_names(self, model):
        return [name for name, p in model.named_parameters() if p.ndim > 1 and not name.endswith("bias")]

    def measure(self, step):
        """Both losses as means over the learned tokens of the same rows as in the browser. HF's own is a mean of batch means."""
        model = self.model_wrapped
        model.eval()
        losses = {}
        for side, numbers in SETTINGS["evaluation_rows"].items():
            rows = sorted((TOKENS[side][i] for i in numbers), key=lambda row: len(row["input_ids"]))
            size = self.args.per_device_train_batch_size
            batches = [rows[i : i + size] for i in range(0, len(rows), size)]
            processes = self.accelerator.num_processes
            # Under FSDP all processes must call the model equally often.
            batches += [[EMPTY_ROW]] * (-len(batches) % processes)
            total, count = 0.0, 0
            for batch in batches[self.accelerator.process_index :: processes]:
                inputs = {name: tensor.to(self.accelerator.device) for name, tensor in collate(batch).items()}
                labels = inputs.pop("labels")
                with torch.no_grad(), self.compute_loss_context_manager():
                    total += loss_sum(model(**inputs, use_cache=False).logits, labels).item()
                count += (labels[:, 1:] != -100).sum().item()
            parts = gather_object([(total, count)])
            losses[side] = sum(part[0] for part in parts) / max(1, sum(part[1] for part in parts))
        model.train()
        if self.accelerator.is_main_process:
            print(f"step {step:5d}   train {losses['train']:.5f}   validation {losses['validation']:.5f}", flush=True)
            with (HERE / "curve_here.csv").open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([step, losses["train"], losses["validation"]])


class Measuring(TrainerCallback):
    """Measures after the steps of settings.json; step 0 is before the first update."""

    def on_train_begin(self, args, state, control, **_):
        self.trainer.measure(0)

    def on_step_end(self, args, state, control, **_):
        if state.global_step in SETTINGS["evaluate_at"]:
            self.trainer.measure(state.global_step)


def main():
    parser = argparse.ArgumentParser(description="Trains the run of settings.json with TRL.")
    parser.add_argument("--rows_per_device", type=int, default=H["batch_size"], help="at most so many rows at a time")
    parser.add_argument("--bf16", action="store_true", help="compute in bfloat16: faster on a GPU, a little less exact")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU, several processes too")
    options = parser.parse_args()

    set_seed(H["seed"])
    rows = TOKENS["train"] + TOKENS["replay"] + [EMPTY_ROW]
    # One line per update: the numbers of its rows, those of tokens/replay.jsonl after those of tokens/train.jsonl.
    order = [i for step in read_lines("order.jsonl") for i in step + [len(rows) - 1] * (ROWS_PER_STEP - len(step))]
    columns = {name: [row[name] for row in rows] for name in ("input_ids", "labels")}
    dataset = Dataset.from_dict(columns).select(order)

    config = SFTConfig(
        output_dir=str(HERE / "result"),
        max_steps=SETTINGS["total_steps"],
        learning_rate=H["learning_rate"],
        adam_beta1=H["adam_beta1"],
        adam_beta2=H["adam_beta2"],
        adam_epsilon=H["adam_epsilon"],
        weight_decay=H["weight_decay"],
        max_grad_norm=H["max_grad_norm"],
        neftune_noise_alpha=H["neftune_noise_alpha"] or None,
        gradient_checkpointing=SETTINGS["gradient_checkpointing"],
        seed=H["seed"],
        bf16=options.bf16,
        use_cpu=options.cpu,
        loss_type="nll",
        max_length=None,  # rows are cut already
        dataset_kwargs={"skip_prepare_dataset": True},  # and they are tokens already
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
    )
    # However many processes there are, an update has the same rows.
    per_process, rest = divmod(ROWS_PER_STEP, config.world_size)
    if rest:
        raise SystemExit(
            f"An update has {ROWS_PER_STEP} rows, which {config.world_size} processes cannot share equally. "
            f"Start a number of processes that divides {ROWS_PER_STEP}."
        )
    fits = [n for n in range(1, per_process + 1) if per_process % n == 0 and n <= max(1, options.rows_per_device)]
    config.per_device_train_batch_size = max(fits)
    config.gradient_accumulation_steps = per_process // max(fits)

    measuring = Measuring()
    trainer = Trainer(
        model=load_model(),
        args=config,
        train_dataset=dataset,
        data_collator=collate,
        processing_class=AutoTokenizer.from_pretrained(str(HERE / "tokenizer")),
        compute_loss_func=training_loss,
        callbacks=[measuring],
    )
    measuring.trainer = trainer
    if trainer.accelerator.is_main_process:
        size, times = config.per_device_train_batch_size, config.gradient_accumulation_steps
        print(f"{trainer.accelerator.distributed_type.value}, processes {trainer.accelerator.num_processes}, rows {size}, accumulated {times} times: {ROWS_PER_STEP} rows per update")
        (HERE / "curve_here.csv").write_text("step,train_loss,validation_loss\n", encoding="utf-8")
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
