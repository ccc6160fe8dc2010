from app.store.sqlite import StoreSettings as StoreSettings
from app.store.sqlite import open_item_store as open_item_store
