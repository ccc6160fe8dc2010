from app.forge.auth.api_key_settings import AuthSettings as AuthSettings
