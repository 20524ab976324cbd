"""The transcriptions themselves: central finite differences of every gradient, and edge values."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers.references import adam
from helpers.references import adversarial as adv
from helpers.references import feature_matching as fm
from helpers.references import historical_averaging as ha
from helpers.references import minibatch_discrimination as mbd
from helpers.references import mnist_step as ms
from helpers.references import semi_supervised as ssl
from helpers.references import virtual_batch_norm as vbn
from numpy.typing import NDArray

Array = NDArray[np.float64]
Three = tuple[Array, Array, Array]
Loss = Callable[[Array, Array, Array], float]

TOLERANCE = 1e-6
EXTREME = np.array([-1e4, 1e4, 0.0])


def numeric_grad(function: Callable[[Array], float], at: Array, h: float = 1e-5) -> Array:
    """Central differences of a scalar function of an array."""
    grad = np.zeros_like(at)
    for index in np.ndindex(*at.shape):
        up = at.copy()
        down = at.copy()
        up[index] += h
        down[index] -= h
        grad[index] = (function(up) - function(down)) / (2.0 * h)
    return grad


def check(name: str, passed: bool, note: str = "") -> None:
    """One result, by name."""
    assert passed, f"{name} {note}".rstrip()


def check_grad(name: str, function: Callable[[Array], float], at: Array, analytic: Array) -> None:
    """Largest difference of analytic and numeric gradient over the largest entry; a zero gradient fails."""
    numeric = numeric_grad(function, at)
    size = float(np.max(np.abs(numeric)))
    error = float(np.max(np.abs(analytic - numeric))) / size if size > 0.0 else np.inf
    check(f"grad {name}", analytic.shape == at.shape and error < TOLERANCE, f"relative error {error:.1e}")


def near(a: object, b: object, tolerance: float = 1e-12) -> bool:
    """Whether two arrays agree to a relative and absolute tolerance, shapes included."""
    p, q = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return p.shape == q.shape and bool(np.allclose(p, q, rtol=tolerance, atol=tolerance))


def check_layer_grads(
    x: Array,
    theta: Array,
    log_scale: Array,
    bias: Array,
    g: Array,
    groups: list[int] | None,
    average: bool,
) -> None:
    """The whole layer's gradients (paper section 3.2)."""

    def value(x_: Array, theta_: Array, scale_: Array, bias_: Array) -> float:
        return float(np.sum(g * mbd.features(x_, theta_, scale_, bias_, groups, average)))

    dx, dtheta, dscale, dbias = mbd.features_grad(x, theta, log_scale, g, groups, average)
    tag = f"mbd.features groups={groups} average={average}"
    check_grad(f"{tag} x", lambda a: value(a, theta, log_scale, bias), x, dx)
    check_grad(f"{tag} theta", lambda a: value(x, a, log_scale, bias), theta, dtheta)
    check_grad(f"{tag} log_scale", lambda a: value(x, theta, a, bias), log_scale, dscale)
    check_grad(f"{tag} bias", lambda a: value(x, theta, log_scale, a), bias, dbias)


def check_minibatch_discrimination(rng: np.random.Generator) -> None:
    """Paper section 3.2."""
    m = rng.normal(size=(6, 3, 2)) * 0.7
    g = rng.normal(size=(6, 3))
    check_grad("mbd.closeness", lambda a: float(np.sum(g * mbd.closeness(a))), m, mbd.closeness_grad(m, g))
    gj = rng.normal(size=(6, 6))
    joint_grad = mbd.joint_closeness_grad(m, gj)
    check_grad("mbd.joint_closeness", lambda a: float(np.sum(gj * mbd.joint_closeness(a))), m, joint_grad)

    x = rng.normal(size=(7, 4))
    theta = rng.normal(size=(4, 3, 2))
    log_scale = rng.normal(size=(3, 2)) * 0.3
    bias = rng.normal(size=3)
    gf = rng.normal(size=(7, 7))
    cases: list[tuple[list[int] | None, bool]] = [(None, False), (None, True), ([3, 4], False), ([2, 1, 4], True)]
    for groups, average in cases:
        check_layer_grads(x, theta, log_scale, bias, gf, groups, average)

    check("mbd batch of one is zero", near(mbd.closeness(m[:1]), np.zeros((1, 3)), 0.0))
    check(
        "mbd batch of one averaged is the bias",
        near(mbd.features(x[:1], theta, log_scale, bias, None, True)[0, 4:], bias),
    )
    check("mbd equal samples give N - 1", near(mbd.closeness(np.zeros((5, 2, 3))), np.full((5, 2), 4.0)))
    check("mbd equal samples have zero gradient", not np.any(mbd.closeness_grad(np.zeros((5, 2, 3)), np.ones((5, 2)))))
    by_hand = np.exp(-np.abs(m[0, 1] - m[1, 1]).sum())
    check("mbd two samples by hand", near(mbd.closeness(m[:2])[:, 1], [by_hand, by_hand]))
    parts = [mbd.features(x[:3], theta, log_scale, bias), mbd.features(x[3:], theta, log_scale, bias)]
    check(
        "mbd groups are separate passes", near(mbd.features(x, theta, log_scale, bias, [3, 4]), np.concatenate(parts))
    )
    w = mbd.normalised_projection(theta, log_scale)
    check("mbd column norms are exp(log_scale)", near(np.sqrt(np.sum(w**2, axis=0)), np.exp(log_scale)))

    x0 = rng.normal(size=(30, 8))
    theta0 = 0.05 * rng.normal(size=(8, 4, 5))
    for average in (False, True):
        scale0, bias0 = mbd.initialise(x0, theta0, average)
        out = mbd.features(x0, theta0, scale0, bias0, None, average)[:, 8:]
        check(f"mbd init centres the features, average={average}", near(out.mean(axis=0), np.zeros(4)))
        nearest = mbd.nearest_distance(mbd.project(x0, mbd.normalised_projection(theta0, scale0)))
        check(f"mbd init: mean nearest distance is 2, average={average}", near(nearest.mean(axis=0), np.full(4, 2.0)))
    dead = mbd.closeness(mbd.project(rng.normal(size=(40, 192)), rng.normal(size=(192, 10, 5))))
    note = f"median {np.median(dead):.1e}, max {dead.max():.1e}"
    check("mbd raw N(0, 1) tensor is dead", bool(np.median(dead) < 1e-8 and dead.max() < 1e-2), note)
    x1 = rng.normal(size=(100, 8))
    scale1, bias1 = mbd.initialise(x1, theta0)
    start = mbd.features(x1, theta0, scale1, bias1, [20] * 5)[:, 8:].mean(axis=0) / -bias1
    close = bool(np.all(np.abs(start + 80.0 / 99.0) < 0.05))
    check(
        "mbd init: in fifths of the batch the features start near -0.8 of the mean closeness",
        close,
        f"{start.round(2)}",
    )

    ones = mbd.joint_closeness(np.zeros((32, 2, 3)))
    check("mbd joint, B = 16: total per column is 1", near(ones.sum(axis=0), np.ones(4)))
    check("mbd joint, own half 15/496 and other 16/496", near(ones[0], np.array([15, 15, 16, 16]) / 496.0))
    check("mbd joint, generated sample", near(ones[-1], np.array([16, 16, 15, 15]) / 496.0))
    joint = mbd.joint_closeness(m) * 15.0
    check("mbd joint halves add up to closeness", near(joint[:, :3] + joint[:, 3:], mbd.closeness(m)))
    check(
        "mbd joint own halves", near(joint[:3, :3], mbd.closeness(m[:3])) and near(joint[3:, 3:], mbd.closeness(m[3:]))
    )


def check_vbn_shape(rng: np.random.Generator, shape: tuple[int, ...], ref_shape: tuple[int, ...]) -> None:
    """Virtual batch normalisation for one shape (paper section 3.5)."""
    x = rng.normal(size=shape) * 1.5 + 0.3
    ref = rng.normal(size=ref_shape) - 0.4
    gamma = rng.normal(size=3) * 0.02 + 1.0
    beta = rng.normal(size=3)
    g = rng.normal(size=shape)
    dx, dref, dgamma, dbeta = vbn.output_grad(x, ref, gamma, g)

    def check_form(name: str, form: Callable[[Array, Array, Array, Array], Array]) -> None:
        tag = f"vbn.{name} {shape} ref {ref_shape}"
        check_grad(f"{tag} x", lambda a: float(np.sum(g * form(a, ref, gamma, beta))), x, dx)
        check_grad(f"{tag} ref", lambda a: float(np.sum(g * form(x, a, gamma, beta))), ref, dref)
        check_grad(f"{tag} gamma", lambda a: float(np.sum(g * form(x, ref, a, beta))), gamma, dgamma)
        check_grad(f"{tag} beta", lambda a: float(np.sum(g * form(x, ref, gamma, a))), beta, dbeta)

    check_form("output", vbn.output)
    check_form("output_square_form", vbn.output_square_form)
    both = near(vbn.output(x, ref, gamma, beta), vbn.output_square_form(x, ref, gamma, beta), 1e-10)
    check(f"vbn both forms agree {shape}", both)
    alone = np.concatenate([vbn.output(x[n : n + 1], ref, gamma, beta) for n in range(shape[0])])
    check(f"vbn does not depend on batch mates {shape}", near(alone, vbn.output(x, ref, gamma, beta), 0.0))
    pooled = np.concatenate([ref, x[:1]])
    axes = (0,) if len(shape) == 2 else (0, 2, 3)
    mean, var = vbn.mixed_moments_stable_form(x, ref)
    joined = near(mean[0], pooled.mean(axis=axes)) and near(var[0], pooled.var(axis=axes))
    check(f"vbn moments are those of the reference batch plus the example {shape}", joined)
    if ref_shape[0] > 1:
        gr = rng.normal(size=ref_shape)
        rref, rgamma, rbeta = vbn.reference_output_grad(ref, gamma, gr)
        tag = f"vbn.reference_output {ref_shape}"
        check_grad(f"{tag} ref", lambda a: float(np.sum(gr * vbn.reference_output(a, gamma, beta))), ref, rref)
        check_grad(f"{tag} gamma", lambda a: float(np.sum(gr * vbn.reference_output(ref, a, beta))), gamma, rgamma)
        check_grad(f"{tag} beta", lambda a: float(np.sum(gr * vbn.reference_output(ref, gamma, a))), beta, rbeta)


def check_virtual_batch_norm(rng: np.random.Generator) -> None:
    """Paper section 3.5."""
    check_vbn_shape(rng, (4, 3), (5, 3))
    check_vbn_shape(rng, (2, 3, 2, 3), (4, 3, 2, 3))
    check_vbn_shape(rng, (1, 3), (2, 3))

    x = rng.normal(size=(4, 2, 8, 8)) + 3000.0
    ref = rng.normal(size=(16, 2, 8, 8)) + 3000.0
    shifted = vbn.mixed_moments_stable_form(x - 3000.0, ref - 3000.0)[1]
    check("vbn stable form at mean 3000", near(vbn.mixed_moments_stable_form(x, ref)[1], shifted, 1e-9))
    square64 = vbn.mixed_moments_square_form(x, ref)[1]
    check(
        "vbn E[x^2] form in float64 at mean 3000",
        near(square64, shifted, 1e-6),
        f"{np.abs(square64 - shifted).max():.1e}",
    )
    one = np.float32(1.0)
    small_x, small_ref = x.astype(np.float32), ref.astype(np.float32)
    share = one / np.float32(17.0)
    mean32 = share * small_x.mean(axis=(2, 3)) + (one - share) * small_ref.mean(axis=(0, 2, 3))
    square32 = share * (small_x**2).mean(axis=(2, 3)) + (one - share) * (small_ref**2).mean(axis=(0, 2, 3))
    cancelled = square32 - mean32**2
    wrong = float(np.abs(cancelled - shifted).max())
    check("vbn E[x^2] form in float32 at mean 3000 is wrong", wrong > 0.3, f"values {np.unique(cancelled)}")


def check_matching_grads(real: Array, fake: Array) -> None:
    """All statistics, distances and the MMD on one pair of batches (paper section 3.1)."""

    def check_one(name: str, distance: str, joined: bool) -> None:
        tag = f"fm.loss {name} {distance} joined={joined} {fake.shape}"
        analytic = fm.loss_grad(real, fake, name, distance, joined)
        check_grad(tag, lambda a: fm.loss(real, a, name, distance, joined), fake, analytic)

    for name in fm.STATISTICS:
        for distance in fm.DISTANCES:
            check_one(name, distance, True)
            check_one(name, distance, False)
    widths = (0.5, 1.0, 2.0)
    check_grad(f"fm.mmd {fake.shape}", lambda a: fm.mmd(real, a, widths), fake, fm.mmd_grad(real, fake, widths))
    flat = real.reshape(len(real), -1)
    check(f"fm mean as numpy's {real.shape}", near(fm.mean(real), flat.mean(axis=0)))
    check(f"fm variance as numpy's {real.shape}", near(fm.variance(real), flat.var(axis=0)))
    check(f"fm covariance as numpy's {real.shape}", near(fm.covariance(real), np.cov(flat.T, ddof=0)))
    check(f"fm.mmd of a batch with itself is 0 {real.shape}", abs(fm.mmd(real, real, widths)) < 1e-14)


def check_feature_matching(rng: np.random.Generator) -> None:
    """Paper section 3.1."""
    check_matching_grads(rng.normal(size=(6, 4)), rng.normal(size=(5, 4)) * 1.3 + 0.2)
    check_matching_grads(rng.normal(size=(4, 2, 2, 1)), rng.normal(size=(3, 2, 2, 1)) * 1.3 + 0.2)
    real = rng.normal(size=(4000, 3))
    fake = rng.normal(size=(4000, 3))
    right = fm.loss(real, fake)
    trap = fm.per_sample_difference(real, fake)
    check("fm trap", right < 0.01 and 1.8 < trap < 2.2, f"right {right:.1e}, per-sample {trap:.2f}")


def check_historical_averaging(rng: np.random.Generator) -> None:
    """Paper section 3.3."""
    history = [rng.normal(size=(2, 3)) for _ in range(5)]
    frozen = ha.average(history)
    check_grad("ha, mean constant", lambda a: float(np.sum((a - frozen) ** 2)), history[-1], ha.cost_grad(history))
    check_grad(
        "ha, through the mean", lambda a: ha.cost([*history[:-1], a]), history[-1], ha.cost_grad_through_mean(history)
    )
    past = ha.cost_grad(history, False)
    check_grad("ha, mean without current", lambda a: ha.cost([*history[:-1], a], False), history[-1], past)
    online = np.zeros((2, 3))
    for t, theta in enumerate(history, start=1):
        online = ha.online_average(online, theta, t)
    check("ha online mean", near(online, frozen))
    check("ha first step costs nothing", ha.cost(history[:1]) == 0.0 and not np.any(ha.cost_grad(history[:1])))
    slope = numeric_grad(lambda a: ha.game_value(a[0], a[1]), np.array([1.4, 0.3]))
    check("ha game derivative", near(slope, [ha.game_f_grad(1.4) * (0.3 - 1.0), ha.game_f(1.4) - 1.0], 1e-9))
    xs, ys = 2.0, 2.0
    points = [np.array([xs, ys])]
    for _ in range(300):
        gx, gy = ha.cost_grad(points)
        xs, ys = xs - 0.05 * (ha.game_f_grad(xs) * (ys - 1.0) + gx), ys - 0.05 * (-(ha.game_f(xs) - 1.0) + gy)
        points.append(np.array([xs, ys]))
    check("ha simulation is the list-of-history update", near(ha.simulate(steps=300), np.array(points), 1e-9))
    plain = ha.distance_from_equilibrium(ha.simulate(weight=0.0))
    averaged = ha.distance_from_equilibrium(ha.simulate())
    check("ha plain descent diverges", plain[-1] > 1e6, f"beyond 1e12 after {len(plain) - 1} steps")
    check("ha averaged ends 0.07 from (1, 1)", round(float(averaged[-1]), 2) == 0.07, f"{averaged[-1]:.4f}")
    zero = ha.distance_from_equilibrium(ha.simulate(start=(0.0, 0.0)))
    check("ha from (0, 0) it does not converge", zero[-1] > 1.0, f"{zero[-1]:.4f}")


def check_pair(
    name: str,
    loss: Callable[[Array, Array], float],
    grad: Callable[[Array, Array], tuple[Array, Array]],
    real: Array,
    fake: Array,
) -> None:
    """Gradients and extreme logits of a discriminator loss (paper section 3.4)."""
    d_real, d_fake = grad(real, fake)
    check_grad(f"adv.{name} real", lambda a: loss(a, fake), real, d_real)
    check_grad(f"adv.{name} fake", lambda a: loss(real, a), fake, d_fake)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        finite = np.isfinite(loss(EXTREME, EXTREME))
        finite = finite and all(np.all(np.isfinite(part)) for part in grad(EXTREME, EXTREME))
    check(f"adv.{name} finite at 1e4", bool(finite))


def check_adversarial(rng: np.random.Generator) -> None:
    """The GAN objective and paper section 3.4."""
    real = rng.normal(size=5) * 2.0
    fake = rng.normal(size=7) * 2.0
    singles: list[tuple[str, Callable[[Array], float], Callable[[Array], Array]]] = [
        ("generator_minimax", adv.generator_minimax, adv.generator_minimax_grad),
        ("generator_non_saturating", adv.generator_non_saturating, adv.generator_non_saturating_grad),
        ("generator_kl", adv.generator_kl, adv.generator_kl_grad),
        ("generator_hinge", adv.generator_hinge, adv.generator_hinge_grad),
        ("generator_least_squares", adv.generator_least_squares, adv.generator_least_squares_grad),
        (
            "generator_least_squares 1/2",
            lambda f: adv.generator_least_squares(f, 0.5),
            lambda f: adv.generator_least_squares_grad(f, 0.5),
        ),
    ]
    for name, loss, grad in singles:
        check_grad(f"adv.{name}", loss, fake, grad(fake))
    pairs: list[tuple[str, Callable[[Array, Array], float], Callable[[Array, Array], tuple[Array, Array]]]] = [
        ("discriminator", adv.discriminator, adv.discriminator_grad),
        (
            "discriminator 0.9",
            lambda r, f: adv.discriminator(r, f, 0.9),
            lambda r, f: adv.discriminator_grad(r, f, 0.9),
        ),
        (
            "discriminator 0.9, 0.1",
            lambda r, f: adv.discriminator(r, f, 0.9, 0.1),
            lambda r, f: adv.discriminator_grad(r, f, 0.9, 0.1),
        ),
        ("discriminator_kl", adv.discriminator_kl, adv.discriminator_kl_grad),
        ("discriminator_hinge", adv.discriminator_hinge, adv.discriminator_hinge_grad),
        ("discriminator_least_squares", adv.discriminator_least_squares, adv.discriminator_least_squares_grad),
        (
            "discriminator_least_squares 1/2",
            lambda r, f: adv.discriminator_least_squares(r, f, 0.5),
            lambda r, f: adv.discriminator_least_squares_grad(r, f, 0.5),
        ),
    ]
    for name, pair_loss, pair_grad in pairs:
        check_pair(name, pair_loss, pair_grad, real, fake)
    for name, loss, grad in singles:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            finite = np.isfinite(loss(EXTREME)) and np.all(np.isfinite(grad(EXTREME)))
        check(f"adv.{name} finite at 1e4", bool(finite))
    check("adv non-saturating at -1e4 is 1e4", near(adv.generator_non_saturating(np.array([-1e4])), 1e4))
    check("adv minimax at 1e4 is -1e4", near(adv.generator_minimax(np.array([1e4])), -1e4))
    check("adv smoothing 0.9 at 1e4 is 1e3", near(adv.cross_entropy(np.array([1e4]), 0.9), 1e3))
    at_target = np.array([np.log(0.75 / 0.25)])
    lowest = adv.discriminator_kl(at_target, np.array([-1e4]))
    check(
        "adv released KL is 0 at the target",
        abs(lowest) < 1e-15 and abs(adv.generator_kl(np.array([np.log(0.6)]))) < 1e-15,
    )
    check("adv entropy of 0.75", near(adv.entropy(0.75), 0.5623351446188083))
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])
    for alpha, beta in ((1.0, 0.0), (0.9, 0.0), (0.9, 0.1)):
        best = adv.optimal_discriminator(p, q, alpha, beta)
        logit = np.log(best / (1.0 - best))
        slope = p * (adv.sigmoid(logit) - alpha) + q * (adv.sigmoid(logit) - beta)
        check(f"adv optimal discriminator {alpha}, {beta}", near(slope, np.zeros(3)))

    x, w = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    b, v = rng.normal(size=5), rng.normal(size=5)
    slope = adv.tiny_network_input_grad(x, w, b, v)
    check_grad("adv.tiny_network x", lambda a: float(np.sum(adv.tiny_network(a, w, b, v))), x, slope)
    dw, db, dv = adv.r1_penalty_grad(x, w, b, v, 10.0)
    check_grad("adv.r1_penalty w", lambda a: adv.r1_penalty(x, a, b, v, 10.0), w, dw)
    check_grad("adv.r1_penalty b", lambda a: adv.r1_penalty(x, w, a, v, 10.0), b, db)
    check_grad("adv.r1_penalty v", lambda a: adv.r1_penalty(x, w, b, a, 10.0), v, dv)


def check_ssl_grads(labels: ssl.Labels, k: Three, k1: Three, w: float, alpha: float) -> None:
    """Gradients of the K-logit and of the explicit K+1 loss (paper section 5)."""

    def check_three(tag: str, loss: Loss, at: Three, grads: Three) -> None:
        check_grad(f"{tag} labelled", lambda a: loss(a, at[1], at[2]), at[0], grads[0])
        check_grad(f"{tag} unlabelled", lambda a: loss(at[0], a, at[2]), at[1], grads[1])
        check_grad(f"{tag} generated", lambda a: loss(at[0], at[1], a), at[2], grads[2])

    def check_explicit(conditional: bool) -> None:
        check_three(
            f"ssl.loss_explicit w={w} alpha={alpha} conditional={conditional}",
            lambda a, b, c: ssl.loss_explicit(a, labels, b, c, w, alpha, conditional),
            k1,
            ssl.loss_explicit_grad(k1[0], labels, k1[1], k1[2], w, alpha, conditional),
        )

    check_three(
        f"ssl.loss w={w} alpha={alpha}",
        lambda a, b, c: ssl.loss(a, labels, b, c, w, alpha),
        k,
        ssl.loss_grad(k[0], labels, k[1], k[2], w, alpha),
    )
    check_explicit(True)
    check_explicit(False)


def check_semi_supervised(rng: np.random.Generator) -> None:
    """Paper section 5."""
    lab, unl, fake = rng.normal(size=(4, 5)) * 2.0, rng.normal(size=(6, 5)) * 2.0, rng.normal(size=(3, 5)) * 2.0
    labels = np.array([0, 4, 2, 2])
    lab1, unl1, fake1 = (np.concatenate([a, rng.normal(size=(len(a), 1))], axis=1) for a in (lab, unl, fake))
    for w, alpha in ((1.0, 1.0), (2.0, 0.9), (0.3, 0.75)):
        check_ssl_grads(labels, (lab, unl, fake), (lab1, unl1, fake1), w, alpha)
        padded = [np.concatenate([a, np.zeros((len(a), 1))], axis=1) for a in (lab, unl, fake)]
        same = near(
            ssl.loss_explicit(padded[0], labels, padded[1], padded[2], w, alpha),
            ssl.loss(lab, labels, unl, fake, w, alpha),
        )
        check(f"ssl K logits equal K+1 with a zero, w={w} alpha={alpha}", same)
        moved = [a[:, :-1] - a[:, -1:] for a in (lab1, unl1, fake1)]
        same = near(
            ssl.loss_explicit(lab1, labels, unl1, fake1, w, alpha),
            ssl.loss(moved[0], labels, moved[1], moved[2], w, alpha),
        )
        check(f"ssl K+1 equals K after subtracting the last, w={w} alpha={alpha}", same)
    released = -0.5 * ssl.logsumexp(unl).mean() + 0.5 * ssl.softplus(ssl.logsumexp(unl)).mean()
    released += 0.5 * ssl.softplus(ssl.logsumexp(fake)).mean()
    check("ssl released form", near(ssl.unsupervised(unl, fake), released))
    direct = -0.5 * ssl.log_d(unl).mean() - 0.5 * ssl.log_one_minus_d(fake).mean()
    check("ssl formula with D", near(ssl.unsupervised(unl, fake), direct))
    z = np.exp(unl).sum(axis=1)
    check("ssl log D", near(ssl.log_d(unl), np.log(z / (z + 1.0))) and near(ssl.log_one_minus_d(unl), -np.log(z + 1.0)))
    big = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    big1 = np.concatenate([big, [[1e4], [0.0]]], axis=1)
    two = np.array([1, 0])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values = [ssl.loss(big, two, big, big, 1.0, 0.9), ssl.loss_explicit(big1, two, big1, big1, 1.0, 0.9)]
        finite = bool(np.all(np.isfinite(values)))
        finite = finite and all(np.all(np.isfinite(p)) for p in ssl.loss_grad(big, two, big, big))
        finite = finite and all(np.all(np.isfinite(p)) for p in ssl.loss_explicit_grad(big1, two, big1, big1))
        finite = finite and bool(np.all(np.isfinite(ssl.log_d(big))) and np.all(np.isfinite(ssl.log_one_minus_d(big))))
    check("ssl finite at 1e4", finite)


def check_adam(rng: np.random.Generator) -> None:
    """Settings of the released MNIST script."""
    grads = [rng.normal(size=3) for _ in range(4)]
    path = adam.run(np.zeros(3), grads)
    check("adam first step", near(path[1], -0.003 * grads[0] / np.sqrt(grads[0] ** 2 + 1e-8)))
    small = adam.run(np.zeros(1), [np.array([1e-4])], rate=1.0)[1][0]
    check("adam epsilon is inside the root", near(small, -1.0 / np.sqrt(2.0)), f"step {small:.4f}")
    m = [0.5 ** (3 - i) * 0.5 * grads[i] for i in range(4)]
    v = [0.999 ** (3 - i) * 0.001 * grads[i] ** 2 for i in range(4)]
    last = -0.003 * (sum(m) / (1 - 0.5**4)) / np.sqrt(sum(v) / (1 - 0.999**4) + 1e-8)
    check("adam fourth step from sums", near(path[4] - path[3], last))


def small_mnist(rng: np.random.Generator) -> tuple[ms.Params, ms.Params]:
    """A generator 3 -> 5 -> 4 -> 6 and a discriminator 6 -> 5 -> 4 -> 3, every parameter random."""
    g = {"w1": (5, 3), "b1": (5,), "w2": (4, 5), "b2": (4,), "v3": (6, 4), "g3": (6,), "b3": (6,)}
    d = {"v1": (5, 6), "g1": (5,), "b1": (5,), "v2": (4, 5), "g2": (4,), "b2": (4,), "v3": (3, 4), "g3": (3,)}
    d["b3"] = (3,)
    made = [{name: rng.normal(size=shape) for name, shape in shapes.items()} for shapes in (g, d)]
    return made[0], made[1]


def small_batch(rng: np.random.Generator, n: int) -> ms.Batch:
    """Images and noise for the discriminator of small_mnist."""
    return ms.Batch(
        rng.uniform(size=(n, 6)), [std * rng.normal(size=(n, f)) for std, f in ((0.3, 6), (0.5, 5), (0.5, 4))]
    )


def check_params(name: str, loss: Callable[[ms.Params], float], at: ms.Params, grads: ms.Params) -> None:
    """The gradient of every parameter that has one."""
    for key, grad in grads.items():
        check_grad(f"{name} {key}", lambda a, key=key: loss({**at, key: a}), at[key], grad)


def check_mnist_layers(rng: np.random.Generator) -> None:
    """Weight norm and batch norm of the released MNIST script."""
    v, g, up = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=(4, 3))
    for eps in (0.0, 1e-6, 0.5):
        dv, dg = ms.weight_norm_grad(v, g, up, eps)
        check_grad(f"ms.weight_norm v {eps}", lambda a, eps=eps: float(np.sum(up * ms.weight_norm(a, g, eps))), v, dv)
        check_grad(f"ms.weight_norm g {eps}", lambda a, eps=eps: float(np.sum(up * ms.weight_norm(v, a, eps))), g, dg)
    check("ms.weight_norm rows have the norm |g|", near(np.linalg.norm(ms.weight_norm(v, g), axis=1), np.abs(g)))
    check("ms.weight_norm by hand", near(ms.weight_norm(np.array([[3.0, 4.0]]), np.array([2.0]), 11.0), [[1.0, 4 / 3]]))

    a, bias, up = rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=(5, 3))
    for eps in (1e-6, 0.5):
        da, dbias = ms.batch_norm_grad(a, up, eps)
        check_grad(f"ms.batch_norm a {eps}", lambda x, eps=eps: float(np.sum(up * ms.batch_norm(x, bias, eps))), a, da)
        check_grad(
            f"ms.batch_norm b {eps}", lambda x, eps=eps: float(np.sum(up * ms.batch_norm(a, x, eps))), bias, dbias
        )
    check("ms.batch_norm by hand", near(ms.batch_norm(np.array([[0.0], [6.0]]), np.ones(1), 16.0), [[0.4], [1.6]]))


def check_mnist_discriminator(rng: np.random.Generator) -> None:
    """D of the released MNIST script and its loss (paper section 5)."""
    _, d = small_mnist(rng)
    labelled, unlabelled, generated = (small_batch(rng, n) for n in (4, 6, 5))
    labels = np.array([0, 2, 1, 2])
    trained = {"v1", "b1", "v2", "b2", "v3", "b3", "g3"}
    for w in (1.0, 0.3):
        grads = ms.discriminator_loss_grad(d, labels, labelled, unlabelled, generated, w)
        check("ms all but the hidden gains is trained", set(grads) == trained)
        check_params(
            f"ms.discriminator_loss w={w}",
            lambda p, w=w: ms.discriminator_loss(p, labels, labelled, unlabelled, generated, w),
            d,
            grads,
        )
    for k in (2, 3):
        up = rng.normal(size=ms.discriminator(d, labelled)[3 - k].shape)
        dx = ms.discriminator_grad(d, labelled, up, k)[1]

        def value(x: Array, k: int = k, up: Array = up) -> float:
            return float(np.sum(up * ms.discriminator(d, ms.Batch(x, labelled.noise))[3 - k]))

        check_grad(f"ms.discriminator images, layer {k}", value, labelled.x, dx)

    logits, features = ms.discriminator(d, unlabelled)
    h = unlabelled.x[1]
    for k in (1, 2, 3):
        before = h
        w_k = [d[f"g{k}"][i] * row / np.linalg.norm(row) for i, row in enumerate(d[f"v{k}"])]
        h = np.array([np.dot(row, h + unlabelled.noise[k - 1][1]) for row in w_k]) + d[f"b{k}"]
        h = np.maximum(h, 0.0) if k < 3 else h
    check("ms.discriminator of one sample by hand", near(logits[1], h) and near(features[1], before))
    last = [*unlabelled.noise[:2], unlabelled.noise[2] + 1.0]
    check(
        "ms features do not feel the last noise", near(ms.discriminator(d, ms.Batch(unlabelled.x, last))[1], features)
    )


def check_mnist_generator(rng: np.random.Generator) -> None:
    """G of the released MNIST script and its loss (paper section 3.1)."""
    g, d = small_mnist(rng)
    z, real, noise = rng.uniform(size=(7, 3)), small_batch(rng, 5), small_batch(rng, 7).noise
    up = rng.normal(size=(7, 6))
    check_params("ms.generator", lambda p: float(np.sum(up * ms.generator(p, z))), g, ms.generator_grad(g, z, up))
    grads = ms.generator_loss_grad(g, d, z, real, noise)
    check("ms all of G is trained", set(grads) == set(g))
    check_params("ms.generator_loss", lambda p: ms.generator_loss(p, d, z, real, noise), g, grads)
    images = ms.generator(g, z)
    gap = ms.discriminator(d, real)[1].mean(axis=0) - ms.discriminator(d, ms.Batch(images, noise))[1].mean(axis=0)
    check("ms.generator_loss by hand", near(ms.generator_loss(g, d, z, real, noise), np.dot(gap, gap) / 4))
    short = 1e-3 * g["v3"] / np.linalg.norm(g["v3"], axis=1, keepdims=True)
    halved = ms.generator({**g, "v3": 1e9 * short, "g3": g["g3"] / np.sqrt(2.0)}, z)
    check("ms.generator has 1e-6 in the weight norm", near(ms.generator({**g, "v3": short}, z), halved))
    pair = ms.batch_norm(np.array([[0.0], [2e-3]]), np.zeros(1))
    check("ms.batch_norm has 1e-6", near(pair, np.array([[-1.0], [1.0]]) / np.sqrt(2.0)))
    check("ms images are in [0, 1]", bool(np.all((images > 0.0) & (images < 1.0))))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        far = ms.generator({**g, "b1": 1e3 * g["b1"], "b2": 1e3 * g["b2"], "b3": 1e4 * g["b3"]}, z)
    check("ms.generator finite at 1e4", bool(np.all(np.isfinite(far))))


def check_mnist_adam(rng: np.random.Generator) -> None:
    """Adam over a dict of parameters, as adam.run over each."""
    params = start = {"v": rng.normal(size=(2, 3)), "b": rng.normal(size=2), "frozen": rng.normal(size=2)}
    history = [{"v": rng.normal(size=(2, 3)), "b": rng.normal(size=2)} for _ in range(3)]
    moments = ms.adam_start(history[0])
    for t, grads in enumerate(history, start=1):
        params, moments = ms.adam_update(params, grads, moments, t)
    for key in ("v", "b"):
        check(f"ms.adam_update {key}", near(params[key], adam.run(start[key], [h[key] for h in history])[-1], 0.0))
    check("ms.adam_update keeps the frozen", near(params["frozen"], start["frozen"], 0.0))


@pytest.mark.parametrize(
    "part",
    [
        check_minibatch_discrimination,
        check_virtual_batch_norm,
        check_feature_matching,
        check_historical_averaging,
        check_adversarial,
        check_semi_supervised,
        check_adam,
        check_mnist_layers,
        check_mnist_discriminator,
        check_mnist_generator,
        check_mnist_adam,
    ],
)
def test_transcription(part: Callable[[np.random.Generator], None]) -> None:
    part(np.random.default_rng(0))
