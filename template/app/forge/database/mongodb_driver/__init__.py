from app.forge.database.mongodb_driver.pymongo import Collection as Collection
from app.forge.database.mongodb_driver.pymongo import Document as Document
from app.forge.database.mongodb_driver.pymongo import Session as Session
from app.forge.database.mongodb_driver.pymongo import aggregate as aggregate
from app.forge.database.mongodb_driver.pymongo import in_time as in_time
from app.forge.database.mongodb_driver.pymongo import in_transaction as in_transaction
from app.forge.database.mongodb_driver.pymongo import open_collection as open_collection
from app.forge.database.mongodb_driver.pymongo import transaction_of as transaction_of
