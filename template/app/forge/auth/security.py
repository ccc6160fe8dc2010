from app.forge.auth.api_key import caller as caller
from app.forge.auth.api_key import open_authenticator as open_authenticator
