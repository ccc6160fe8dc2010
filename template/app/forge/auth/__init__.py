from app.forge.auth.api_key import AuthSettings as AuthSettings
from app.forge.auth.api_key import caller as caller
from app.forge.auth.api_key import open_authenticator as open_authenticator
from app.forge.auth.caller import Caller as Caller
