"""The application factory."""

from __future__ import annotations

from flask import Flask

from hybrid_search.api import bulk, changes, control, docs, images, metrics, page, pictures, product_page, products, search, session, status
from hybrid_search.api.auth import require_safe_bind
from hybrid_search.api.context import EXTENSION, OrjsonProvider
from hybrid_search.api.headers import register_headers
from hybrid_search.api.metrics import register_metrics
from hybrid_search.api.operations import register_scopes
from hybrid_search.api.problems import register_problems
from hybrid_search.api.request_ids import register_request_ids
from hybrid_search.api.tracing import register_tracing
from hybrid_search.bootstrap import Services

BLUEPRINTS = (
    bulk.blueprint,
    changes.blueprint,
    products.blueprint,
    images.blueprint,
    search.blueprint,
    status.blueprint,
    control.blueprint,
    metrics.blueprint,
    docs.blueprint,
    session.blueprint,
    pictures.blueprint,
    page.blueprint,
    product_page.blueprint,
)


def create_app(services: Services) -> Flask:
    """The WSGI application over ``services``; it may be called by many threads.

    Raises ``SettingsError`` when the settings would serve other machines without API keys.
    """
    settings = services.settings
    require_safe_bind(settings)
    app = Flask("hybrid_search.api", static_folder="static", template_folder="templates")
    app.json = OrjsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    app.config["MAX_FORM_PARTS"] = 20
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 3600
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.url_map.merge_slashes = False  # a product id may hold slashes
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions[EXTENSION] = services
    register_tracing(app)
    register_request_ids(app)
    register_metrics(app, services)
    register_scopes(app, settings)
    register_headers(app)
    register_problems(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app
