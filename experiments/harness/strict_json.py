"""JSON that every reader accepts: no NaN, no infinities, arrays as lists."""

import json
import math
from typing import Any


def dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The value in JSON's types; what is not finite becomes null."""
    if hasattr(value, "tolist"):  # numpy's and jax's arrays and scalars
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)
