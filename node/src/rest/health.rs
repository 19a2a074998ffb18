//! What the process says of itself, and the answers for paths and methods that do not exist.

use std::fmt::Write as _;
use std::sync::Arc;

use http::StatusCode;

use super::Api;
use super::answer::{Answer, Answered, TEXT};
use super::error::{ApiError, Code};
use super::pipeline::Call;

/// What Prometheus asks for.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process runs. It never depends on a quorum: restarting a node does not help a
/// cluster that has lost one.
pub(crate) async fn livez(_: Arc<Api>, call: Call) -> Answered {
    call.query.finish()?;
    Ok(Answer::bytes(StatusCode::OK, TEXT, "ok\n"))
}

/// Whether writes and linearizable reads may be sent here. `?verbose` says why; a node that
/// cannot reach a leader still answers stale reads, and says that too.
pub(crate) async fn readyz(api: Arc<Api>, mut call: Call) -> Answered {
    let verbose = call.query.text("verbose").is_some();
    call.query.finish()?;
    let readiness = api.control.readiness();
    let ready = readiness.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !verbose {
        return Ok(Answer::bytes(
            status,
            TEXT,
            if ready { "ok\n" } else { "not ready\n" },
        ));
    }
    let mut text = String::new();
    let mark = |good| if good { '+' } else { '-' };
    let leader = match readiness.leader {
        Some(_) if readiness.leading => "leading".to_owned(),
        Some(id) => format!("following node {id}"),
        None => "no leader is known".to_owned(),
    };
    let contact = readiness.last_contact.map_or_else(
        || "never".to_owned(),
        |ago| format!("{} ms ago", ago.as_millis()),
    );
    let draining = if readiness.draining {
        "draining"
    } else {
        "no shutdown under way"
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "[{}]leader {leader}, term {}",
        mark(readiness.leader.is_some()),
        readiness.term
    );
    let _ = writeln!(
        text,
        "[+]applied {} of {} committed",
        readiness.applied.0, readiness.committed.0
    );
    let _ = writeln!(text, "[+]last contact with a leader {contact}");
    let _ = writeln!(text, "[{}]{draining}", mark(!readiness.draining));
    text.push_str(match (ready, readiness.draining) {
        (true, _) => "ready\n",
        (false, true) => "not ready\n",
        (false, false) => "not ready: read_stale_only\n",
    });
    Ok(Answer::bytes(status, TEXT, text))
}

/// The node's metrics, unless they have a listener of their own.
pub(crate) async fn metrics(api: Arc<Api>, call: Call) -> Answered {
    let Some(exposition) = &api.exposition else {
        return unknown_path(api, call).await;
    };
    call.query.finish()?;
    Ok(Answer::bytes(StatusCode::OK, OPENMETRICS, exposition()))
}

/// A path that nobody serves.
pub(crate) async fn unknown_path(_: Arc<Api>, _: Call) -> Answered {
    Err(ApiError::new(Code::ResourceNotFound, "There is nothing at this path.").into())
}

/// A path that is served, by another method.
pub(crate) async fn unknown_method(_: Arc<Api>, _: Call) -> Answered {
    Err(ApiError::new(
        Code::MethodNotAllowed,
        "This path does not take this method.",
    )
    .into())
}
