//! Exchanges on one connection, with an origin that is a pipe.

use std::future::poll_fn;

use http::{Method, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::upstream::RequestBody;

/// A connection, and the origin's end of it.
fn connected() -> (Link, DuplexStream) {
    let (ours, theirs) = duplex(64 * 1024);
    (Link::new(Box::new(ours)), theirs)
}

fn message(link: &mut Link, method: Method) -> Outgoing {
    let request = Request::builder().method(method).uri("/a");
    let request = request.body(()).unwrap();
    Outgoing::new(link.take_buffer(), &request, &[], RequestBody::Empty)
}

async fn head(link: &mut Link) -> Result<(Head, HeaderMap), LinkError> {
    let mut headers = HeaderMap::new();
    let head = poll_fn(|cx| link.poll_head(cx, &mut headers)).await?;
    Ok((head, headers))
}

async fn body(link: &mut Link) -> Result<Vec<u8>, LinkError> {
    let mut all = Vec::new();
    loop {
        match poll_fn(|cx| link.poll_piece(cx)).await? {
            Piece::Data(data) => all.extend_from_slice(&data),
            Piece::Trailers(_) => {}
            Piece::End => return Ok(all),
        }
    }
}

async fn exchange(
    link: &mut Link,
    origin: &mut DuplexStream,
    method: Method,
    answer: &str,
) -> Result<(StatusCode, Vec<u8>), LinkError> {
    let message = message(link, method.clone());
    link.begin(message);
    origin.write_all(answer.as_bytes()).await.unwrap();
    let (head, _) = head(link).await?;
    let body = body(link).await?;
    let expect = format!("{method} /a HTTP/1.1\r\n\r\n");
    let mut sent = vec![0; expect.len()];
    origin.read_exact(&mut sent).await.unwrap();
    assert_eq!(String::from_utf8(sent).unwrap(), expect);
    Ok((head.status, body))
}

#[tokio::test]
async fn exchange_follows_exchange_on_one_connection() {
    let (mut link, mut origin) = connected();
    for (method, answer, expect) in [
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
            "body",
        ),
        (
            Method::HEAD,
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n",
            "",
        ),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", ""),
        (
            Method::GET,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
             HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            "body",
        ),
    ] {
        let (_, body) = exchange(&mut link, &mut origin, method, answer)
            .await
            .unwrap();
        assert_eq!(body, expect.as_bytes(), "{answer}");
        assert!(
            link.can_be_kept() && link.is_sent() && link.is_open(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_on_which_something_is_left_is_of_no_further_use() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let (mut link, mut origin) = connected();
        exchange(&mut link, &mut origin, Method::GET, answer)
            .await
            .unwrap();
        assert!(!link.can_be_kept(), "{answer}");
    }
}

#[tokio::test]
async fn what_comes_unasked_ends_a_connection() {
    let (mut link, mut origin) = connected();
    assert!(link.is_open());
    origin
        .write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        .await
        .unwrap();
    assert!(!link.is_open());
    let (mut link, origin) = connected();
    drop(origin);
    assert!(!link.is_open());
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_given_back_unsent() {
    let (mut link, origin) = connected();
    drop(origin);
    let message = message(&mut link, Method::POST);
    link.begin(message);
    assert!(matches!(head(&mut link).await, Err(LinkError::Closed(_))));
    let message = link.give_up();
    assert!(!message.is_begun() && message.into_body().is_some());
    assert!(!link.can_be_kept());
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let (mut link, mut origin) = connected();
    let message = message(&mut link, Method::GET);
    link.begin(message);
    origin
        .write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        .await
        .unwrap();
    head(&mut link).await.unwrap();
    drop(origin);
    assert_eq!(body(&mut link).await.unwrap(), b"all of it");
    assert!(!link.can_be_kept());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_none() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n",
    ] {
        let (mut link, mut origin) = connected();
        let message = message(&mut link, Method::GET);
        link.begin(message);
        origin.write_all(answer.as_bytes()).await.unwrap();
        head(&mut link).await.unwrap();
        drop(origin);
        assert!(
            matches!(body(&mut link).await, Err(LinkError::Closed(_))),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn interim_responses_have_an_end() {
    let (mut link, mut origin) = connected();
    let message = message(&mut link, Method::GET);
    link.begin(message);
    for _ in 0..=INTERIM_MAX {
        origin
            .write_all(b"HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .unwrap();
    }
    let error = head(&mut link).await.unwrap_err();
    assert!(matches!(error, LinkError::Malformed(Malformed::Interim)));
}
