"""How the official Python SDK must report a refusal: complete, never its fallback type "unknown"."""

import pytest
from nylas.models.errors import NylasApiError, NylasOAuthError


def rejects_api(call, status, type=None, says=None):
    """An error of an ordinary endpoint."""
    with pytest.raises(NylasApiError) as caught:
        call()
    error = caught.value
    assert error.status_code == status, error
    assert error.type != "unknown" and "." in error.type, error.type
    assert error.request_id
    if type:
        assert error.type == type, error
    if says:
        assert says in str(error).lower()
    return error


def rejects_oauth(call, error, code=400):
    """An error of the three OAuth endpoints, all four members there."""
    with pytest.raises(NylasOAuthError) as caught:
        call()
    refused = caught.value
    assert refused.status_code == 400
    assert refused.error == error, refused
    assert refused.error_code == code
    assert refused.error_description and refused.error_uri
    return refused
