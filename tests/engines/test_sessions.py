"""A session whose end fails on the server has done its work."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from orchestration.spark.connection import end_sessions_quietly

pytestmark = pytest.mark.engines

MISSING = "java.lang.NoClassDefFoundError: org/apache/hadoop/hive/llap/security/LlapSigner$Signable"


def test_a_session_that_fails_to_end_fails_nothing_else() -> None:
    from pyhive import hive

    closed = []
    # No cluster fails so on demand.
    status = hive.ttypes.TStatus(hive.ttypes.TStatusCode.ERROR_STATUS, errorMessage=MISSING)
    answer = hive.ttypes.TCloseSessionResp(status)
    connection = hive.Connection.__new__(hive.Connection)
    connection._client = SimpleNamespace(CloseSession=lambda request: answer)
    connection._transport = SimpleNamespace(close=lambda: closed.append(True))
    connection._sessionHandle = None
    end_sessions_quietly()
    connection.close()
    assert closed == [True]
