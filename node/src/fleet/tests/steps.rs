//! How long each step of an acknowledgement took.

use super::*;

#[tokio::test(start_paused = true)]
async fn steps_are_measured_by_the_nodes_own_clock_whatever_the_wall_clock_says() {
    let node = Node::new(1);
    let seat = node.fleet.seat(&environment(1), &hello("edge-1", None));
    let pass = |ms| tokio::time::advance(Duration::from_millis(ms));
    let learned = Instant::now();
    pass(10).await;
    seat.answered_ping(Duration::from_millis(40));
    seat.sent(manifest(5), Some(learned));
    pass(20).await;
    seat.reported(&report(5, ReportState::Received));
    node.clock.0.store(u64::MAX, Ordering::Relaxed);
    pass(30).await;
    seat.reported(&report(5, ReportState::Verified));
    // The next is offered while this one is applied.
    seat.sent(manifest(6), None);
    node.clock.0.store(0, Ordering::Relaxed);
    pass(40).await;
    seat.reported(&report(5, ReportState::Applied));
    pass(50).await;
    seat.reported(&report(6, rejected("no")));
    let row = &node.rows()[0];
    assert_eq!(
        row.acks[0].steps,
        Some(EdgeSteps {
            from_publication: true,
            sent_ms: 10,
            received_ms: Some(30),
            verified_ms: Some(60),
            done_ms: 100,
            round_trip_ms: Some(40),
        })
    );
    assert_eq!(
        row.rejected.as_ref().unwrap().steps,
        Some(EdgeSteps {
            from_publication: false,
            sent_ms: 0,
            received_ms: None,
            verified_ms: None,
            done_ms: 90,
            round_trip_ms: Some(40),
        })
    );
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_was_measured_goes_before_an_earlier_one() {
    let measured = Some(EdgeSteps {
        from_publication: true,
        sent_ms: 1,
        received_ms: None,
        verified_ms: None,
        done_ms: 2,
        round_trip_ms: None,
    });
    let plain = row("edge-1", true, 0, 3, &[(3, 50)]);
    let mut late = row("edge-1", false, 0, 3, &[(3, 90)]);
    late.acks[0].steps = measured;
    let answer = |node_id, row: &EdgeRow| Answer {
        node_id,
        mark: Mark(1),
        rows: vec![row.clone()],
        more: false,
    };
    for answers in [
        [answer(1, &plain), answer(2, &late)],
        [answer(2, &late), answer(1, &plain)],
    ] {
        let known = merge(answers);
        assert_eq!(
            (known[0].node_id, known[0].row.acks[0].steps),
            (1, measured)
        );
    }
}
