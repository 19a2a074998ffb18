//! Origins that fail, each in its own way.

use tokio::io::AsyncWriteExt;

use crate::client::{ask, get};
use crate::origin::{Origin, nobody, read_head};
use crate::publish::Draft;
use crate::world::{World, run};

#[test]
fn a_target_that_refuses_connections_is_502() {
    run(async {
        let world = World::with(Draft::to(nobody().await)).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "upstream_unreachable")
        );
    });
}

#[test]
fn a_target_that_closes_instead_of_answering_is_502_and_not_asked_again() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "upstream_closed")
        );
        assert_eq!(origin.connections.get(), 1);
    });
}

#[test]
fn what_is_no_response_is_502() {
    run(async {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        ] {
            let origin = Origin::raw(move |_, mut stream| async move {
                read_head(&mut stream).await;
                stream.write_all(text.as_bytes()).await.unwrap();
                read_head(&mut stream).await;
            })
            .await;
            let world = World::with(Draft::to(origin.address)).await;
            let answer = ask(world.address, get("/")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (502, "upstream_malformed"),
                "{text}"
            );
        }
    });
}

#[test]
fn an_endless_head_is_not_waited_for() {
    run(async {
        let origin = Origin::raw(|_, mut stream| async move {
            read_head(&mut stream).await;
            let mut ended = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while ended.is_ok() {
                ended = stream
                    .write_all(&[b"x-more: ", [b'x'; 1024].as_slice(), b"\r\n"].concat())
                    .await;
            }
        })
        .await;
        let world = World::with(Draft::to(origin.address)).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (502, "upstream_malformed")
        );
    });
}
