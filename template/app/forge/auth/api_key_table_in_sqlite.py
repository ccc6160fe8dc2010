"""The table of API keys in SQLite, as migrations/env.py creates it."""

CREATED = """
    CREATE TABLE IF NOT EXISTS "api_keys" (
        "id" TEXT PRIMARY KEY,
        "name" TEXT NOT NULL,
        "digest" TEXT NOT NULL,
        "scopes" TEXT NOT NULL,
        "expires_at" TEXT,
        "revoked_at" TEXT,
        "last_used_at" TEXT,
        "created_at" TEXT NOT NULL,
        "updated_at" TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
"""
