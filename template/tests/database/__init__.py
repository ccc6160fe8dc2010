from tests.database.sqlite import RETRIES as RETRIES
from tests.database.sqlite import another_database as another_database
from tests.database.sqlite import empty_database as empty_database
from tests.database.sqlite import moving as moving
from tests.database.sqlite import throwaway_database as throwaway_database
