// The try-it page: Swagger UI over our own description.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#try-it",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
});
