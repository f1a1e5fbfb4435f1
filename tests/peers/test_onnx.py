"""What ONNX Runtime computes with an exported module is what the module computes. R4.3."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import experiments, models, nn
from groundup.io import ExportError, export_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from tests.peers.onnx_cases import IMAGES, LAYERS, MODELS, NETWORKS, NO_FORWARD, Case  # noqa: E402

from groundup.io.onnx import files  # noqa: E402


def session(path: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def flat(tree: Any) -> list[Any]:
    if isinstance(tree, tuple | list):
        return [x for item in tree for x in flat(item)]
    return [] if tree is None else [tree]


def assert_same(path: Path, model: nn.Module, inputs: tuple[Any, ...], atol: float = 1e-5) -> None:
    with gu.no_grad():
        expected = flat(model(*inputs))
    run = session(path)
    given = {x.name: a.numpy() for x, a in zip(run.get_inputs(), flat(inputs), strict=True)}
    found = run.run(None, given)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        right = b.numpy()
        assert (a.dtype, a.shape) == (right.dtype, right.shape)
        finite = np.isfinite(right)
        scale = max(1.0, float(np.abs(right[finite]).max(initial=0)))
        np.testing.assert_allclose(a[finite] / scale, right[finite] / scale, atol=atol, rtol=0)
        np.testing.assert_array_equal(a[~finite], right[~finite])


def exported(case: Case, folder: Path) -> tuple[nn.Module, Path]:
    gu.manual_seed(0)
    model = case.module().eval()
    with gu.no_grad():  # zeros and ones of the beginning would hide what is left out
        for p in model.parameters():
            p.assign(p + 0.1 * gu.randn(*p.shape))
    path = export_onnx(model, case.inputs(2, 6), folder / "model.onnx", dynamic=case.dynamic)
    onnx.checker.check_model(str(path), full_check=True)
    return model, path


CASES = {**LAYERS, **MODELS, **NETWORKS}


@pytest.mark.parametrize("name", CASES)
def test_runtime_agrees_at_every_size(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model, path = exported(case, tmp_path)
    for n in (2, 1, 5):
        assert_same(path, model, case.inputs(n, 6), case.atol)
    for t in (1, 11, 27) if case.lengths else ():
        assert_same(path, model, case.inputs(3, t), case.atol)


def test_images_of_other_sizes(tmp_path: Path) -> None:
    names = [name for name, case in LAYERS.items() if case.dynamic is IMAGES]
    assert len(names) >= 5
    for name in names:
        model, path = exported(LAYERS[name], tmp_path)
        channels = LAYERS[name].inputs(1, 1)[0].shape[1]
        for shape in ((1, channels, 9, 11), (3, channels, 24, 15)):
            assert_same(path, model, (gu.randn(*shape),))


class Pair(nn.Module):
    """Two layers that share a weight; takes and gives nested structures."""

    def __init__(self) -> None:
        self.table = nn.Embedding(7, 4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.table.weight
        self.frozen = nn.Dropout(0.5).eval()

    def forward(
        self, x: gu.Tensor, more: dict[str, gu.Tensor], scale: float = 1.0, *rest: gu.Tensor
    ) -> dict[str, Any]:
        """Logits, what came in, and a number that depends on nothing."""
        y = self.head(self.drop(self.table(x))) * scale + more["a"].sum()
        return {"logits": y, "same": (x, more["b"] & (x > 2)), "none": None, "two": y * 2}


def test_names_shared_weights_and_structures(tmp_path: Path) -> None:
    model = Pair()
    x, more = gu.tensor([[1, 6]]), {"a": gu.ones(1), "b": gu.tensor([[True, True]])}
    path = export_onnx(
        model,
        (x, more, 0.5),
        tmp_path / "pair.onnx",
        dynamic={"x": {0: "batch"}, "more_b": {0: "batch"}},
    )
    assert model.training
    assert model.drop.training
    assert not model.frozen.training
    proto = onnx.load(path)
    assert [i.name for i in proto.graph.input] == ["x", "more_a", "more_b"]
    assert [o.name for o in proto.graph.output] == [
        "output_logits", "output_same_0", "output_same_1", "output_two",
    ]  # fmt: skip
    weights = [w.name for w in proto.graph.initializer if tuple(w.dims) == (7, 4)]
    assert weights == ["table.weight"]
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 18)]
    model.eval()
    found = session(path).run(
        None, {"x": x.numpy(), "more_a": np.ones(1, np.float32), "more_b": more["b"].numpy()}
    )
    right = model(x, more, 0.5)
    np.testing.assert_allclose(found[0], right["logits"].detach().numpy(), atol=1e-6)
    np.testing.assert_array_equal(found[1], x.numpy())
    assert found[2].tolist() == [[False, True]]

    named = {"x": x, "more": more}
    export_onnx(
        model, named, path, input_names=["i", "j", "k"], output_names=list("pqrs"), dynamic={}
    )
    proto = onnx.load(path)
    assert [v.name for v in (*proto.graph.input, *proto.graph.output)] == list("ijkpqrs")
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_every_parameter_is_there_under_its_name(tmp_path: Path) -> None:
    for name in ("GPT-learned", "Llama", "Bert", "Transformer"):
        model, path = exported(MODELS[name], tmp_path)
        held = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(held[key], value.numpy())


def test_weights_beyond_the_limit_have_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LIMIT", 20_000)
    model = nn.Sequential(nn.Linear(64, 100), nn.Tanh(), nn.Linear(100, 64))
    path = export_onnx(model, gu.zeros(2, 64), tmp_path / "large.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    others = [p for p in tmp_path.iterdir() if p != path]
    assert len(others) == 1
    assert others[0].name.startswith("large.onnx.")
    assert path.stat().st_size < 3000
    x = gu.randn(3, 64)
    assert_same(path, model, (x,))
    with gu.no_grad():
        model[0].weight.add_(1)
    export_onnx(model, gu.zeros(2, 64), path)  # the old weights stay for the old model
    assert len(list(tmp_path.iterdir())) == 3
    assert_same(path, model, (x,))


def test_what_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_onnx(nn.Linear(2, 3), gu.zeros(1, 2), tmp_path / "one.onnx")
    before = path.read_bytes()

    def damaged(*_: Any, **__: Any) -> None:
        raise onnx.checker.ValidationError("damaged")

    monkeypatch.setattr(onnx.checker, "check_model", damaged)
    with pytest.raises(onnx.checker.ValidationError):
        export_onnx(nn.Linear(2, 4), gu.zeros(1, 2), path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_floating_types_keep_their_weights(dtype: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 2)).to(dtype)
    path = export_onnx(model, gu.zeros(1, 4, dtype=dtype), tmp_path / "one.onnx")
    held = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(held[key], value.numpy())
    if dtype == "float64":
        assert_same(path, model, (gu.randn(5, 4, dtype=dtype),), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dynamic": {"y": {0: "batch"}}}, r"dynamic: y; the inputs are \['input'\]"),
        ({"dynamic": {"input": {2: "batch"}}}, "dimension 2 of input, whose shape is"),
        ({"dynamic": {"input": {0: "a b"}}}, "'a b' is no name"),
        ({"dynamic": {"input": {1: "features"}}}, "expected 2"),
        ({"input_names": ["a", "b"]}, "2 names for 1 tensors"),
        ({"output_names": []}, "0 names for 1 results"),
        ({"output_names": ["input"]}, "names occur twice"),
    ],
)
def test_wrong_arguments_are_explained(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        export_onnx(nn.Linear(2, 3), gu.zeros(1, 2), tmp_path / "one.onnx", **options)
    with pytest.raises(ExportError, match="missing a required argument"):
        export_onnx(nn.Linear(2, 3), (), tmp_path / "one.onnx")


OPERATORS = {
    "MaxPool2d": ["Pad", "MaxPool"],
    "AvgPool1d": ["Pad", "AveragePool"],
    "RMSNorm": ["Mul", "ReduceMean", "Add", "Sqrt", "Reciprocal", "Mul", "Mul"],
    "Linear": ["Gemm"],
    "Flatten": ["Reshape"],
    "AdaptiveAvgPool2d-global": [
        "Conv", "Reshape", "Add", *["Unsqueeze", "ReduceMean", "Squeeze"] * 2,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_one_operator_is_written_as_one(name: str, tmp_path: Path) -> None:
    _, path = exported(LAYERS[name], tmp_path)
    assert [node.op_type for node in onnx.load(path).graph.node] == OPERATORS[name]


def modules_of(namespace: ModuleType) -> set[str]:
    """The modules that are exported under their names."""
    each = {name: getattr(namespace, name) for name in namespace.__all__}
    return {n for n, x in each.items() if inspect.isclass(x) and issubclass(x, nn.Module)}


def test_every_layer_has_a_case() -> None:
    assert modules_of(nn) - NO_FORWARD - {name.partition("-")[0] for name in LAYERS} == set()


def test_every_model_has_a_case() -> None:
    assert modules_of(models) - {name.partition("-")[0] for name in MODELS} == set()


def test_every_network_of_an_experiment_has_a_case() -> None:
    found = set()
    for info in pkgutil.walk_packages(experiments.__path__, experiments.__name__ + "."):
        module = importlib.import_module(info.name)
        for x in vars(module).values():
            if inspect.isclass(x) and issubclass(x, nn.Module) and x.__module__ == info.name:
                found.add(x)
    assert found
    covered = {type(part) for case in NETWORKS.values() for part in case.module().modules()}
    assert found - covered == set()
