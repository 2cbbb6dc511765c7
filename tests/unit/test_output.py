"""What the process prints: data in it commands nothing, and the tool's own annotations do."""

import subprocess
import sys

import pytest

from model_ci.output import inert

HOSTILE = "x\n::error title=hello::owned\n  ::add-mask::passed\n##[add-mask]true\n##vso[task.complete]\x1b[2J\x9b2J\rsection_end:1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::add-mask::passed", ": :add-mask::passed"),
        ("a\n \t::debug::x", "a\n \t: :debug::x"),
        ("see ##[add-mask]true", "see ## [add-mask]true"),
        ("##vso[task.setvariable]x", "## vso[task.setvariable]x"),
        ("\x1b[31mred\x07\r\x85", "\\x1b[31mred\\x07\\x0d\\x85"),
        ("module::name ## heading, 10:30", "module::name ## heading, 10:30"),
    ],
)
def test_text_that_would_act_is_made_inert(text: str, expected: str) -> None:
    assert inert(text) == expected


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_command_in_pieces_is_none_either(step: int) -> None:
    code = (
        "import sys; from model_ci import output; sys.stdout = output.guarded(sys.stdout); t = sys.argv[1]\n"
        f"for i in range(0, len(t), {step}): sys.stdout.write(t[i:i + {step}])\n"
        "output.command('::notice::mine'); sys.stdout.write('lone \\ud800')"
    )
    done = subprocess.run([sys.executable, "-c", code, HOSTILE], capture_output=True, check=True)
    lines = done.stdout.decode().split("\n")
    assert [line for line in lines if line.lstrip().startswith("::")] == ["::notice::mine"]
    assert not any(text in done.stdout for text in (b"##[", b"##vso[", b"\x1b", b"\r", b"\xc2\x9b"))
    assert lines[-1] == "lone \\ud800"
