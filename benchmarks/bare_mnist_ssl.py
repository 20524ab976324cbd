"""The released MNIST script as a bare loop: no module, loss, optimizer or trainer of the library.

    python benchmarks/bare_mnist_ssl.py --data data/MNIST/raw --labels 100 --seeds 0 1 2 --epochs 48 --device cpu

Trains every number of labels with every seed, all at once, by batched products: a peer to compare the library with, in
error and in speed. It is written from the description of the script (paper section 5 and the released settings): the
two players' losses, weight normalisation, batch norm, noise and Adam are spelt out. The labelled subsets are those
that the library chooses by the same seeds; weights, order and noise are drawn on their own. On a GPU the step is one
CUDA graph. Nothing is chosen by the test set: the error is that of the averaged weights after the last epoch. Writes
the curve of each run as JSON to --output, with the labels that wrong images have and get, and a picture beside it;
--draw only draws. With --until, stops after that many seconds.

To try other settings, hold out training images by --val_size, which are judged in the place of the test set.
--same_weights tells what depends on the labelled subset from what depends on the start.
"""

import argparse
import json
import platform
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config
import torch.nn.functional as F
from draw_errors import draw_errors
from paper_tables import TABLES
from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file

from lit_improved_gan.data.labels import labelled_rows
from lit_improved_gan.seeding import permutation

BATCH, BETA1, BETA2, EPS, RATE = 100, 0.5, 0.999, 1e-8, 1e-4
D_SIZES, G_SIZES = [784, 1000, 500, 250, 250, 250, 10], [100, 500, 500, 784]


class Player:
    """The weights of one network of each of M runs, in one flat tensor, and the released Adam on it."""

    def __init__(self, initial: dict[str, Tensor], lr: float) -> None:
        self.lr = lr
        self.flat = torch.cat([value.flatten() for value in initial.values()])
        self.shapes = {name: value.shape for name, value in initial.items()}
        self.weights = {name: value.detach().requires_grad_() for name, value in self.named(self.flat).items()}
        self.mean, self.square = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.betas = torch.tensor([BETA1, BETA2], device=self.flat.device, dtype=torch.float64)
        self.powers = torch.ones_like(self.betas)  # beta1^t, beta2^t

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of such a flat tensor, by name."""
        parts = flat.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for part, (name, shape) in zip(parts, self.shapes.items(), strict=True)}

    def step(self, loss: Tensor) -> None:
        """One update from the gradient of a loss."""
        gradients = torch.autograd.grad(loss, list(self.weights.values()))
        with torch.no_grad():
            gradient = torch.cat([g.flatten() for g in gradients])
            self.powers.mul_(self.betas)
            c1, c2 = (1 - self.powers).float().unbind()
            adam(self.flat, self.mean, self.square, gradient, c1, c2, self.lr)


def adam(flat: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, c1: Tensor, c2: Tensor, lr: float) -> None:
    """Epsilon inside the root."""
    mean.mul_(BETA1).add_(gradient, alpha=1 - BETA1)
    square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    flat.sub_(lr * (mean / c1) / torch.sqrt(square / c2 + EPS))


def discriminate(
    w: dict[str, Tensor], gains: list[Tensor], x: Tensor, noise: tuple[float, float] | None
) -> tuple[Tensor, Tensor]:
    """Logits and the last hidden layer's activations of images ``(M, N, 784)`` in [0, 1]."""
    h = features = x
    for i in range(len(D_SIZES) - 1):
        if noise:
            h = h + noise[min(i, 1)] * torch.randn_like(h)
        direction = w[f"v{i}"]
        gain = w["gain"] if i == len(D_SIZES) - 2 else gains[i]
        h = torch.bmm(h, direction) * (gain / direction.square().sum(1, keepdim=True).sqrt()) + w[f"b{i}"]
        if i < len(D_SIZES) - 2:
            h = features = torch.relu(h)
    return h, features


def generate(w: dict[str, Tensor], z: Tensor) -> Tensor:
    """Images ``(M, N, 784)`` in [0, 1] of noise ``(M, N, 100)``."""
    h = z
    for i in range(2):
        h = torch.bmm(h, w[f"w{i}"])
        h = h - h.mean(1, keepdim=True)
        h = F.softplus(h * torch.rsqrt(h.square().mean(1, keepdim=True) + 1e-6) + w[f"b{i}"])
    w2 = w["w2"]
    return torch.sigmoid(
        torch.bmm(h, w2) * (w["gain"] * torch.rsqrt(w2.square().sum(1, keepdim=True) + 1e-6)) + w["b2"]
    )


class Runs:
    """M runs: each a labelled subset, two networks, and their training data."""

    def __init__(
        self, train: tuple[Tensor, Tensor], members: list[tuple[int, int]], device: str, options: argparse.Namespace
    ) -> None:
        self.noise, self.unlabelled_weight = (options.input_noise, options.hidden_noise), options.unlabelled_weight
        self.images, self.labels = train[0].flatten(1).to(device), train[1].to(device)
        self.subsets = [labelled_rows(train[1], 10, count // 10, seed).to(device) for count, seed in members]
        m, self.device = len(members), device
        d, g, gains = {}, {}, []
        for i, (a, b) in enumerate(pairwise(D_SIZES)):
            d[f"v{i}"] = torch.randn(m, a, b, device=device) * 0.1
        if options.same_weights:
            d = {name: value[:1].repeat(m, 1, 1) for name, value in d.items()}
        x = self.images[torch.rand(m, len(self.images), device=device).argsort(1)[:, :500]].float() / 255
        for i in range(len(D_SIZES) - 1):  # the data-dependent initialisation
            x = x + self.noise[min(i, 1)] * torch.randn_like(x)
            h = torch.bmm(x, d[f"v{i}"] / d[f"v{i}"].square().sum(1, keepdim=True).sqrt())
            std, mean = torch.std_mean(h, 1, keepdim=True, correction=0)
            gains.append(1 / std)
            d[f"b{i}"] = -mean / std
            x = torch.relu((h - mean) / std)
        d["gain"] = gains[-1].clone()
        for i, (a, b) in enumerate(pairwise(G_SIZES)):
            g[f"w{i}"] = (torch.rand(m, a, b, device=device) * 2 - 1) * (6 / (a + b)) ** 0.5
            g[f"b{i}"] = torch.zeros(m, 1, b, device=device)
        g["gain"] = torch.ones(m, 1, 784, device=device)
        if options.same_weights:
            g = {name: value[:1].repeat(m, 1, 1) for name, value in g.items()}
        self.gains, self.d, self.g = gains, Player(d, options.d_lr), Player(g, options.g_lr)
        self.average, self.steps = torch.zeros_like(self.d.flat), 0
        self.order = torch.zeros(3, m, len(self.images) // BATCH, BATCH, dtype=torch.int64, device=device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)
        self.losses = torch.zeros(3, device=device)

    def shuffle(self) -> None:
        """New orders for an epoch: of the labelled subset, tiled, and twice of all images."""
        n = len(self.images)
        for i, subset in enumerate(self.subsets):
            tiles = torch.rand(-(-n // len(subset)), len(subset), device=self.device).argsort(1)
            self.order[0, i] = subset[tiles.flatten()[:n]].view(-1, BATCH)
            for stream in (1, 2):
                self.order[stream, i] = torch.rand(n, device=self.device).argsort().view(-1, BATCH)
        self.at.zero_()

    def step(self) -> None:
        """The batch at ``at``: an update of D, one of G, and of the average."""
        rows = self.order.index_select(2, self.at).squeeze(2)
        self.at.add_(1)
        pixels = self.images[rows].float() / 255
        classes, m = self.labels[rows[0]], rows.shape[1]
        with torch.no_grad():
            fake = generate(self.g.weights, torch.rand(m, BATCH, 100, device=self.device))
        logits, _ = discriminate(self.d.weights, self.gains, torch.cat([pixels[0], pixels[1], fake], 1), self.noise)
        labelled, unlabelled, generated = logits.split(BATCH, 1)
        supervised = F.cross_entropy(labelled.flatten(0, 1), classes.flatten())
        real, false = torch.logsumexp(unlabelled, 2), torch.logsumexp(generated, 2)
        unsupervised = -0.5 * real.mean() + 0.5 * F.softplus(real).mean() + 0.5 * F.softplus(false).mean()
        self.d.step(m * (supervised + self.unlabelled_weight * unsupervised))
        fake = generate(self.g.weights, torch.rand(m, BATCH, 100, device=self.device))
        with torch.no_grad():
            weights = {name: value.detach() for name, value in self.d.weights.items()}
            _, on_real = discriminate(weights, self.gains, pixels[2], self.noise)
        _, on_fake = discriminate(weights, self.gains, fake, self.noise)
        matching = (on_fake.mean(1) - on_real.mean(1)).square().mean()
        self.g.step(m * matching)
        with torch.no_grad():
            self.average.lerp_(self.d.flat, RATE)
            self.losses.copy_(torch.stack([supervised, unsupervised, matching]))

    @torch.no_grad()
    def wrong(self, test: tuple[Tensor, Tensor], averaged: bool) -> tuple[list[int], Tensor]:
        """Wrong test images of each run, and the class probabilities ``(M, N, 10)``."""
        flat = self.average / (1 - (1 - RATE) ** self.steps) if averaged else self.d.flat
        weights = self.d.named(flat)
        found = []
        for images in test[0].flatten(1).to(self.device).split(2000):
            x = (images.float() / 255).expand(len(self.subsets), -1, -1)
            found.append(discriminate(weights, self.gains, x, None)[0].softmax(2))
        probabilities = torch.cat(found, 1)
        return (probabilities.argmax(2) != test[1].to(self.device)).sum(1).tolist(), probabilities


def draw(path: Path) -> None:
    """The averaged weights' error of every run over the epochs."""
    result = json.loads(path.read_text())
    runs: dict[int, dict[str, list[tuple[int, float]]]] = {}
    for i, (labels, seed) in enumerate(result["members (labels, seed)"]):
        curve = [(point["epoch"], point["averaged"][i]) for point in result["curve"]]
        runs.setdefault(labels, {})[f"seed {seed}"] = curve
    draw_errors(path.with_suffix(".png"), runs, "wrong of 10,000 test digits", TABLES["table1"].paper)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/MNIST/raw"), help="the folder of the four files")
    parser.add_argument("--labels", type=int, nargs="+", default=[100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batches", type=int, default=600, help="of an epoch")
    parser.add_argument("--every_n_epochs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--d_lr", type=float, default=3e-3)
    parser.add_argument("--g_lr", type=float, default=3e-3)
    parser.add_argument("--unlabelled_weight", type=float, default=1.0)
    parser.add_argument("--input_noise", type=float, default=0.3)
    parser.add_argument("--hidden_noise", type=float, default=0.5)
    parser.add_argument("--same_weights", action="store_true", help="all runs start alike; data and noise differ")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the noise")
    parser.add_argument("--val_size", type=int, default=0, help="training images held out, and judged")
    parser.add_argument("--tf32", action="store_true", help="products in TF32 on a GPU")
    parser.add_argument("--compile", action="store_true", help="fuse what is not a product by torch.compile")
    parser.add_argument("--until", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--draw", action="store_true", help="only draw --output")
    options = parser.parse_args()
    if options.draw:
        return draw(options.output)
    started = time.perf_counter()
    torch.manual_seed(options.seed)
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    train, test = (
        (
            read_image_file(f"{options.data}/{part}-images-idx3-ubyte"),
            read_label_file(f"{options.data}/{part}-labels-idx1-ubyte"),
        )
        for part in ("train", "t10k")
    )
    if options.val_size:  # the library's split
        shuffled = permutation(len(train[1]), "validation split")
        kept = torch.ones(len(train[1]), dtype=torch.bool)
        kept[shuffled[: options.val_size]] = False
        test = train[0][~kept], train[1][~kept]
        train = train[0][kept], train[1][kept]
    members = [(labels, seed) for labels in options.labels for seed in options.seeds]
    if options.compile:
        torch._inductor.config.fallback_random = True  # torch's own generator makes four numbers at once
        for name in ("discriminate", "generate", "adam"):
            globals()[name] = torch.compile(globals()[name])
    runs = Runs(train, members, options.device, options)
    runs.shuffle()
    replay = runs.step
    on_gpu = options.device.startswith("cuda")
    times: dict[str, float] = {}
    if on_gpu:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                runs.step()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(20):
                runs.step()
            torch.cuda.synchronize()
            times["eager_ms"] = 50 * (time.perf_counter() - start)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            runs.step()
        runs.steps += 23
        replay = graph.replay
        print(times, f"{time.perf_counter() - started:.1f} s", flush=True)
    curve: list[dict[str, Any]] = []
    start, done = time.perf_counter(), 0
    for epoch in range(1, options.epochs + 1):
        runs.shuffle()
        for _ in range(options.batches):
            replay()
        runs.steps += options.batches
        done += options.batches
        last = epoch == options.epochs or time.perf_counter() - started > options.until
        if epoch % options.every_n_epochs == 0 or last:
            losses = runs.losses.tolist()
            averaged, probabilities = runs.wrong(test, averaged=True)
            raw, _ = runs.wrong(test, averaged=False)
            times["ms"] = 1e3 * (time.perf_counter() - start) / done
            curve.append({"epoch": epoch, "averaged": averaged, "last": raw, "losses": losses})
            by_cell = torch.tensor(averaged).view(len(options.labels), -1).float()
            each = [f"{c.mean():.1f} +- {c.std(correction=0):.1f}" for c in by_cell]
            raw_each = [f"{c.mean():.1f}" for c in torch.tensor(raw).view(len(options.labels), -1).float()]
            print(
                epoch,
                f"{time.perf_counter() - started:.0f} s",
                each,
                raw_each,
                [round(x, 4) for x in losses],
                flush=True,
            )
            ensembles = [
                int((p.mean(0).argmax(1).cpu() != test[1]).sum())
                for p in probabilities.view(len(options.labels), -1, *probabilities.shape[1:])
            ]
            chosen = probabilities.argmax(2).cpu()
            pairs = torch.stack([test[1] * 10 + each for each in chosen])
            counts = [torch.bincount(each, minlength=100).view(10, 10).fill_diagonal_(0).tolist() for each in pairs]
            result = {
                "wrong by label and answer": counts,
                "members (labels, seed)": members,
                "curve": curve,
                "ensembles": dict(zip(options.labels, ensembles, strict=True)),
                "options": {
                    name: str(value) for name, value in vars(options).items() if name not in ("output", "data", "draw")
                },
                "times": times,
                "seconds": time.perf_counter() - started,
                "torch": torch.__version__,
                "device": torch.cuda.get_device_name() if on_gpu else platform.processor(),
                "peak GB": torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None,
            }
            options.output.write_text(json.dumps(result) + "\n")
        if last:
            break
    return draw(options.output)


if __name__ == "__main__":
    main()
