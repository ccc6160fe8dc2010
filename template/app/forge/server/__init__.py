from app.forge.server.uvicorn import serve as serve
