//! Bodies that grow, step by step and across threads.

use std::future::poll_fn;
use std::task::Wake;

use http::HeaderValue;
use http_body::Frame;
use http_body_util::BodyExt;

use super::*;

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

fn poll(reader: &mut Reader) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
    let waker = Waker::from(Arc::new(Quiet));
    reader.poll_piece(&mut Context::from_waker(&waker))
}

fn room(filler: &Filler) -> Poll<bool> {
    let waker = Waker::from(Arc::new(Quiet));
    filler.poll_room(&mut Context::from_waker(&waker))
}

#[track_caller]
fn check(reader: &mut Reader, expect: &str) {
    match poll(reader) {
        Poll::Ready(Some(Ok(frame))) => {
            let text = frame.into_data().map_or_else(
                |_| "trailers".to_owned(),
                |bytes| String::from_utf8(bytes.to_vec()).unwrap(),
            );
            assert_eq!(text, expect);
        }
        Poll::Ready(Some(Err(BrokeOff))) => assert_eq!("broken", expect),
        Poll::Ready(None) => assert_eq!("end", expect),
        Poll::Pending => assert_eq!("pending", expect),
    }
}

#[test]
fn readers_follow_each_at_their_own_pace() {
    let (body, filler) = Body::growing(None);
    let mut early = body.read(0, u64::MAX).unwrap();
    check(&mut early, "pending");
    filler.push(Bytes::from("one"));
    check(&mut early, "one");
    check(&mut early, "pending");
    filler.push(Bytes::from("two"));
    let mut late = body.read(0, u64::MAX).unwrap();
    check(&mut late, "one");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("6"));
    assert!(body.whole().is_none());
    filler.end(Some(trailers));
    assert_eq!(body.whole().unwrap().bytes, "onetwo");
    assert_eq!(body.length(), Some(6));
    for reader in [&mut early, &mut late] {
        check(reader, "two");
        check(reader, "trailers");
        check(reader, "end");
    }
    let mut after = body.read(0, u64::MAX).unwrap();
    check(&mut after, "onetwo");
}

#[test]
fn a_part_is_read_while_the_body_grows() {
    let (body, filler) = Body::growing(Some(9));
    let mut part = body.read(2, 7).unwrap();
    assert_eq!(part.size_hint().exact(), Some(5));
    filler.push(Bytes::from("012"));
    check(&mut part, "2");
    check(&mut part, "pending");
    filler.push(Bytes::from("345678"));
    check(&mut part, "3456");
    check(&mut part, "end");
    drop(filler);
    assert!(body.read(0, 1).is_none());
}

#[test]
fn a_filler_that_goes_away_breaks_the_body_off() {
    let (body, filler) = Body::growing(None);
    let mut reader = body.read(0, u64::MAX).unwrap();
    filler.push(Bytes::from("one"));
    drop(filler);
    check(&mut reader, "one");
    check(&mut reader, "broken");
    check(&mut reader, "end");
    assert!(body.read(0, u64::MAX).is_none());
}

#[test]
fn what_is_only_passed_on_is_held_for_the_slowest_and_no_longer() {
    let (body, filler) = Body::growing(None);
    let (mut slow, mut fast) = (
        body.read(0, u64::MAX).unwrap(),
        body.read(0, u64::MAX).unwrap(),
    );
    filler.push(Bytes::from("one"));
    filler.pass();
    check(&mut fast, "one");
    filler.push(Bytes::from(vec![
        b'x';
        usize::try_from(WINDOW_BYTES).unwrap()
    ]));
    assert_eq!(room(&filler), Poll::Pending);
    check(&mut slow, "one");
    assert_eq!(body.growing.lock().chunks.len(), 1);
    assert!(body.read(0, u64::MAX).is_none(), "its beginning is gone");
    assert_eq!(room(&filler), Poll::Pending);
    drop(slow);
    assert!(matches!(poll(&mut fast), Poll::Ready(Some(Ok(_)))));
    assert_eq!(room(&filler), Poll::Ready(true));
    assert_eq!(body.growing.lock().chunks.len(), 0);
    filler.push(Bytes::from("end"));
    check(&mut fast, "end");
    drop(fast);
    assert_eq!(room(&filler), Poll::Ready(false));
    filler.end(None);
    assert!(body.whole().is_none());
}

#[test]
fn readers_and_filler_on_different_threads_see_every_byte() {
    let (body, filler) = Body::growing(None);
    let expect: Vec<u8> = (0..200_000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    std::thread::scope(|scope| {
        for passing in [false, true, false] {
            let (reader, expect) = (body.read(0, u64::MAX).unwrap(), &expect);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                let read = runtime.block_on(reader.collect()).unwrap().to_bytes();
                assert_eq!(read, *expect, "{passing}");
            });
        }
        let filling = expect.clone();
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            runtime.block_on(async {
                for (place, chunk) in filling.chunks(999).enumerate() {
                    if place == 50 {
                        filler.pass();
                    }
                    assert!(poll_fn(|cx| filler.poll_room(cx)).await);
                    filler.push(Bytes::copy_from_slice(chunk));
                }
                filler.end(None);
            });
        });
    });
}
