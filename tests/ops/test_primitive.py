"""The bilinear primitives: derivatives of any order, every vmap, loops and meshes."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax.ops import conv
from cnn_jax.ops.algorithms import direct, registry
from cnn_jax.ops.algorithms.primitive import convolution
from cnn_jax.ops.algorithms.registry import FORMS
from tests.derivatives import check_derivatives
from tests.ops.primitive_cases import CASES, assert_close, draw, three_forms
from tests.ops.sharded import run_on_four_devices

EVERY_CASE = pytest.mark.parametrize("name", CASES)


def served(form: str, name: str) -> list[str]:
    """The algorithms that compute a case."""
    _, window, channels, features, settings = CASES[name]
    shape = (*window, channels // settings.feature_group_count, features)
    return registry.serving(form, shape, settings, "float64")


ON_PLANES = {"strided", "stem", "skipping", "pointwise", "one-channel", "patches"}
ON_PLANES |= {"cropped-away"}
UNDILATED = ON_PLANES | {"undilated-volume", "undilated-line"}
ON_PLANES |= {"three-taps", "dense", "cropped", "few-features"}
VOLUMES = {"volume", "undilated-volume", "flat-volume"}
LINES = {"line", "undilated-line"}
SPECIAL = {
    "winograd2": {"three-taps"},
    "winograd4": {"three-taps"},
    "pointwise": {"pointwise"},
    "phases": UNDILATED,
    "space_to_depth": UNDILATED,
    "col2im": {"three-taps", "dense", "cropped", "few-features", "flat-volume"},
    "imagewise": ON_PLANES | VOLUMES | LINES,
    "depthwise": {"depthwise", "one-channel"},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_algorithm_serves_the_cases_that_it_can(form: str) -> None:
    for algorithm in FORMS[form]:
        cases = {name for name in CASES if algorithm in served(form, name)}
        everything = set(CASES) if form == "forward" else ON_PLANES
        volumes = VOLUMES | ({"fractional-volume"} if form == "forward" else set())
        special = {"tall": everything, "planes": volumes} | SPECIAL
        wanted = special.get(algorithm, set(CASES))
        assert cases == wanted, algorithm


@EVERY_CASE
@pytest.mark.parametrize("form", FORMS)
def test_all_algorithms_of_a_form_agree(name: str, form: str) -> None:
    x, k, ct, settings = draw(name)
    with jax.enable_x64(True):
        forms = three_forms(lambda x, k: direct.forward(x, k, settings))
        wanted = dict(zip(FORMS, jax.jit(forms)(x, k, ct), strict=True))[form]
        arguments = {
            "forward": (x, k, settings),
            "input_gradient": (ct, k, settings, x.shape[1:-1]),
            "kernel_gradient": (x, ct, settings, k.shape[:-2]),
        }[form]
        left, right, *static = arguments
        for algorithm in served(form, name):
            run = jax.jit(lambda a, b, f=FORMS[form][algorithm]: f(a, b, *static))
            assert_close(run(jnp.asarray(left), jnp.asarray(right)), wanted)


# One per kind of derivative rule; the algorithms behind them agree above.
DERIVED = (
    *("dense", "strided", "line", "volume", "one-channel", "depthwise", "groups"),
    *("fractional", "few-features"),
)


@pytest.mark.parametrize("name", DERIVED)
def test_derivatives_of_both_orders_and_modes_agree_with_differences(
    name: str,
) -> None:
    x, k, _, settings = draw(name)
    check_derivatives(lambda x, k: convolution(x, k, settings), (x, k))


@pytest.mark.parametrize("name", ["dense", "strided", "depthwise", "groups"])
def test_vmap_over_every_set_of_operands_is_a_loop(name: str) -> None:
    x, k, ct, settings = draw(name)
    forms = three_forms(lambda x, k: convolution(x, k, settings))
    with jax.enable_x64(True):
        one = jax.jit(forms)
        stacked = [np.stack([a, 2 * a[::-1], a + 1]) for a in (x, k, ct)]
        for axes in itertools.product((0, None), repeat=3):
            if axes == (None,) * 3:
                continue
            given = [
                many if axis == 0 else alone
                for axis, many, alone in zip(axes, stacked, (x, k, ct), strict=True)
            ]
            got = jax.jit(jax.vmap(forms, axes))(*given)
            for i in range(3):
                rows = [
                    many[i] if axis == 0 else many
                    for axis, many in zip(axes, given, strict=True)
                ]
                assert_close([part[i] for part in got], list(one(*rows)))


def test_two_vmaps_and_vmap_of_grad_keep_their_axes_apart() -> None:
    x, k, ct, settings = draw("groups")
    forms = three_forms(lambda x, k: convolution(x, k, settings))
    xs = np.stack([np.stack([x + i + j for j in range(2)]) for i in range(3)])
    ks = np.stack([k, k - 1])
    with jax.enable_x64(True):
        twice = jax.vmap(jax.vmap(forms, (0, 0, None)), (0, None, None))
        got = jax.jit(twice)(xs, ks, ct)
        for i, j in itertools.product(range(3), range(2)):
            wanted = jax.jit(forms)(xs[i, j], ks[j], ct)
            assert_close([part[i, j] for part in got], list(wanted))


@pytest.mark.skipif(
    jax.default_backend() != "cpu",
    reason="one batched convolution where there is cuDNN",
)
def test_eight_kernels_compile_to_the_body_of_two() -> None:
    x, k, ct, settings = draw("dense")
    forms = jax.vmap(three_forms(lambda x, k: convolution(x, k, settings)))

    def program(size: int) -> str:
        arrays = [jnp.stack([jnp.float32(a)] * size) for a in (x, k, ct)]
        return jax.jit(forms).lower(*arrays).as_text()

    two, eight = program(2), program(8)
    assert "feature_group_count = 1 " in eight
    assert two.count("stablehlo.convolution") == eight.count("stablehlo.convolution")
    assert eight.count("stablehlo.while") == 3


def test_loops_remat_hessian_and_jacobians_agree_with_xla() -> None:
    x, k, _, settings = draw("stem")

    def curvatures(f: Callable[[Any, Any], Any]) -> Any:
        def loss(k: Any) -> Any:
            return jnp.sum(jax.checkpoint(f)(x, k) ** 3)

        def step(k: Any, _: None) -> tuple[Any, Any]:
            return k - 1e-3 * jax.grad(loss)(k), loss(k)

        hessian = jax.hessian(loss)(jnp.asarray(k))
        return hessian, jax.jacfwd(jax.grad(loss))(k), lax.scan(step, k, length=3)

    with jax.enable_x64(True):
        ours = jax.jit(lambda: curvatures(lambda x, k: convolution(x, k, settings)))()
        theirs = jax.jit(
            lambda: curvatures(lambda x, k: direct.forward(x, k, settings))
        )()
        assert_close(ours, theirs, 1e-9)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_have_the_dtype_of_what_they_are_taken_to(dtype: Any) -> None:
    x, k, *_ = draw("dense")
    x, k = jnp.asarray(x, dtype), jnp.asarray(k, dtype)
    f = three_forms(partial(conv, preferred_element_type=jnp.float32))
    outputs = conv(x, k, preferred_element_type=jnp.float32)
    parts = f(x, k, jnp.ones_like(outputs))
    assert [part.dtype for part in parts] == [jnp.float32, dtype, dtype]
    exact = three_forms(conv)(
        jnp.float32(x), jnp.float32(k), jnp.ones(outputs.shape, jnp.float32)
    )
    for part, wanted in zip(parts, exact, strict=True):
        scale = np.abs(wanted).max()
        assert np.allclose(np.float32(part) / scale, wanted / scale, atol=5e-3)


def test_an_empty_batch_has_gradients_of_zero() -> None:
    f = three_forms(conv)
    outputs, to_inputs, to_kernel = f(
        jnp.ones((0, 4, 4, 3)), jnp.ones((2, 2, 3, 5)), jnp.ones((0, 4, 4, 5))
    )
    assert (outputs.shape, to_inputs.shape) == ((0, 4, 4, 5), (0, 4, 4, 3))
    assert to_kernel.shape == (2, 2, 3, 5)
    assert (to_kernel == 0).all()


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from functools import partial
from jax.sharding import NamedSharding, PartitionSpec as P
from cnn_jax.ops import conv, conv_transpose
mesh = jax.make_mesh((4,), ("images",), axis_types=(jax.sharding.AxisType.Auto,))
rng = np.random.default_rng(0)
x = jnp.asarray(rng.normal(size=(8, 7, 6, 4)), jnp.float32)
k = jnp.asarray(rng.normal(size=(3, 3, 4, 5)), jnp.float32)
def loss(x, k):
    maps = conv(x, k, strides=2)
    images = conv_transpose(maps, k, strides=2, padding="CIRCULAR")
    each = conv(x, k[:, :, :1, :4], feature_group_count=4)
    wide = jnp.concatenate([x, each, x * each], axis=-1)
    thrice = jnp.concatenate([k, k[::-1], k[:, ::-1]], axis=2)
    volumes = conv(wide[:, :, None], thrice[:, None], strides=(2, 1, 2))
    lines = conv(wide[:, 0], thrice[0])
    spectra = conv(x, k, algorithm="fourier")
    sums = [jnp.sum(maps ** 3), jnp.sum(images ** 2), jnp.sum(each ** 2)]
    sums.append(jnp.sum(spectra ** 2))
    return sum(sums) + jnp.sum(volumes ** 2) + jnp.sum(lines ** 2)
wanted = jax.jit(jax.grad(loss, (0, 1)))(x, k)
by_images, everywhere = NamedSharding(mesh, P("images")), NamedSharding(mesh, P())
split = (jax.device_put(x, by_images), jax.device_put(k, everywhere))
got = jax.jit(jax.grad(loss, (0, 1)))(*split)
mapped = jax.shard_map(
    lambda x, k: jax.lax.psum(loss(x, k), "images"),
    mesh=mesh, in_specs=(P("images"), P()), out_specs=P(),
)
by_hand = jax.jit(jax.grad(mapped, (0, 1)))(x, k)
for parts in (got, by_hand):
    for part, each in zip(parts, wanted):
        scale = np.abs(each).max()
        assert np.allclose(part / scale, each / scale, atol=1e-5), "values"
print("sharded alike", len(jax.devices()))
"""


def test_a_mesh_of_devices_gives_the_same_gradients() -> None:
    assert run_on_four_devices(SHARDED) == "sharded alike 4\n"


def test_with_jit_disabled_a_convolution_is_still_computed() -> None:
    inputs, kernel = jnp.ones((1, 3, 1)), jnp.ones((2, 1, 1))
    with jax.disable_jit():
        gradient = jax.grad(lambda x: jnp.sum(conv(x, kernel, padding="VALID")))(inputs)
    np.testing.assert_array_equal(gradient[0, :, 0], [1, 2, 1])
