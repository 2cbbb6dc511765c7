"""Build a release: check the tag, stamp the pins, and leave the files, their hashes and the notes in dist/.

    python .ci/release.py TAG REPOSITORY COMMIT [--gitlab-project PROJECT]

Until then every pin is the placeholder acme/model-ci at commit 0000...; the built package writes pins of this release.
"""

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from model_ci import __version__

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
OWNER = "acme/model-ci"


def main() -> int:
    """Return 0, or 2 for a release that would contradict itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tag")
    parser.add_argument("repository")
    parser.add_argument("commit")
    parser.add_argument(
        "--gitlab-project", default="", help="path of the mirror on GitLab; if unset, as the repository"
    )
    given = parser.parse_args()
    notes = changes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), __version__)
    problems = [
        *(
            []
            if given.tag == f"v{__version__}"
            else [f"{given.tag}: is not the version {__version__} of the package; tag v{__version__}"]
        ),
        *([] if notes else [f"CHANGELOG.md: has no section for {__version__}; rename Unreleased"]),
    ]
    if problems:
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        return 2
    for file in sorted((ROOT / "scripts/model_ci/commands/init").rglob("*.*")):
        if file.suffix in (".py", ".yml"):
            text = file.read_text(encoding="utf-8")
            file.write_text(
                stamp(text, given.tag, given.repository, given.commit, given.gitlab_project), encoding="utf-8"
            )
    DIST.mkdir(exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "uv", "build", "--quiet", "--build-constraints", "constraints.txt", "--require-hashes"],
        cwd=ROOT,
        check=True,
    )
    (DIST / "notes.md").write_text(notes, encoding="utf-8")
    built = sorted([*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")])
    hashes = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in built]
    (DIST / "SHA256SUMS").write_text("".join(hashes), encoding="utf-8")
    return 0


def changes(changelog: str, version: str) -> str:
    """Return the section of a version, without its heading."""
    match = re.search(
        rf"^## {re.escape(version)}(?![\d.])[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return f"{match[1].strip()}\n" if match and match[1].strip() else ""


def stamp(text: str, tag: str, repository: str, commit: str, gitlab_project: str = "") -> str:
    """Put the release in the place of the placeholders."""
    text = re.sub(rf"project: {OWNER}$", f"project: {gitlab_project or repository}", text, flags=re.MULTILINE)
    text = re.sub(rf"{OWNER}/v[\d.]+/", f"{repository}/{tag}/", text)
    text = text.replace(OWNER, repository)
    return re.sub(r'0{40}("?) # v[\d.]+', rf"{commit}\1 # {tag}", text)


if __name__ == "__main__":
    sys.exit(main())
