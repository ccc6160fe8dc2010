from tests.database.sqlite import another_database as another_database
from tests.database.sqlite import empty_database as empty_database
from tests.database.sqlite import throwaway_database as throwaway_database
