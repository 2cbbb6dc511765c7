"""What a service is called where names are short and plain."""

import re
from hashlib import sha256

from model_ci.targets.deployment import Variant


def service(model: str, environment: str, longest: int = 40) -> str:
    """Return `<model>-<environment>` in lower case, digits and hyphens; with a hash where that is not all of it."""
    whole = f"{model}-{environment}"
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    if plain == whole and plain[0].isalpha() and len(plain) <= longest:
        return plain
    mark = sha256(whole.encode()).hexdigest()[:6]
    return f"{plain.lstrip('0123456789-')[: longest - 7] or 'model'}-{mark}".replace("--", "-")


def version(variant: Variant) -> str:
    """Call a variant by its version and its digest."""
    registered = f"version {variant.version}, " if variant.version else ""
    return f"{registered}{variant.digest.removeprefix('sha256:')[:12]}"
