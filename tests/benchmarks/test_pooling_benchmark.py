"""What the pooling benchmark compares, and how it judges it."""

import jax
import numpy as np
import pytest

from benchmarks import pooling, pooling_table, results
from benchmarks import pooling_peers as peers
from benchmarks.measurements import difference


def filled(linen: float = 20.0, torch: float = 1.2) -> results.Results:
    """Two pools and both ways to downsample, ours in a second."""
    found = results.Results()
    for pool in (peers.Pool("max", 2, 2), peers.Pool("avg", 0, 0)):
        record = found.record(pooling._labels(pool, "gradients"))
        record["seconds"] = {"ours": [1.0, 3.0], "linen": [linen], "torch": [torch]}
        record["compile"] = {"ours": 0.5, "linen": 0.2}
    for pool, seconds in zip(peers.ANTIALIASED, (1.0, 4.0), strict=False):
        record = found.record(pooling._labels(pool, "gradients"))
        record |= {"seconds": {"ours": [seconds]}, "compile": {"ours": 0.1}}
    return found


def test_the_same_pools_are_timed_by_both_libraries():
    kinds = [("max", 3, 2), ("avg", 2, 2), ("max", 0, 0), ("avg", 0, 0)]
    for kind, window, stride in kinds:
        pool = peers.Pool(kind, window, stride, 2, 8, 3)
        arrays = peers.draw(pool)
        ours, linen = (
            peers.compiled(library, pool, "gradients", arrays)()
            for library in peers.libraries(pool).values()
        )
        assert jax.tree.leaves(ours)[1].shape == (2, 8, 8, 3)
        assert difference(ours, linen) < 1e-6


def test_targets_are_judged_by_means_the_worst_pool_and_the_blur():
    rows = pooling_table.targets(filled()).splitlines()
    assert [row.split(" | ")[-1] for row in rows[2:]] == [
        "ok |",
        "ok |",
        "ok |",
        "miss |",
    ]
    assert "| 4.00 (8x56x56x64) |" in rows[-1]
    slow = pooling_table.targets(filled(linen=4.0, torch=0.9)).splitlines()
    assert slow[2].endswith("| 4.00 (1 pools) | miss |")
    assert slow[4].endswith("| 0.90 (2 pools) | miss |")
    np.testing.assert_allclose(pooling_table.means(filled()), [20.0, 1.2])


def test_every_pool_is_measured_in_both_forms_and_named_once():
    wanted = list(pooling.of_pools(peers.POOLS, budget=1.0))
    assert len(wanted) == 2 * len(peers.POOLS)
    assert len({tuple(each.labels.values()) for each in wanted}) == len(wanted)
    titles = {pool.title for pool in peers.POOLS}
    assert {"max 2 / 2", "avg 3 / 2", "l2 7 / 1", "max, global"} <= titles


@pytest.mark.parametrize("pool", peers.ANTIALIASED[:2], ids=lambda pool: pool.title)
def test_what_no_peer_has_is_timed_alone(pool):
    assert list(peers.libraries(pool)) == ["ours"]
    assert jax.eval_shape(lambda x: peers.ours(pool, x), peers.draw(pool).inputs).shape
