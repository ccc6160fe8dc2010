from app.forge.auth.oidc_settings import AuthSettings as AuthSettings
