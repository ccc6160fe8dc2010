from app.server.uvicorn import serve as serve
