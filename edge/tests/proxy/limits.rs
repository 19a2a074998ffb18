//! What is too much.

use crate::client::talk;
use crate::origin::Origin;
use crate::publish::Draft;
use crate::world::{World, run};

#[test]
fn heads_that_are_too_large_are_refused_with_a_status_that_says_so() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        let head = |target: &str, fields: &str| {
            format!("GET {target} HTTP/1.1\r\nhost: api.example.net\r\n{fields}\r\n")
        };
        let many: String = (0..100)
            .map(|number| format!("x-{number}: 1\r\n"))
            .collect();
        let large = format!("x-large: {}\r\n", "x".repeat(70 * 1024));
        let long = format!("/{}", "a".repeat(66 * 1024));
        for (text, status) in [
            (head("/", &many), "431"),
            (head("/", &large), "431"),
            (head(&long, ""), "414"),
        ] {
            let answer = talk(world.address, &text).await;
            // hyper says 431 where it cannot tell whether the target or the fields are too long.
            let fits = answer.starts_with(&format!("HTTP/1.1 {status} "))
                || (status == "414" && answer.starts_with("HTTP/1.1 431 "));
            assert!(fits, "{status}: {answer}");
        }
        assert_eq!(origin.count(), 0);
        let some: String = (0..90).map(|number| format!("x-{number}: 1\r\n")).collect();
        let answer = talk(
            world.address,
            &head("/", &format!("{some}connection: close\r\n")),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    });
}
