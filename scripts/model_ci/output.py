"""Standard output and standard error: no text of a user's data commands the terminal or the CI system that reads them.

GitHub's runner takes a line that begins with `::` for a command, and `##[` anywhere in a line. Azure Pipelines takes `##[`
and `##vso[`. A terminal takes control characters.
"""

import io
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_CONTROL_OR_COLOR: Final = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COMMAND: Final = re.compile(r"^(\s*):(?=:)|##(?=\[|vso\[)", re.MULTILINE)


class _Patient(io.FileIO):
    """A stream whose reader may go away: `model-ci run | head -1` still ends the run, and with its exit code."""

    def write(self, content: "ReadableBuffer", /) -> int:
        with suppress(BrokenPipeError):
            return super().write(content)
        return memoryview(content).nbytes


class Output(io.TextIOWrapper):
    """A text stream that writes whole lines, in which nothing acts; `command` writes a line that may."""

    def __init__(self, stream: TextIO) -> None:
        raw = _Patient(stream.fileno(), "wb", closefd=False)
        super().__init__(io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=True)
        self._control = _CONTROL_OR_COLOR if self.isatty() else _CONTROL
        self._pending, self._inside_line = "", False

    def write(self, text: str, /) -> int:
        """Write the lines that are complete; the rest waits for its end, or for `flush`."""
        lines, newline, self._pending = (self._pending + text).rpartition("\n")
        if newline:
            super().write(inert(lines, self._control) + "\n")
            self._inside_line = False
        return len(text)

    def command(self, line: str) -> None:
        """Write a line of its own for the CI system to act on."""
        self.flush()
        super().write(f"\n{line}\n" if self._inside_line else f"{line}\n")
        self._inside_line = False

    def flush(self) -> None:
        """Write what waits for the end of its line."""
        pending, self._pending = self._pending, ""
        if pending:
            super().write(inert(pending, self._control))
            self._inside_line = True
        super().flush()


def inert(text: str, control: re.Pattern[str] = _CONTROL) -> str:
    """Return text with control characters written out, and with a space in what a CI system would act on."""
    text = control.sub(lambda match: match[1] if match.re.groups and match[1] else f"\\x{ord(match[0]):02x}", text)
    return _COMMAND.sub(lambda match: f"{match[0]} ", text)


def guarded(stream: TextIO | None) -> Output | None:
    """Return a guarded stream in place of one of the process; None where the process has none."""
    return None if stream is None else Output(stream)


def command(line: str) -> None:
    """Print a line for the CI system to act on; only it and not the data that it quotes does so."""
    if isinstance(sys.stdout, Output):
        sys.stdout.command(line)
    else:
        sys.stdout.write(line + "\n")
