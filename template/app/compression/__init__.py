from app.compression.negotiated import MINIMUM_BYTES as MINIMUM_BYTES
from app.compression.negotiated import CompressionMiddleware as CompressionMiddleware
