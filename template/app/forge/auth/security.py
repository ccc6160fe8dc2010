from app.forge.auth.oidc import caller, open_authenticator

__all__ = ["caller", "open_authenticator"]
