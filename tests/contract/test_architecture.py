"""The house: imports go down only, heavy libraries wait until they are needed, one module a stage."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from model_ci.stages import STAGES
from model_ci.stages.content import SILENT

PACKAGE = Path(__file__).parents[2] / "scripts" / "model_ci"
# From the top floor down; a module may import from its own floor's folder and from the floors below.
FLOORS = [
    ["__main__"],
    ["cli"],
    ["commands"],
    ["pipeline"],
    ["stages"],
    ["release"],
    ["judgement"],
    ["origin"],
    ["registry", "records", "model", "production"],
    ["run"],
    ["data", "profile", "explanation", "gates", "git", "ci", "entrypoint", "forge", "report", "targets", "image"],
    ["config"],
    ["validity"],
    ["schema"],
    ["web"],
    ["files", "errors", "terms", "record_types"],
    ["types", "frozen"],
    ["serving"],  # ships in the image, alone
]
# What stands above and may be asked all the same: where an image explains, the explanation ships beside the service.
ALSO = {("serving/explain.py", "explanation")}
HEAVY = {
    "mlflow", "sklearn", "pandas", "polars", "numpy", "river", "pandera", "pyarrow", "skops", "dvc", "rich", "scipy", "shap",
    "matplotlib", "orjson", "uvicorn", "skl2onnx", "onnx", "onnxruntime", "prometheus_client", "boto3", "docker", "kubernetes",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(f for f in PACKAGE.rglob("*.py") if "templates" not in f.parts)


def noun(module: str) -> str:
    return module.removeprefix("model_ci.").partition(".")[0]


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


@functools.cache
def imports(file: Path, *, deferred: bool) -> list[str]:
    """Return the modules that a file imports; `deferred`: those inside of functions and for types as well."""
    names = []
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "model_ci":
            names += [f"model_ci.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        if deferred or not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _for_types(node)):
            waiting += ast.iter_child_nodes(node)
    return names


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_imports_go_down_only() -> None:
    wrong = []
    for file in modules():
        path = file.relative_to(PACKAGE)
        me = path.parts[0].removesuffix(".py")
        others = {noun(module) for module in imports(file, deferred=True) if module.startswith("model_ci.")}
        wrong += [
            f"{path} (floor {floor(me)}) imports {other} (floor {floor(other)})"
            for other in (others - {me, "__version__"} if me != "__init__" else ())
            if floor(other) <= floor(me) and (path.as_posix(), other) not in ALSO
        ]
    assert not wrong


def test_heavy_libraries_are_imported_inside_functions() -> None:
    heavy = {
        str(f.relative_to(PACKAGE)): HEAVY & {m.partition(".")[0] for m in imports(f, deferred=False)}
        for f in modules()
    }
    assert {file: names for file, names in heavy.items() if names} == {}


@pytest.mark.parametrize("arguments", [["check-config"], ["--version"], ["run", "--dry-run"]])
def test_what_is_not_needed_is_not_imported(arguments: list[str], project: object) -> None:
    code = (
        "import sys; from model_ci.__main__ import exit_code\n"
        f"try: exit_code({arguments!r})\nexcept SystemExit: pass\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    root = project.root  # type: ignore[attr-defined]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def stage_packages() -> set[str]:
    return {folder.name for folder in (PACKAGE / "stages").iterdir() if (folder / "__init__.py").is_file()}


def test_every_stage_has_a_package_with_its_work_and_its_part_of_the_report() -> None:
    assert stage_packages() == {stage.attribute for stage in STAGES.values()}
    for stage in STAGES.values():
        folder = PACKAGE / "stages" / stage.attribute
        assert (folder / "stage.py").is_file()
        assert (folder / "section.py").is_file() == (stage.name not in SILENT)


def test_no_stage_imports_another_stage() -> None:
    wrong = []
    for file in sorted((PACKAGE / "stages").rglob("*.py")):
        parts = file.relative_to(PACKAGE / "stages").parts
        mine = parts[0] if len(parts) > 1 else ""
        for module in imports(file, deferred=True):
            other = module.removeprefix("model_ci.stages.").partition(".")[0]
            if module.startswith("model_ci.stages.") and other not in (mine, "content"):
                wrong.append(f"{file.relative_to(PACKAGE)} imports {module}")
    assert not wrong
