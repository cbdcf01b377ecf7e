"""The imports of every module, held to the architecture."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each part may import of ours, and of flax, absl, matplotlib and the like.
ALLOWED = {
    "cnn_jax/ops": ({"cnn_jax.ops"}, {"jax", "numpy"}),
    "cnn_jax/instruments": (
        {"cnn_jax.ops", "cnn_jax.instruments"},
        {"jax", "numpy", "scipy"},  # jax itself requires scipy
    ),
    "cnn_jax/layers": ({"cnn_jax.ops", "cnn_jax.layers"}, {"jax", "numpy", "flax"}),
    "cnn_jax/models": (
        {"cnn_jax.ops", "cnn_jax.layers", "cnn_jax.models"},
        {"jax", "numpy", "flax"},
    ),
    "cnn_jax/training": (
        {"cnn_jax.ops", "cnn_jax.training"},
        {"jax", "numpy", "flax", "optax", "orbax"},
    ),
    "cnn_jax/data": (
        {"cnn_jax.data"},
        {"numpy", "tensorflow_datasets", "array_record", "grain", "absl"}
        | {"PIL", "platformdirs", "filelock"},
    ),
    "cnn_jax/__init__.py": (
        {"cnn_jax.ops", "cnn_jax.instruments"},
        set(),
    ),
}
# Within ops each file imports only files to its left.
OPS_ORDER = (
    "dtypes",
    "meshes",
    "windows",
    "algorithms",
    "registry",
    "selection",
    "autotune",
    "lowering",
    "primitive",
    "convolution",
)


def imports(path: Path) -> set[str]:
    """Every module a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {member for member in members if _is_module(member)}
            found |= modules or {node.module}
    return found


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def files(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def third_party(modules: set[str]) -> set[str]:
    import sys

    tops = {module.partition(".")[0] for module in modules}
    return tops - set(sys.stdlib_module_names) - {"cnn_jax", "experiments"}


@pytest.mark.parametrize("part", ALLOWED)
def test_every_part_imports_only_what_stands_left_of_it(part):
    ours, others = ALLOWED[part]
    for path in files(part):
        found = imports(path)
        for module in found:
            if module.startswith(("cnn_jax", "experiments")):
                assert any(
                    module == one or module.startswith(f"{one}.") for one in ours
                ), f"{path.relative_to(ROOT)} imports {module}"
        assert third_party(found) <= others, f"{path.relative_to(ROOT)}"


def test_every_folder_of_the_library_is_held_to_the_table():
    folders = {f"cnn_jax/{path.parent.name}" for path in ROOT.glob("cnn_jax/*/*.py")}
    assert folders <= set(ALLOWED)


def test_the_algorithms_never_import_what_is_built_on_them():
    for path in files("cnn_jax/ops"):
        stem = path.stem
        if stem not in OPS_ORDER and path.parent.name == "algorithms":
            stem = "algorithms"
        if stem not in OPS_ORDER:
            continue
        right = OPS_ORDER[OPS_ORDER.index(stem) + 1 :]
        for module in imports(path):
            assert module.rpartition(".")[2] not in right, f"{path} imports {module}"


def test_the_library_never_imports_the_experiments():
    for path in files("cnn_jax"):
        assert not any(m.startswith("experiments") for m in imports(path)), path


def test_the_harness_knows_no_experiment():
    experiments = {
        path.stem
        for path in ROOT.glob("experiments/*")
        if path.name not in ("harness", "__init__.py", "__pycache__")
    }
    for path in files("experiments/harness"):
        for module in imports(path):
            assert module.split(".")[:2] not in [
                ["experiments", e] for e in experiments
            ]


def test_the_flags_import_the_standard_library_and_absl_only():
    seen, waiting = set(), ["experiments.harness.flags"]
    while waiting:
        module = waiting.pop()
        path = ROOT / (module.replace(".", "/") + ".py")
        if module in seen or not path.exists():
            continue
        seen.add(module)
        top_level = ast.parse(path.read_text()).body
        for node in top_level:
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting.append(node.module)
                assert third_party({node.module}) <= {"absl"}, module
            elif isinstance(node, ast.Import):
                assert third_party({a.name for a in node.names}) <= {"absl"}, module
    assert len(seen) > 1
