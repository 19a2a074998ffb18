//! An origin that reads requests as narrowly as RFC 9112 allows, so that whatever an edge sends it in
//! any other form than the one is seen.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::origin::{Origin, answer};

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}

/// The origin, and every request that it read, or why it was none.
pub(super) struct Strict {
    pub(super) address: SocketAddr,
    pub(super) seen: Rc<RefCell<Vec<Result<Seen, String>>>>,
}

impl Strict {
    pub(super) async fn start() -> Self {
        let seen = Rc::<RefCell<Vec<_>>>::default();
        let all = Rc::clone(&seen);
        let origin = Origin::raw(move |_, mut stream| {
            let seen = Rc::clone(&all);
            async move {
                // The end between two requests is the end; within one, the request never came.
                while let Some(read) = request(&mut stream).await {
                    let goes_on = read.is_ok();
                    seen.borrow_mut().push(read);
                    if !goes_on || stream.write_all(answer("x").as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        Self {
            address: origin.address,
            seen,
        }
    }
}

async fn line(stream: &mut TcpStream) -> Option<Result<String, String>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&line).into_owned();
    Some(match text.strip_suffix("\r\n") {
        Some(text) if !text.contains(['\r', '\n', '\0']) => Ok(text.to_owned()),
        _ => Err(format!("a bad line: {text:?}")),
    })
}

async fn request(stream: &mut TcpStream) -> Option<Result<Seen, String>> {
    macro_rules! good {
        ($outcome:expr) => {
            match $outcome {
                Ok(good) => good,
                Err(bad) => return Some(Err(bad)),
            }
        };
    }
    let first = good!(line(stream).await?);
    good!(check_line(&first));
    let mut seen = Seen {
        line: first,
        fields: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let next = good!(line(stream).await?);
        if next.is_empty() {
            break;
        }
        seen.fields.push(good!(field(&next)));
    }
    let hosts = seen.all("host").len();
    if hosts != 1 {
        return Some(Err(format!("{hosts} hosts")));
    }
    match (
        &seen.all("content-length")[..],
        &seen.all("transfer-encoding")[..],
    ) {
        ([], []) => {}
        ([length], []) => {
            let length: usize = good!(number(length, 10));
            seen.body = vec![0; length];
            stream.read_exact(&mut seen.body).await.ok()?;
        }
        ([], ["chunked"]) => loop {
            let size = good!(line(stream).await?);
            let size = good!(number(&size, 16));
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).await.ok()?;
            seen.body.extend_from_slice(&chunk);
            if size == 0 {
                while !good!(line(stream).await?).is_empty() {}
                break;
            }
            if good!(line(stream).await?) != "" {
                return Some(Err("a chunk without an end".to_owned()));
            }
        },
        (lengths, codings) => {
            return Some(Err(format!("framed by {lengths:?} and {codings:?}")));
        }
    }
    Some(Ok(seen))
}

fn check_line(line: &str) -> Result<(), String> {
    let words: Vec<_> = line.split(' ').collect();
    let visible =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = words.len() == 3
        && words.iter().all(visible)
        && words[1].starts_with('/')
        && words[2] == "HTTP/1.1";
    fits.then_some(())
        .ok_or_else(|| format!("a bad request line: {line:?}"))
}

fn field(line: &str) -> Result<(String, String), String> {
    let bad = || format!("a bad field: {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(bad)?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(bad());
    }
    Ok((
        name.to_ascii_lowercase(),
        value.trim_matches([' ', '\t']).to_owned(),
    ))
}

fn number(text: &str, radix: u32) -> Result<usize, String> {
    let digits = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
    usize::from_str_radix(text, radix)
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| format!("no number: {text:?}"))
}
