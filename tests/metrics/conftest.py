"""The databases of the engine's suite."""

from tests.engine.conftest import engine as engine
from tests.engine.conftest import ledger as ledger
from tests.engine.conftest import migrated_file as migrated_file
from tests.engine.conftest import postgres as postgres
from tests.engine.conftest import retention as retention
from tests.engine.conftest import url as url
