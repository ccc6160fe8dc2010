from app.forge.auth.api_key import caller, open_authenticator

__all__ = ["caller", "open_authenticator"]
