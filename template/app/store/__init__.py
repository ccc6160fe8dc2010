from app.store.sqlite import StoreSettings as StoreSettings
from app.store.sqlite import open_item_store as open_item_store
from app.store.sqlite_transactions import Database as Database
from app.store.sqlite_transactions import Transaction as Transaction
