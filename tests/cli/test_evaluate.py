"""`evaluate`: images of a folder, an archive or a data set against others; bad input in one message."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import expect
from PIL import Image

from lit_improved_gan import DigitsDataModule
from lit_improved_gan.cli.image_source import image_source
from lit_improved_gan.metrics import load_classifier

OPTIONS = """
extractor:
  class_path: lit_improved_gan.NetworkFeatures
  init_args: {name: digits, layers: ["", "layers.4"], network: lit_improved_gan.metrics.load_classifier}
metrics:
  - class_path: lit_improved_gan.FrechetInceptionDistance
    init_args: {layer: ""}
cache: cache
"""
SCORE = "--metrics=[{class_path: lit_improved_gan.InceptionScore, init_args: {layer: '', splits: 2}}]"
FID = "--metrics+=[{class_path: lit_improved_gan.FrechetInceptionDistance, init_args: {layer: ''}}]"
INCEPTION = "--extractor=lit_improved_gan.InceptionFeatures"


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """40 of the test images, ``(40, 1, 8, 8)``, uint8."""
    data = DigitsDataModule()
    data.setup()
    return data.real_images("test")[:40].numpy()


def save(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture
def evaluate(run, tmp_path):
    """Run it with a small network in place of Inception's."""
    (tmp_path / "options.yaml").write_text(OPTIONS)
    return lambda *args: run("evaluate", "-c", "options.yaml", *args)


@pytest.fixture
def pictures(tmp_path, digits) -> Path:
    return save(tmp_path / "pictures", digits)


@pytest.fixture
def others(tmp_path, digits) -> Path:
    """Other images, as an archive."""
    np.savez(tmp_path / "others.npz", images=np.flip(digits, axis=3))
    return tmp_path / "others.npz"


def value(result, name: str = "fid_digits") -> float:
    assert result.status == 0, result.err
    return float(result.out.split(f"{name}: ")[1].splitlines()[0])


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """Of the classifier's logits, by another way: eigenvalues of the product."""
    network = load_classifier()
    a, b = (network(torch.tensor(v.copy()).float() / 127.5 - 1).double().numpy() for v in (x, y))
    c, d = np.cov(a.T), np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(c @ d).real.clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * root)


# --- where images come from ---


def test_the_value_is_that_of_the_formula_and_a_set_against_itself_gives_zero(evaluate, pictures, others, digits):
    found = value(evaluate("--generated", pictures, "--real", others))
    assert found == pytest.approx(frechet(digits, np.flip(digits, axis=3)), rel=1e-4)
    assert found > 1
    assert abs(value(evaluate("--generated", pictures, "--real", pictures))) < 1e-6


def test_the_same_images_are_the_same_wherever_they_come_from(evaluate, pictures, others, digits, tmp_path) -> None:
    np.savez(tmp_path / "one.npz", any_name=digits)
    np.savez(tmp_path / "several.npz", images=digits, labels=np.arange(40), more=digits[:9])
    np.savez(tmp_path / "data.npz", train_x=digits, test_x=digits[:9])
    np.savez(tmp_path / "last.npz", images=digits.transpose(0, 2, 3, 1))
    np.savez(tmp_path / "colour.npz", images=digits.repeat(3, axis=1))
    save(tmp_path / "rgb", digits.repeat(3, axis=1))
    (tmp_path / "deep" / "a" / "b").mkdir(parents=True)
    (tmp_path / "deep" / "folder.png").mkdir()
    (tmp_path / "deep" / "notes.txt").write_text("no image")
    for i, image in enumerate(sorted(pictures.iterdir())):
        image_of = tmp_path / "deep" / ("a" if i % 2 else "a/b") / (image.name if i % 3 else f"{image.stem}.PNG")
        image_of.write_bytes(image.read_bytes())
    expected = value(evaluate("--generated", pictures, "--real", others))
    for spec in ("one.npz", "several.npz", "several.npz:images", "data.npz:train_x", "last.npz", "colour.npz", "rgb"):
        assert value(evaluate("--generated", spec, "--real", others)) == pytest.approx(expected, rel=1e-9), spec
    result = evaluate("--generated", "deep", "--real", others)
    assert value(result) == pytest.approx(expected, rel=1e-5)  # in another order
    assert "deep: 40 images\n" in result.out
    first = evaluate("--generated", "lit_improved_gan.DigitsDataModule:test", "--real", others, "--num_samples=40")
    assert value(first) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
def test_images_come_in_order_whatever_the_batches(pictures, digits, tmp_path, size: int) -> None:
    np.savez(tmp_path / "last.npz", images=digits.transpose(0, 2, 3, 1))
    for spec in (str(pictures), str(tmp_path / "last.npz")):
        source = image_source(spec)
        batches = list(source.batches(size))
        assert len(source) == 40
        assert {len(batch) for batch in batches[:-1]} <= {size}
        assert np.array_equal(torch.cat(batches).numpy(), digits)
    images = image_source("lit_improved_gan.DigitsDataModule:train", n=30)
    data = DigitsDataModule()
    data.setup()
    assert torch.equal(torch.cat(list(images.batches(size))), data.real_images("train")[:30])


def test_only_the_first_images_count_where_a_number_is_given(evaluate, pictures, others, digits) -> None:
    result = evaluate("--generated", pictures, "--real", others, "--num_samples=30")
    assert value(result) == pytest.approx(frechet(digits[:30], np.flip(digits[:30], axis=3)), rel=1e-4)
    assert result.out.count(": 30 images\n") == 2


def test_the_batch_size_makes_no_difference(evaluate, pictures, others, tmp_path) -> None:
    options = "{layer: layers.4, subset_size: 9, subsets: 2, max_samples: 40}"
    kid = f"--metrics+=[{{class_path: lit_improved_gan.KernelInceptionDistance, init_args: {options}}}]"
    found = []
    for n in (1, 7, 100):
        command = (
            "--generated",
            pictures,
            "--real",
            others,
            f"--batch_size={n}",
            f"--cache=cache{n}",
            "--output=found",
        )
        assert evaluate(*command, SCORE, FID, kid).status == 0
        found.append({k: v for k, v in json.loads((tmp_path / "found").read_text()).items() if "digits" in k})
    assert len(found[0]) == 5
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)


def test_a_score_needs_no_real_images(evaluate, pictures, digits) -> None:
    p = load_classifier()(torch.tensor(digits).float() / 127.5 - 1).double().softmax(1)
    scores = [torch.exp((q * (q / q.mean(0)).log()).sum(1).mean()).item() for q in p.split(20)]
    result = evaluate("--generated", pictures, SCORE)
    assert value(result, "classifier_score_digits") == pytest.approx(np.mean(scores), rel=1e-4)
    assert value(result, "classifier_score_digits_std") == pytest.approx(np.std(scores), rel=1e-3)


def test_values_are_written_as_json_with_what_they_are_of(evaluate, pictures, others, tmp_path) -> None:
    result = evaluate("--generated", pictures, "--real", others, "--output=found.json")
    record = json.loads((tmp_path / "found.json").read_text())
    assert record["fid_digits"] == pytest.approx(value(result), rel=1e-5)
    assert (record["generated"], record["real"], record["images"]) == (str(pictures), str(others), [40, 40])
    assert record["features"].startswith("digits-")


def test_real_images_are_measured_once_and_again_where_they_changed(
    evaluate, pictures, others, digits, tmp_path, monkeypatch
) -> None:
    from lit_improved_gan.metrics import NetworkFeatures

    passed = []
    extract = NetworkFeatures.extract
    monkeypatch.setattr(NetworkFeatures, "extract", lambda self, x: (passed.append(len(x)), extract(self, x))[1])

    def images_that_pass(*args) -> int:
        passed.clear()
        assert evaluate("--generated", pictures, "--real", others, *args).status == 0
        return sum(passed) - 2  # the constructor shows it two

    assert images_that_pass() == 80
    assert images_that_pass() == 40
    np.savez(others, images=np.flip(digits, axis=2))
    assert images_that_pass() == 80
    assert images_that_pass("--num_samples=30") == 60
    others = save(tmp_path / "folder", np.flip(digits, axis=3))
    assert images_that_pass() == 80
    assert images_that_pass() == 40
    (others / "000.png").write_bytes((others / "001.png").read_bytes())
    assert images_that_pass() == 80
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="is damaged: the real images are measured again"):
        assert images_that_pass() == 80


def test_inception_features_of_a_few_images(run, pictures, inception_weights, tmp_path) -> None:
    command = ("evaluate", "--weights", inception_weights, "--layer=64", "--cache=cache", "--num_samples=10")
    with pytest.warns(UserWarning, match="compares with no paper"):
        result = run(*command, "--generated", pictures, "--real", pictures, "--output=found.json")
    assert result.status == 0, result.err
    assert "KID is taken of subsets of 10 images" in result.out
    found = json.loads((tmp_path / "found.json").read_text())
    measures = {"inception_score", "fid64", "kid64", "precision64", "recall64", "density64", "coverage64"}
    others = {"inception_score_std", "kid64_std", "generated", "real", "images", "features"}
    assert found.keys() == measures | others
    assert abs(found["fid64"]) < 1e-6
    assert found["precision64"] == found["recall64"] == found["coverage64"] == 1
    assert found["inception_score"] == pytest.approx(1)  # ten groups, of one image each


# --- bad input ---

DAMAGE = {
    "empty": lambda raw: b"",
    "text": lambda raw: b"not an image",
    "cut off": lambda raw: raw[: len(raw) // 2],
    "a bit": lambda raw: raw[:50] + bytes([raw[50] ^ 255]) + raw[51:],
    "the size": lambda raw: raw[:20] + b"\xff" * 4 + raw[24:],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_broken_image_is_named_and_passed_over_only_when_asked(evaluate, pictures, others, digits, kind: str) -> None:
    broken = pictures / "005.png"
    broken.write_bytes(DAMAGE[kind](broken.read_bytes()))
    command = ("--generated", pictures, "--real", others)
    expect(evaluate(*command), str(broken), "no image that can be read", "--skip_broken=true")
    result = evaluate(*command, "--skip_broken=true")
    assert f"{pictures}: 39 images, 1 that cannot be read are passed over: {broken}\n" in result.out
    left = np.delete(digits, 5, axis=0)
    assert value(result) == pytest.approx(frechet(left, np.flip(digits, axis=3)), rel=1e-4)


def test_an_image_of_16_bits_is_not_clipped(evaluate, pictures, others) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(pictures / "005.png")
    words = (str(pictures / "005.png"), "mode I;16", "8 bits a channel")
    expect(evaluate("--generated", pictures, "--real", others), *words)


def test_the_next_image_takes_the_place_of_a_broken_one(evaluate, pictures, others, digits) -> None:
    (pictures / "005.png").write_bytes(b"")
    command = ("--generated", pictures, "--real", others, "--num_samples=30", "--skip_broken=true")
    left = np.delete(digits, 5, axis=0)[:30]
    assert value(evaluate(*command)) == pytest.approx(frechet(left, np.flip(digits[:30], axis=3)), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 50])
@pytest.mark.parametrize("other", [np.zeros((1, 9, 9), np.uint8), np.zeros((3, 8, 8), np.uint8)])
def test_images_that_differ_in_size_or_channels(evaluate, pictures, others, tmp_path, other, batch_size: int) -> None:
    save(tmp_path / "odd", [other])
    (tmp_path / "odd" / "000.png").rename(pictures / "020.png")
    result = evaluate("--generated", pictures, "--real", others, f"--batch_size={batch_size}")
    expect(result, "one size", "(1, 8, 8)", str(pictures / "000.png"), str(other.shape), str(pictures / "020.png"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--real=pictures"], ["generated"]),
        (["--generated=pictures"], ["--real is needed"]),
        (["--generated=nothing"], ["'nothing'", "a folder", "CLASS:SPLIT"]),
        (["--generated=none.npz"], ["none.npz", "No such file"]),
        (["--generated=empty"], ["no images in empty", ".png"]),
        (["--generated=others.npz:nope"], ["others.npz", "'nope'", "['images']"]),
        (["--generated=two.npz"], ["two.npz", "['a', 'b']", "two.npz:ARRAY"]),
        (["--generated=float.npz"], ["float.npz", "uint8", "float64"]),
        (["--generated=grey.npz"], ["grey.npz", "(N, C, H, W)", "(40, 8, 8)"]),
        (["--generated=none_in_it.npz"], ["no images in none_in_it.npz"]),
        (["--generated=array.npz"], ["array.npz", "single array"]),
        (["--generated=cut_off.npz"], ["cut_off.npz", "can be read"]),
        (["--generated=damaged.npz"], ["damaged.npz", "can be read"]),
        (["--generated=text.npz"], ["text.npz", "can be read"]),
        (["--generated=lit_improved_gan.NoSuch:train"], ["no datamodule lit_improved_gan.NoSuch"]),
        (["--generated=no_such.Module:train"], ["no datamodule no_such.Module"]),
        (["--generated=lit_improved_gan.GAN:train"], ["lit_improved_gan.GAN is no datamodule"]),
        (["--generated=lit_improved_gan.ArrayDataModule:test"], ["ArrayDataModule", "--root", "'path'"]),
        (["--generated=lit_improved_gan.DigitsDataModule:tset"], ["'train', 'val', 'test'", "'tset'"]),
        (["--generated=lit_improved_gan.DigitsDataModule:val"], ["no images in lit_improved_gan.DigitsDataModule:val"]),
        (["--num_samples=500"], ["pictures should have 500 images", "--num_samples", "Found 40"]),
        (["--num_samples=1"], ["--num_samples", "2 or more", "Found 1"]),
        (["--num_samples=-5"], ["--num_samples", "2 or more", "Found -5"]),
        (["--num_samples=x"], ["num_samples", "x"]),
        (["--batch_size=0"], ["--batch_size", "1 or more", "Found 0"]),
        (["--layer=99"], ["layer", "99", "'2048'"]),
        (["--mode=tf2"], ["mode", "tf2", "'torchmetrics'"]),
        (["--layer=768"], ["--layer would be ignored", "--metrics"]),
        (["--weights=none.pth", "--mode=tf1"], ["--weights and --mode would be ignored", "--extractor"]),
        (["--num_samplez=5"], ["--num_samplez"]),
        (["--num_sample=5"], ["--num_sample"]),
        (["--output=nowhere/found.json"], ["--output", "no folder nowhere"]),
        (["-c=none.yaml"], ["none.yaml"]),
        (["--metrics=[lit_improved_gan.FrechetDistance]"], ["metrics", "FrechetDistance"]),
        (["--metrics=[{class_path: lit_improved_gan.FrechetInceptionDistance, init_args: {layer: zz}}]"],
         ["`layer`", "NetworkFeatures", "'layers.4'", "'zz'"]),
        (["--metrics=[{class_path: lit_improved_gan.KernelInceptionDistance, init_args: {layer: ''}}]"],
         ["`subset_size`", "40", "1000"]),
        (["--extractor.layers=[zz]"], ["`layers` of NetworkFeatures", "['zz']"]),
        ([INCEPTION, "--extractor.weights=none.pth"], ["`weights` of InceptionFeatures", "none.pth"]),
    ],
    ids=lambda value: value[0].lstrip("-") if isinstance(value, list) and value[0].startswith("-") else "",
)  # fmt: skip
def test_bad_input(evaluate, tmp_path, pictures, others, digits, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "two.npz", a=digits, b=digits)
    np.savez(tmp_path / "float.npz", images=digits / 255)
    np.savez(tmp_path / "grey.npz", images=digits[:, 0])
    np.savez(tmp_path / "none_in_it.npz", images=digits[:0])
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, digits)
    whole = others.read_bytes()
    (tmp_path / "cut_off.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "damaged.npz").write_bytes(whole[:300] + b"damage" + whole[306:])
    (tmp_path / "text.npz").write_text("no archive")
    given = [] if arguments[0].startswith(("--generated", "--real")) else ["--generated=pictures", "--real=others.npz"]
    if arguments[0] not in ("--generated=pictures", "--real=pictures"):
        given += ["--real=others.npz"]
    expect(evaluate(*given, *arguments), *words)
    assert not list(tmp_path.glob("cache/*"))


def test_weights_that_are_not_there(run, pictures, monkeypatch) -> None:
    expect(run("evaluate", "--generated", pictures, "--weights=none.pth"), "`weights` of InceptionFeatures", "none.pth")
    monkeypatch.setenv("LIT_IMPROVED_GAN_INCEPTION", "gone.pth")
    expect(run("evaluate", "--generated", pictures), "LIT_IMPROVED_GAN_INCEPTION", "gone.pth")


def test_an_extractor_needs_metrics(run, pictures) -> None:
    network = "--extractor.network=lit_improved_gan.metrics.load_classifier"
    extractor = ("--extractor=lit_improved_gan.NetworkFeatures", network, "--extractor.name=digits")
    expect(run("evaluate", "--generated", pictures, *extractor), "--extractor needs --metrics")


def test_code_in_an_archive_is_never_run(evaluate, others, tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was_run"), "w"))

    np.savez(tmp_path / "evil.npz", images=np.array([Evil()] * 2, dtype=object))
    expect(evaluate("--generated=evil.npz", "--real", others), "evil.npz", "can be read")
    assert not (tmp_path / "was_run").exists()


def test_help_names_every_option(run, capfd) -> None:
    with pytest.raises(SystemExit) as stop:
        run("evaluate", "--help")
    assert stop.value.code == 0
    out = capfd.readouterr().out
    for option in ("--generated", "--real", "--num_samples", "--weights", "--layer", "--skip_broken", "--output"):
        assert option in out
