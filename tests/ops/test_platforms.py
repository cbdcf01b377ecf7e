"""Where traced code is said to run."""

import jax

from cnn_jax.ops import platforms


def test_a_default_device_counts_before_the_backend(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not platforms.on_cpu()
    with jax.default_device(jax.devices("cpu")[0]):
        assert platforms.on_cpu()
    with jax.default_device("cpu"):
        assert platforms.on_cpu()
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert platforms.on_cpu()
