from app.forge.http.compression.negotiated import MINIMUM_BYTES as MINIMUM_BYTES
from app.forge.http.compression.negotiated import CompressionMiddleware as CompressionMiddleware
