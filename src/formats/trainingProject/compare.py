# Compares the curve of the run in the browser (curve.csv) with the one that train.py wrote (curve_here.csv): a table, and a drawing.
# Not here: measuring (train.py). Needs no package.

import argparse
import csv
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT, EDGE = 800, 400, 50
LINES = [("train_loss", "#2563eb"), ("validation_loss", "#c2410c")]


def read(name):
    """{step: {"train_loss": ..., "validation_loss": ...}}"""
    with (HERE / name).open(encoding="utf-8") as file:
        return {int(row["step"]): {key: float(row[key]) for key, _ in LINES} for row in csv.DictReader(file)}


def draw(run, here):
    """compare.svg: the run as lines, the repetition as dots."""
    values = [loss[key] for curve in (run, here) for loss in curve.values() for key, _ in LINES]
    low, high, last = min(values), max(values), max([*run, *here]) or 1
    x = lambda step: EDGE + (WIDTH - 2 * EDGE) * step / last
    y = lambda loss: HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (loss - low) / ((high - low) or 1)
    parts = []
    for i, (key, colour) in enumerate(LINES):
        points = " ".join(f"{x(step):.1f},{y(loss[key]):.1f}" for step, loss in run.items())
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(loss[key]):.1f}" r="4" fill="{colour}"/>' for s, loss in here.items()]
        parts.append(f'<text x="{EDGE + 5}" y="{18 + 16 * i}" fill="{colour}">{key}: line = this run, dots = train.py</text>')
    parts.append(f'<text x="5" y="{y(high):.0f}">{high:.2f}</text><text x="5" y="{y(low):.0f}">{low:.2f}</text>')
    parts.append(f'<text x="{WIDTH - EDGE - 60}" y="{HEIGHT - 15}">step {last}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">'
    (HERE / "compare.svg").write_text(head + '<rect width="100%" height="100%" fill="white"/>' + "".join(parts) + "</svg>\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="Compares curve.csv with curve_here.csv.")
    parser.add_argument("--tolerance", type=float, help="end with an error where a validation loss differs by more, e.g. 0.01 for 1 %%")
    options = parser.parse_args()
    run, here = read("curve.csv"), read("curve_here.csv")
    common = [step for step in run if step in here]
    if not common:
        raise SystemExit("The two curves have no step in common. Has train.py measured?")
    print(f"{'step':>6} {'train':>10} {'here':>10} {'diff':>9}   {'validation':>10} {'here':>10} {'diff':>9}")
    largest = 0.0
    for step in common:
        cells = []
        for key, _ in LINES:
            ours, theirs = run[step][key], here[step][key]
            difference = theirs / ours - 1 if ours else float(theirs != ours)
            cells.append(f"{ours:10.5f} {theirs:10.5f} {100 * difference:8.4f}%")
            if key == "validation_loss":
                largest = max(largest, abs(difference))
        print(f"{step:6d} " + "   ".join(cells))
    print(f"Largest relative difference of the validation loss over {len(common)} steps: {100 * largest:.4f} %")
    draw(run, here)
    print("Drawn in compare.svg.")
    if options.tolerance is not None and not largest <= options.tolerance:
        raise SystemExit(f"That is more than {100 * options.tolerance:g} %.")


if __name__ == "__main__":
    main()
