"""Secrets that people keep in Prefect: a block of the type Secret, named in the environment."""

from typing import Any, cast

import httpx
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectHTTPStatusError

from recovery.errors import Refused, Unavailable


def read_block(name: str) -> str:
    """The value of a Secret block. Raises Refused where there is none, Unavailable where Prefect does not answer."""
    try:
        block = cast(Any, Secret).load(name, _sync=True)
    except ValueError:  # said with all that was asked for
        raise Refused(
            f"Prefect has no Secret block {name!r}: make it in the UI under Blocks, or name another one"
        ) from None
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        raise Unavailable(
            f"Prefect did not hand out the Secret block {name!r} ({error.__class__.__name__}): check PREFECT_API_URL"
        ) from None
    value = block.get()
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"the Secret block {name!r} holds no text: put the token or the key into it as it is")
    return value.strip()
