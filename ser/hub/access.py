"""Access to the Hub: token, repository, and failures in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from huggingface_hub import HfApi
from huggingface_hub import ModelCard
from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn a failure of the Hub within a block into one sentence.

    Raises:
        ConnectionError: Says what failed, why, and what to do.
    """
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            reason = (
                f"the Hub refuses the token ({status}): log in with `hf auth login`, or set HF_TOKEN, and push again"
            )
        else:
            reason = f"the Hub answers {status} ({error.server_message or error.response.reason_phrase})"
        raise ConnectionError(f"{what} failed: {reason}") from error
    except (httpx2.HTTPError, ConnectionError, RuntimeError) as error:  # RuntimeError: an upload that broke off
        cause = error.__cause__ or error
        raise ConnectionError(f"{what} failed: the Hub cannot be reached ({cause}); push again later") from error


def check_token(token: str | None) -> None:
    """Refuse to continue without a token.

    Raises:
        ConnectionError: There is no token.
    """
    if not (token or get_token()):
        raise ConnectionError("pushing to the Hub needs a token: log in with `hf auth login`, or set HF_TOKEN")


def check_card(card: str) -> None:
    """Let the Hub check the metadata of a card.

    Raises:
        ValueError: The metadata is invalid; the message has the Hub's reason.
        ConnectionError: It cannot be reached.
    """
    with explained("checking the model card"):
        try:
            ModelCard(card).validate(repo_type="model")
        except ValueError as error:
            raise ValueError(f"the Hub refuses the model card: {error}") from error


def claim_repository(
    repo_id: str, *, kind: str = "model", token: str | None = None, branch: str | None = None, **options: Any
) -> str:
    """Create a repository (and branch) unless it exists, and return its full id.

    Raises:
        ConnectionError: There is no token, it is refused, or the Hub cannot be reached.
        ValueError: `repo_id` is not a valid name.
    """
    check_token(token)
    api = HfApi(token=token)
    with explained(f"creating the {kind} repository {repo_id}"):
        repo_id = api.create_repo(repo_id, repo_type=kind, exist_ok=True, **options).repo_id
        if branch:
            api.create_branch(repo_id, branch=branch, repo_type=kind, exist_ok=True)
    return repo_id


__all__ = ["check_card", "check_token", "claim_repository", "explained"]
