from app.forge.database.sqlite import StoreSettings as StoreSettings
from app.forge.database.sqlite import open_item_store as open_item_store
from app.forge.database.sqlite_transactions import Database as Database
from app.forge.database.sqlite_transactions import Transaction as Transaction
