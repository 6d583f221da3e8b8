"""Security headers of every reply. Pages run no inline script and load nothing from elsewhere but product pictures."""

from __future__ import annotations

from flask import Flask, Response, request

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob: https: http:",  # a shop's pictures may lie on any host; they are linked, never proxied
        "connect-src 'self'",
        "form-action 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
TRY_IT_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")  # Swagger UI sets style attributes
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def register_headers(app: Flask) -> None:
    """Add the headers to whatever ``app`` answers; a view that set one of them keeps its own."""

    @app.after_request
    def _headers(response: Response) -> Response:
        html = response.mimetype == "text/html"
        policy = (TRY_IT_POLICY if request.path == "/openapi" else PAGE_POLICY) if html else API_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Permissions-Policy", "geolocation=(), microphone=()")
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
