"""The contract: what it can carry, and that the generated code is of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from biometrics.client.channel import service_config
from biometrics.server.methods import SERVICES

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"
OURS = [s for s in SERVICES if s.full_name.startswith("biometrics.v1.")]


def reachable(message: Descriptor, seen: set[str]) -> set[str]:
    """Return the full names of every message and field that `message` can hold."""
    if message.full_name in seen:
        return seen
    seen.add(message.full_name)
    for field in message.fields:
        seen.add(field.full_name)
        if field.message_type is not None:
            reachable(field.message_type, seen)
    return seen


def responses() -> set[str]:
    """Return everything that any response can hold."""
    found: set[str] = set()
    for service in OURS:
        for method in service.methods:
            reachable(method.output_type, found)
    return found


def test_no_response_can_carry_a_template() -> None:
    """The message `Template` cannot be reached from any response."""
    assert "biometrics.v1.Template" not in responses()


def test_no_response_has_a_number_that_could_be_a_score() -> None:
    """No response has a floating-point field, nor one named like a score."""
    floats = (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
    names = responses()
    for service in OURS:
        for message in service.file.message_types_by_name.values():
            for field in message.fields:
                if field.full_name in names:
                    assert field.type not in floats, field.full_name
                    for word in ("score", "similarity", "distance", "rank"):
                        assert word not in field.name, field.full_name


def test_every_request_with_effects_carries_a_request_id() -> None:
    """Match and every change of records can be repeated safely."""
    effects = {"Match", "BatchMatch"}
    effects |= {"Lock", "Unlock", "Rotate", "Destroy"}
    effects |= {"Enrol", "BulkEnrol", "Replace", "Protect", "Withdraw"}
    effects |= {"PlantCanaries"}
    effects |= {f"{step}FollowUp" for step in ("Request", "Read")}
    effects |= {f"{step}FollowUp" for step in ("Confirm", "Refuse", "Release")}
    methods = {m.name: m for service in OURS for m in service.methods}
    assert effects <= set(methods)
    for name, method in methods.items():
        has_id = "request_id" in method.input_type.fields_by_name
        assert has_id == (name in effects), name


def generate(into: Path) -> None:
    """Generate the code of the contract as `poe proto` does."""
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python")]
    outputs += [f"--{kind}_out={into}" for kind in ("mypy", "mypy_grpc")]
    files = sorted(str(p) for p in PROTO.rglob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs]
    plugins = Path(sys.executable).parent
    subprocess.run(
        [*command, *files],
        check=True,
        capture_output=True,
        env={"PATH": f"{plugins}:/usr/bin:/bin"},
    )


def test_generated_code_is_of_this_contract(tmp_path: Path) -> None:
    """Regenerating changes no byte of what is committed."""
    generate(tmp_path)
    fresh = {p.name: p.read_bytes() for p in (tmp_path / "biometrics/v1").iterdir()}
    committed = {
        p.name: p.read_bytes()
        for p in (ROOT / "biometrics/v1").iterdir()
        if "_pb2" in p.name and p.suffix in (".py", ".pyi")
    }
    assert fresh == committed


def test_the_service_config_is_what_our_own_client_opens_channels_with() -> None:
    """It names every service of the contract, and stands beside it for others."""
    text = (PROTO / "biometrics/v1/service_config.json").read_text()
    assert text == service_config()
    first, bulk = json.loads(text)["methodConfig"]
    named = {each["service"] for each in first["name"]}
    assert named == {service.full_name for service in OURS}
    assert "retryPolicy" not in bulk


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run buf in the project."""
    program = Path(sys.executable).parent / "buf"
    return subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("lint", "proto"),
        ("format", "-d", "--exit-code", "proto"),
        ("breaking", "proto", "--against", ".contract/biometrics-v1.binpb"),
    ],
)
def test_the_contract_is_clean_and_breaks_nobody(arguments: tuple[str, ...]) -> None:
    """Lint, format and compatibility with the baseline hold."""
    result = buf(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
