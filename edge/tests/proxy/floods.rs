//! Clients that mean harm, by what they send, by how slowly, or by what they do not take. Each loses its
//! connection after a bounded number of frames or bytes, and others are served all the while.

use std::net::SocketAddr;

use http::Response;

use crate::client::{Raw, ask, get, whole};
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, literals,
};
use crate::origin::Origin;
use crate::publish::Draft;
use crate::world::{Options, World, eventually, run};

/// More frames than any of these floods may get through.
const FRAMES_MAX: usize = 20_000;

/// More bytes than all buffers between a client that does not read and an edge.
const BYTES_MAX: usize = 32 * 1024 * 1024;

fn head(flags: u8, stream: u32) -> Vec<u8> {
    let fields: &[(&[u8], &[u8])] = &[
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/slow"),
        (b":authority", b"api.example.net"),
    ];
    frame(HEADERS, flags, stream, &literals(fields))
}

/// An origin that answers `/` and nothing else.
async fn origin() -> Origin {
    Origin::start(|request| async move {
        if request.uri().path() != "/" {
            std::future::pending::<()>().await;
        }
        Response::new(whole("well"))
    })
    .await
}

async fn others_are_served(world: &World) {
    for _ in 0..10 {
        assert_eq!(ask(world.address, get("/")).await.text(), "well");
    }
}

/// Sends what `next` makes until the connection ends, reading what comes meanwhile if `reads`, and
/// says how many were sent.
async fn flood(to: SocketAddr, reads: bool, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    let Frames(Raw(stream)) = Frames::connect(to).await;
    let (mut from, mut into) = stream.into_split();
    let reading = tokio::task::spawn_local(async move {
        if reads {
            // The end comes as an end or as a reset.
            let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
        } else {
            std::future::pending::<()>().await;
        }
        drop(from);
    });
    let mut sent = 0;
    let mut bytes = 0;
    for number in 0.. {
        let some = next(number);
        bytes += some.len();
        assert!(
            sent < FRAMES_MAX && bytes < BYTES_MAX,
            "the flood goes on after {sent} frames"
        );
        let write = tokio::io::AsyncWriteExt::write_all(&mut into, &some);
        let write = tokio::time::timeout(crate::world::PATIENCE, write);
        if write.await.expect("the connection hangs").is_err() {
            break;
        }
        sent += 1;
        tokio::task::yield_now().await;
    }
    reading.abort();
    sent
}

async fn world(set: &[(&'static str, &'static str)]) -> (World, Origin) {
    let origin = origin().await;
    let mut world = World::start(Options {
        set: set.to_vec(),
        ..Options::default()
    })
    .await;
    world.publish(&[Draft::to(origin.address)]);
    (world, origin)
}

#[test]
fn empty_frames_without_end_lose_the_connection() {
    run(async {
        let settings = [0, 3, 0, 0, 0, 100];
        for (what, kind, stream, content) in [
            ("PING", PING, 0, &[7; 8][..]),
            ("SETTINGS", SETTINGS, 0, &settings),
            ("empty SETTINGS", SETTINGS, 0, &[]),
            ("PRIORITY", PRIORITY, 1, &[0, 0, 0, 0, 1]),
            ("unknown frames", 0x42, 1, &[1, 2, 3]),
        ] {
            let (world, _) = world(&[]).await;
            let one = frame(kind, 0, stream, content);
            flood(world.address, true, |_| one.clone()).await;
            others_are_served(&world).await;
            eventually(what, || world.metric("connections_flooding_total") == 1).await;
        }
    });
}

/// Some clients send a PING with each round trip in which they are sent something, and nothing else.
#[test]
fn who_measures_what_is_downloaded_is_left_alone() {
    const PIECES: usize = 2_500;
    run(async {
        let origin =
            Origin::start(|_| async { Response::new(whole(vec![b'x'; PIECES * 16 * 1024])) }).await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut client = Frames::connect(world.address).await;
        // Windows that never shut.
        let wide = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        let all = frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0, 0]);
        let begun = [wide, all, head(END_HEADERS | END_STREAM, 1)].concat();
        client.send(&begun).await.unwrap();
        let (mut pings, mut received) = (0, 0);
        loop {
            let next = client.next().await.expect("the connection goes on");
            if next.kind != DATA {
                continue;
            }
            received += next.content.len();
            if next.flags & END_STREAM != 0 {
                break;
            }
            client.send(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
            pings += 1;
        }
        assert!(pings >= PIECES - 1, "{pings}");
        assert_eq!(received, PIECES * 16 * 1024);
        assert_eq!(world.metric("connections_flooding_total"), 0);
    });
}

#[test]
fn answers_that_are_not_read_are_not_kept() {
    run(async {
        let (world, _) = world(&[("TIMEOUTS__IDLE_MS", "200")]).await;
        // The guard against empty frames is not what ends it: data comes between.
        let mixed = [
            frame(PING, 0, 0, &[7; 8]),
            head(END_HEADERS | END_STREAM, 1),
        ]
        .concat();
        flood(world.address, false, |number| {
            if number == 0 {
                mixed.clone()
            } else {
                frame(PING, 0, 0, &[7; 8])
            }
        })
        .await;
        others_are_served(&world).await;
    });
}

#[test]
fn data_without_data_loses_the_connection() {
    run(async {
        let (world, _) = world(&[]).await;
        flood(world.address, true, |number| match number {
            0 => head(END_HEADERS, 1),
            _ => frame(DATA, 0, 1, &[]),
        })
        .await;
        others_are_served(&world).await;
    });
}

#[test]
fn heads_without_end_lose_the_connection() {
    run(async {
        for content in [&[][..], &literals(&[(b"x-more", &[b'x'; 1000])])] {
            let (world, origin) = world(&[]).await;
            flood(world.address, true, |number| match number {
                0 => head(0, 1),
                _ => frame(CONTINUATION, 0, 1, content),
            })
            .await;
            others_are_served(&world).await;
            assert_eq!(origin.count(), 10);
        }
    });
}

/// One field is remembered and named again and again (an "HPACK bomb").
#[test]
fn heads_that_grow_when_they_are_unpacked_are_refused() {
    run(async {
        let (world, origin) = world(&[]).await;
        let mut client = Frames::connect(world.address).await;
        let mut block = literals(&[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"api.example.net"),
        ]);
        // Literal with incremental indexing, then its index 62, 4000 times.
        let mut large = literals(&[(b"x-large", &[b'x'; 3000])]);
        large[0] = 0x40;
        block.extend_from_slice(&large);
        block.extend([0xbe; 4000]);
        client
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block))
            .await
            .unwrap();
        client.answer(1).await;
        assert_eq!(origin.count(), 0);
        others_are_served(&world).await;
    });
}

#[test]
fn requests_that_are_taken_back_at_once_lose_the_connection() {
    run(async {
        let (world, origin) = world(&[]).await;
        let cancel = |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        // Both in one piece: the request never leaves h2.
        flood(world.address, true, |number| {
            let stream = 2 * number + 1;
            [head(END_HEADERS | END_STREAM, stream), cancel(stream)].concat()
        })
        .await;
        others_are_served(&world).await;
        let before = origin.connections.get();
        // One after the other: each reaches the origin before it is taken back.
        let sent = flood(world.address, true, |number| {
            let stream = 2 * (number / 2) + 1;
            if number % 2 == 0 {
                head(END_HEADERS | END_STREAM, stream)
            } else {
                cancel(stream)
            }
        })
        .await;
        others_are_served(&world).await;
        let reached = origin.connections.get() - before;
        assert!(sent < 5_000 && reached < 2_000, "{sent} {reached}");
    });
}

#[test]
fn more_requests_than_are_allowed_at_once_are_refused() {
    run(async {
        let (world, origin) = world(&[]).await;
        let mut client = Frames::connect(world.address).await;
        for number in 0..200 {
            let bytes = head(END_HEADERS | END_STREAM, 2 * number + 1);
            client.send(&bytes).await.unwrap();
        }
        let mut refused = 0;
        while refused < 200 - 128 {
            let frame = client.next().await.expect("the connection goes on");
            refused += usize::from(frame.kind == RST_STREAM);
        }
        eventually("the others are asked", || origin.count() == 128).await;
        others_are_served(&world).await;
    });
}

#[test]
fn shut_windows_are_not_waited_for() {
    run(async {
        // Answers that are larger than what is kept, and ones that are smaller.
        for size in [1024 * 1024, 10] {
            let origin =
                Origin::start(move |_| async move { Response::new(whole(vec![b'x'; size])) }).await;
            let mut world = World::start(Options {
                set: vec![("TIMEOUTS__IDLE_MS", "200")],
                ..Options::default()
            })
            .await;
            world.publish(&[Draft::to(origin.address)]);
            let mut client = Frames::connect(world.address).await;
            let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
            client.send(&shut).await.unwrap();
            client.send(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
            for number in 0..100 {
                let bytes = head(END_HEADERS | END_STREAM, 2 * number + 1);
                client.send(&bytes).await.unwrap();
            }
            while client.next().await.is_some() {}
            eventually("it is gone", || world.metric("connections_open") == 0).await;
        }
    });
}

/// Clients that send their heads or bodies byte by byte, or read so.
#[test]
fn slow_clients_do_not_keep_others_waiting() {
    run(async {
        let (world, _) = world(&[("TIMEOUTS__REQUEST_HEADER_MS", "300")]).await;
        let mut slow = Vec::new();
        for number in 0..300 {
            let mut raw = Raw::connect(world.address).await;
            raw.write(match number % 3 {
                0 => "GET / HTTP/1.1\r\nhost: api.exa",
                1 => "POST / HTTP/1.1\r\nhost: api.example.net\r\ncontent-length: 1000\r\n\r\nx",
                _ => "GET / HTTP/1.1\r\nhost: api.example.net\r\n\r\n",
            })
            .await;
            slow.push(raw);
        }
        others_are_served(&world).await;
        // A head has as long as it has, however diligently it is sent.
        let mut heads: Vec<_> = slow.into_iter().step_by(3).collect();
        eventually("slow heads are dropped", || {
            for raw in &mut heads {
                // It may be gone already.
                let _ = raw.0.try_write(b"x");
            }
            world.metric("connections_overdue_total") >= 100
        })
        .await;
        others_are_served(&world).await;
    });
}

/// What a client may send ahead of an origin that does not take it.
#[test]
fn a_body_that_nobody_takes_is_not_kept() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            crate::origin::read_head(&mut stream).await;
            std::future::pending::<()>().await;
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let mut client = Frames::connect(world.address).await;
        client.send(&head(END_HEADERS, 1)).await.unwrap();
        // The window of a stream, as the edge's settings say, and no more.
        let mut window = 65_535_i64;
        let mut given = 0;
        let piece = frame(DATA, 0, 1, &[b'x'; 16_384]);
        loop {
            while let Ok(Some(next)) =
                tokio::time::timeout(std::time::Duration::from_millis(300), client.next()).await
            {
                if next.kind == SETTINGS && next.flags & ACK == 0 {
                    for setting in next.content.chunks(6) {
                        if setting[..2] == [0, 4] {
                            let initial = i64::from(u32::from_be_bytes([
                                setting[2], setting[3], setting[4], setting[5],
                            ]));
                            window += initial - 65_535;
                        }
                    }
                }
                if next.kind == WINDOW_UPDATE && next.stream == 1 {
                    let [a, b, c, d] = next.content[..] else {
                        panic!("{next:?}");
                    };
                    window += i64::from(u32::from_be_bytes([a, b, c, d]));
                }
            }
            if window < 16_384 {
                break;
            }
            while window >= 16_384 {
                client.send(&piece).await.unwrap();
                window -= 16_384;
                given += 16_384;
            }
        }
        // What the kernel's sockets to the origin hold comes on top of the window.
        assert!(given < 16 * 1024 * 1024, "{given}");
    });
}
