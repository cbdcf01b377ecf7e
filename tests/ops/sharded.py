"""Programs for several devices, which a process of its own has."""

import os
import subprocess
import sys


def run_on_four_devices(program: str) -> str:
    """What a program prints where the CPU is four devices."""
    given = os.environ.get("XLA_FLAGS", "")
    flags = {
        "XLA_FLAGS": f"{given} --xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not ended.returncode, ended.stderr
    return ended.stdout
