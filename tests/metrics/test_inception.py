"""The Inception network against torch-fidelity and torchmetrics, on real images."""

import hashlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance as TheirFrechet
from torchmetrics.image.fid import NoTrainInceptionV3

from lit_improved_gan.metrics import (
    FrechetInceptionDistance,
    InceptionFeatures,
    InceptionScore,
    KernelInceptionDistance,
    PrecisionRecall,
    inception,
)

N, BATCH = 60, 20
LAYERS = ["64", "192", "768", "2048"]
SUBSETS = {"kid_subsets": 10, "kid_subset_size": 30, "rng_seed": 2020}
UNPUBLISHED = pytest.mark.filterwarnings("ignore:.*does not hold the published weights")


def load(weights: Path, **kwargs: Any) -> InceptionFeatures:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not hold the published weights")
        return InceptionFeatures(weights, **kwargs)


@pytest.fixture(scope="module")
def pictures(real_cifar10: Path) -> dict[str, Tensor]:
    """Machines as the real images, animals as the generated ones: two distributions."""
    with np.load(real_cifar10) as arrays:
        images, labels = (torch.from_numpy(arrays[name][:600]) for name in ("train_x", "train_y"))
    machine = torch.isin(labels, torch.tensor([0, 1, 8, 9]))
    return {"real": images[machine][:N], "generated": images[~machine][:N]}


@pytest.fixture(scope="module")
def ours(inception_weights: Path, pictures) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """All measures of all images in one pass each; and the features, by kind and layer."""
    extractor = load(inception_weights)
    metrics = [
        *(FrechetInceptionDistance(extractor, layer) for layer in LAYERS),
        KernelInceptionDistance(extractor, subsets=10, subset_size=30, max_samples=N),
        InceptionScore(extractor, splits=5, num_samples=N),
        PrecisionRecall(extractor, neighbours=3, max_samples=N),
    ]
    features: dict[str, dict[str, Tensor]] = {}
    for kind, images in pictures.items():
        parts = []
        for batch in images.split(BATCH):
            for metric in metrics:
                metric.update(batch, real=kind == "real")
            parts.append(extractor(batch))
        features[kind] = {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
    found: dict[str, Tensor] = {}
    for metric in metrics:
        found |= metric.compute()
    return found, features


@pytest.fixture(scope="module")
def theirs(inception_weights: Path, pictures, tmp_path_factory) -> Callable[..., dict[str, float]]:
    """torch-fidelity's own measures of the same images in two folders."""
    folder = tmp_path_factory.mktemp("pictures")
    for kind, images in pictures.items():
        (folder / kind).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / kind / f"{i:03}.png")

    def call(**kwargs: Any) -> dict[str, float]:
        found: dict[str, float] = torch_fidelity.calculate_metrics(
            input1=str(folder / "generated"),
            input2=str(folder / "real"),
            feature_extractor="inception-v3-compat",
            feature_extractor_weights_path=str(inception_weights),
            cuda=False,
            batch_size=BATCH,
            save_cpu_ram=True,
            samples_shuffle=False,
            cache=False,
            verbose=False,
            **kwargs,
        )
        return found

    return call


@pytest.fixture(scope="module")
def all_theirs(theirs) -> dict[str, float]:
    return theirs(fid=True, kid=True, isc=True, prc=True, isc_splits=5, prc_neighborhood=3, **SUBSETS)


@pytest.mark.parametrize("layer", ["64", "192", "768"])
def test_fid_of_early_layers_is_torch_fidelitys(ours, theirs, layer: str) -> None:
    expected = theirs(fid=True, feature_layer_fid=layer)["frechet_inception_distance"]
    assert ours[0][f"fid{layer}"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "their_name"),
    [
        ("fid2048", "frechet_inception_distance"),
        ("inception_score", "inception_score_mean"),
        ("inception_score_std", "inception_score_std"),
        ("precision2048", "precision"),
        ("recall2048", "recall"),
    ],
)
def test_values_are_torch_fidelitys(ours, all_theirs, name: str, their_name: str) -> None:
    assert ours[0][name].item() == pytest.approx(all_theirs[their_name], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "their_name"), [("kid2048", KEY_METRIC_KID_MEAN), ("kid2048_std", KEY_METRIC_KID_STD)]
)
def test_kid_is_torch_fidelitys_but_for_its_rounding(ours, all_theirs, name: str, their_name: str) -> None:
    """It is 0.0036 here, the difference of kernels of about 1.4, which they have in float32: 1e-7 is 3e-5 of it.

    Their formula for the same features in float64 gives ours.
    """
    found, features = ours
    double = [features[kind]["2048"].double() for kind in ("generated", "real")]
    in_double = kid_features_to_metric(*double, verbose=False, **SUBSETS)[their_name]
    assert found[name].item() == pytest.approx(in_double, rel=1e-10)
    assert abs(found[name].item() - all_theirs[their_name]) <= 2 * torch.finfo(torch.float32).eps


def test_the_inception_score_is_torch_fidelitys_of_the_same_logits(ours) -> None:
    """The features themselves differ in the last digits of float32, as the weights lie in another order in memory."""
    found, features = ours
    expected = isc_features_to_metric(features["generated"]["logits_unbiased"], splits=5, shuffle=False)
    assert found["inception_score"].item() == pytest.approx(expected[KEY_METRIC_ISC_MEAN], rel=1e-12)
    assert found["inception_score_std"].item() == pytest.approx(expected[KEY_METRIC_ISC_STD], rel=1e-10)


def test_the_keys_say_the_layer(ours) -> None:
    names = [f"{measure}2048" for measure in ("precision", "recall", "density", "coverage")]
    fids = [f"fid{layer}" for layer in LAYERS]
    assert list(ours[0]) == [*fids, "kid2048", "kid2048_std", "inception_score", "inception_score_std", *names]


def test_layers_have_their_sizes_and_need_no_deeper_ones(ours, inception_weights: Path, pictures) -> None:
    features = ours[1]["real"]
    sizes = {"64": 64, "192": 192, "768": 768, "2048": 2048, "logits_unbiased": 1008}
    assert {layer: x.shape[1] for layer, x in features.items()} == sizes
    extractor = load(inception_weights)
    extractor.network.Conv2d_3b_1x1.register_forward_hook(lambda *args: pytest.fail("deeper than asked for"))
    extractor.want("64")
    alone = extractor(pictures["real"][:BATCH] / 127.5 - 1)
    assert list(alone) == ["64"]
    torch.testing.assert_close(alone["64"], features["64"][:BATCH], rtol=1e-5, atol=1e-6)


def test_the_network_is_frozen(inception_weights: Path) -> None:
    extractor = load(inception_weights)
    assert not any(p.requires_grad for p in extractor.parameters())
    assert not any(module.training for module in extractor.train().modules())
    with pytest.raises(ValueError, match=r"`layer`.*InceptionFeatures: '64', '192'.*Found '100'"):
        FrechetInceptionDistance(extractor, "100")


@pytest.fixture(scope="module")
def of_torchmetrics(inception_weights: Path) -> InceptionFeatures:
    return load(inception_weights, mode="torchmetrics")


@pytest.fixture(scope="module")
def their_network(inception_weights: Path) -> NoTrainInceptionV3:
    layers = [*LAYERS, "logits_unbiased"]
    return NoTrainInceptionV3("inception-v3-compat", layers, str(inception_weights))  # type: ignore[arg-type]


class TestTorchmetrics:
    """The mode that gives torchmetrics' numbers."""

    def test_features_are_theirs(self, of_torchmetrics, their_network, ours, pictures) -> None:
        """Bit for bit with the weights in the same order in memory; in their own order to the last digits."""
        images = pictures["real"][:4]
        for layer in of_torchmetrics.sizes:
            of_torchmetrics.want(layer)
        found = of_torchmetrics(images)
        their_network.features_list = list(found)
        plain = their_network._torch_fidelity_forward(images)
        for parameter, own in zip(their_network.parameters(), of_torchmetrics.network.parameters(), strict=True):
            parameter.data = parameter.data.contiguous(
                memory_format=torch.channels_last
                if own.dim() == 4 and own.is_contiguous(memory_format=torch.channels_last)
                else torch.contiguous_format
            )
        for expected, close, (layer, x) in zip(
            their_network._torch_fidelity_forward(images), plain, found.items(), strict=True
        ):
            assert torch.equal(x, expected), layer
            torch.testing.assert_close(x, close, rtol=1e-4, atol=1e-5 * float(close.abs().max()))
            assert (x - ours[1]["real"][layer][:4]).abs().max() > 1e-3 * x.abs().max()  # of the other mode

    def test_fid_is_theirs_and_another_than_the_papers(self, inception_weights, their_network, ours, pictures) -> None:
        their_network.features_list = ["64"]
        expected = TheirFrechet(feature=their_network)
        found = FrechetInceptionDistance(load(inception_weights, mode="torchmetrics"), "64")
        for kind, images in pictures.items():
            for batch in images.split(BATCH):
                for metric in (expected, found):
                    metric.update(batch, real=kind == "real")
        values = found.compute()
        assert list(values) == ["fid64_torchmetrics"]
        assert values["fid64_torchmetrics"].item() == pytest.approx(expected.compute().item(), rel=1e-5)
        assert abs(values["fid64_torchmetrics"] / ours[0]["fid64"] - 1) > 0.01

    def test_keys_and_fingerprints_tell_the_modes_apart(self, of_torchmetrics, inception_weights: Path) -> None:
        other = load(inception_weights)
        assert of_torchmetrics.fingerprint != other.fingerprint
        assert of_torchmetrics.key("fid", "2048") == "fid2048_torchmetrics"
        assert of_torchmetrics.key("inception_score", "logits_unbiased") == "inception_score_torchmetrics"
        assert other.key("fid", "2048") == "fid2048"
        assert of_torchmetrics.is_inception
        assert other.is_inception


def test_an_unknown_mode_is_refused(inception_weights: Path) -> None:
    with pytest.raises(ValueError, match=r"`mode` of InceptionFeatures.*'tf1' or 'torchmetrics'\. Found 'tf2'"):
        InceptionFeatures(inception_weights, mode="tf2")  # type: ignore[arg-type]


def test_weights_that_are_not_the_published_ones_are_said(inception_weights: Path, monkeypatch) -> None:
    monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(inception_weights))
    with pytest.warns(UserWarning, match=r"inception-768\.pth does not hold the published weights.*6726825d"):
        extractor = InceptionFeatures()
    assert not extractor.weights_are_published
    assert extractor.weights_sha256[:16] in extractor.fingerprint


class TestFiles:
    """Without the weights."""

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch) -> Iterator[Path]:
        """Torch's folder of downloads, empty; no file named by the environment."""
        before = torch.hub._hub_dir
        monkeypatch.delenv(inception.WEIGHTS_VARIABLE, raising=False)
        torch.hub.set_dir(str(tmp_path / "hub"))
        yield tmp_path / "hub" / "checkpoints"
        torch.hub._hub_dir = before

    def test_a_file_that_is_not_there(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setenv(inception.WEIGHTS_VARIABLE, str(tmp_path / "environment.pth"))
        with pytest.raises(FileNotFoundError, match=r"LIT_IMPROVED_GAN_INCEPTION names.*not there: .*environment\.pth"):
            InceptionFeatures()
        for given in (tmp_path / "given.pth", str(tmp_path / "given.pth"), tmp_path, ""):
            with pytest.raises(
                FileNotFoundError, match=r"`weights` of InceptionFeatures names a file that is not there"
            ):
                InceptionFeatures(given)

    @pytest.mark.parametrize("mode", ["tf1", "torchmetrics"])
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "Found a damaged file"),
            (b"<html>not found</html>", "Found a damaged file"),
            ({"fc.weight": torch.zeros(1008, 2048)}, "as torch-fidelity has them. Found others"),
            ([torch.zeros(3)], "as torch-fidelity has them. Found others"),
            (torch.zeros(3), "as torch-fidelity has them. Found others"),
        ],
        ids=["empty", "text", "other", "list", "tensor"],
    )
    @UNPUBLISHED
    def test_a_file_with_something_else(self, tmp_path: Path, mode, content, words: str) -> None:
        path = tmp_path / "file.pth"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(ValueError, match=rf"file\.pth should hold the weights of the Inception network.*{words}"):
            InceptionFeatures(path, mode=mode)

    @UNPUBLISHED
    def test_a_file_that_was_cut(self, tmp_path: Path) -> None:
        torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pth")
        (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
        with pytest.raises(ValueError, match=r"cut\.pth.*Found a damaged file"):
            InceptionFeatures(tmp_path / "cut.pth")

    @UNPUBLISHED
    @pytest.mark.parametrize("mode", ["tf1", "torchmetrics"])
    def test_code_in_a_file_is_never_run(self, tmp_path: Path, mode) -> None:
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "was_run"), "w"))

        torch.save({"fc.weight": Evil()}, tmp_path / "evil.pth")
        with pytest.raises(ValueError, match=r"evil\.pth.*Found a damaged file"):
            InceptionFeatures(tmp_path / "evil.pth", mode=mode)
        assert not (tmp_path / "was_run").exists()

    def test_no_network_and_no_file(self, hub: Path, monkeypatch) -> None:
        def unreachable(*args: object, **kwargs: object) -> None:
            raise URLError("no route to host")

        monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
        words = r"could not be downloaded \(.*no route to host.*Connect.*`weights`.*LIT_IMPROVED_GAN_INCEPTION"
        with pytest.raises(FileNotFoundError, match=words):
            InceptionFeatures()

    def test_a_download_of_another_file_is_refused(self, hub: Path, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / "weights.pth").write_bytes(b"others")
        monkeypatch.setattr(inception, "_URL", (tmp_path / "weights.pth").as_uri())
        with pytest.raises(FileNotFoundError, match=r"could not be downloaded \(invalid hash value.*6726825d"):
            InceptionFeatures()
        assert not list(hub.iterdir())

    def test_a_download_is_kept(self, hub: Path, tmp_path: Path, monkeypatch) -> None:
        source = tmp_path / "weights.pth"
        torch.save({"a": torch.zeros(3)}, source)
        monkeypatch.setattr(inception, "_URL", source.as_uri())
        monkeypatch.setattr(inception, "_HASH", hashlib.sha256(source.read_bytes()).hexdigest()[:8])
        built = []
        monkeypatch.setattr(inception, "_build", lambda path, mode: built.append(path) or torch.nn.Identity())
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # not even that the weights are not the published ones
            assert InceptionFeatures().weights_are_published
            source.unlink()
            assert InceptionFeatures().weights_are_published
        assert built == [hub / "weights.pth"] * 2
