from tests.database.sqlite import database as database
from tests.database.sqlite import migrated_database as migrated_database
