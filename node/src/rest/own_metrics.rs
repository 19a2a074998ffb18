//! The node's metrics on a listener of their own, for operators who keep them off the API's port: `/metrics`,
//! and nothing else.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};

use super::Exposition;
use super::health::OPENMETRICS;

/// The router of such a listener.
pub fn metrics_router(exposition: Exposition) -> Router {
    let shown = move || {
        let exposition = Arc::clone(&exposition);
        async move { show(exposition()) }
    };
    Router::new()
        .route("/metrics", get(shown))
        .fallback(async || StatusCode::NOT_FOUND)
}

fn show(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, OPENMETRICS),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
