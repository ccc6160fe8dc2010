from app.forge.database.sqlite import DatabaseSettings as DatabaseSettings
from app.forge.database.sqlite import open_database as open_database
from app.forge.database.sqlite_transactions import Database as Database
from app.forge.database.sqlite_transactions import Transaction as Transaction
