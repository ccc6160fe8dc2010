"""The table of API keys in PostgreSQL, as migrations/env.py creates it."""

CREATED = """
    CREATE TABLE IF NOT EXISTS "api_keys" (
        "id" uuid PRIMARY KEY,
        "name" text COLLATE "C" NOT NULL,
        "digest" text COLLATE "C" NOT NULL,
        "scopes" text COLLATE "C" NOT NULL,
        "expires_at" timestamptz,
        "revoked_at" timestamptz,
        "last_used_at" timestamptz,
        "created_at" timestamptz NOT NULL,
        "updated_at" timestamptz NOT NULL
    )
"""
